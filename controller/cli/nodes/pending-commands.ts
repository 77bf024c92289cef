import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet, parseNodeSet } from "#proto/contract/node-set.ts";

import type { RefusedList } from "../../api/rest/machine-routes.ts";
import type { NodeView, PendingView } from "../../api/rest/schemas.ts";
import type { CliContext } from "../cli-context.ts";
import { renderPendingTable } from "./render-nodes.ts";
import { renderCount } from "../output/render-text.ts";

/** More are in `muster node refused list`. */
const MOST_REFUSED = 5;

/** `muster node pending`. */
export async function listPending(context: CliContext): Promise<number> {
  const { pending } = await context.api.get<{ pending: readonly PendingView[] }>("/pending");
  if (pending.length > 0 || context.output !== "table") {
    await context.print(pending, () => renderPendingTable(pending, context.process.now()));
  }
  if (pending.length === 0) context.note("no machine waits for approval");
  else
    context.note("compare the code with the machine's console, then: muster node approve CODE --name NAME");
  const { refused } = await context.api.get<RefusedList>("/refused");
  for (const { mac, node } of refused.slice(0, MOST_REFUSED)) {
    context.note(`${mac} was replaced as ${node} and is not let in: muster node refused list`);
  }
  return 0;
}

/** `muster node approve`. Each approval is a decision of its own: those before a failure stand. */
export async function approvePending(
  context: CliContext,
  codes: readonly string[],
  options: {
    readonly name: string;
    readonly image?: string;
    readonly overlay?: readonly string[];
    readonly runtimeOverlay?: readonly string[];
  },
): Promise<number> {
  const names = parseNodeSet(options.name);
  if (names.length !== codes.length) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${renderCount(codes.length, "code")} and ${renderCount(names.length, "name")} (${options.name}) do not match`,
      fix: "give as many names as codes",
    });
  }
  const { image, overlay, runtimeOverlay } = options;
  const fields = {
    ...(image === undefined ? {} : { image }),
    ...(overlay === undefined ? {} : { overlays: overlay }),
    ...(runtimeOverlay === undefined ? {} : { runtimeOverlays: runtimeOverlay }),
  };
  const approved: NodeView[] = [];
  for (const [index, code] of codes.entries()) {
    const body = { name: names[index], fields };
    approved.push(
      await context.api.send<NodeView>("POST", `/pending/${encodeURIComponent(code)}/approve`, body),
    );
    if (context.output === "table") context.note(`${code} is ${names[index] ?? ""} and boots on`);
  }
  if (context.output === "table") {
    const folded = foldNodeSet(names);
    context.note(`watch: muster node list ${names.length === 1 ? folded : `'${folded}'`} --watch`);
  } else await context.print(approved, () => "");
  return 0;
}

/** `muster node reject`. */
export async function rejectPending(context: CliContext, code: string): Promise<number> {
  await context.api.send<null>("DELETE", `/pending/${encodeURIComponent(code)}`);
  context.note(`${code} was turned away; it asks again when it boots again`);
  return 0;
}
