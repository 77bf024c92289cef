import { MusterError } from "#proto/contract/muster-error.ts";
import { readMacAddress, type MacAddress } from "#proto/contract/mac-address.ts";

import type {
  RefusedList,
  RefusedView,
  ReplacementResult,
  SwapResult,
} from "../../api/rest/machine-routes.ts";
import type { NodeView } from "../../api/rest/schemas.ts";
import { mergeFields } from "../../fields/merge-fields.ts";
import type { InventoryRecord, InventoryState } from "../../inventory/changes.ts";
import { planNodeReplace } from "../../machines/plan-node-replace.ts";
import { planNodeSwap } from "../../machines/plan-node-swap.ts";
import { isConfirmed } from "../ask-confirmation.ts";
import type { CliContext } from "../cli-context.ts";
import { type CommitOptions, fetchState } from "../changes/commit-changes.ts";
import { planPreview } from "../changes/plan-preview.ts";
import { renderPreview } from "../changes/render-preview.ts";
import { renderTable, renderTime } from "../output/render-text.ts";

/** `muster node replace`. */
export async function replaceMachine(
  context: CliContext,
  name: string,
  options: CommitOptions & { readonly mac: string; readonly serial?: string },
): Promise<number> {
  const mac = readMac(options.mac);
  const state = await fetchState(context, { nodes: name });
  const record = recordOf(state, name);
  const profiles = new Map(state.profiles.map((profile) => [profile.name, profile.fields]));
  const plan = planNodeReplace(record.fields, mergeFields(record.fields, profiles), mac);
  show(context, state, [{ ...record, fields: plan.fields }]);
  const { status } = await context.api.get<NodeView>(`/nodes/${encodeURIComponent(name)}`);
  const running = status.state === "ready" ? ", which is running" : "";
  const [old] = plan.oldMacs;
  const question = `Refuse the machine that is ${name} now${old === undefined ? "" : ` (${old})`}${running}, and make ${mac} ${name}?`;
  if (!(await mayGoOn(context, options, question))) return 1;
  const result = await context.api.send<ReplacementResult>(
    "POST",
    `/nodes/${encodeURIComponent(name)}/replace`,
    {
      ...{ mac, revision: record.revision },
      ...(options.serial === undefined ? {} : { serial: options.serial }),
      ...bodyOf(options),
    },
  );
  if (context.output !== "table") await context.print({ ...result, ...plan }, () => "");
  if (options.dryRun === true) {
    context.note("the controller would do this; nothing was changed");
    return 0;
  }
  context.note(`change ${result.id ?? ""}: ${mac} is ${name} from now on`);
  if (old !== undefined) {
    context.note(
      `refused from now on: the machine with ${old}; to let it in again: muster node refused readmit ${old}`,
    );
  }
  if (plan.without.length > 0) {
    context.note(
      `without a MAC now: ${plan.without.join(", ")}; tell those of the new machine: muster node set ${name} --device ${plan.without[0] ?? ""} --mac MAC`,
    );
  }
  context.note(
    result.approved === undefined
      ? "power the new machine on, or power-cycle it"
      : `it waited as ${result.approved}: approved, and boots on`,
  );
  return 0;
}

/** `muster node swap`. */
export async function swapMachines(
  context: CliContext,
  first: string,
  second: string,
  options: CommitOptions,
): Promise<number> {
  const state = await fetchState(context, { nodes: first === second ? first : `${first},${second}` });
  const [a, b] = [recordOf(state, first), recordOf(state, second)];
  const [ofA, ofB] = planNodeSwap(a.fields, b.fields);
  show(context, state, [
    { ...a, fields: ofA },
    { ...b, fields: ofB },
  ]);
  const question = `Exchange the machines of ${first} and ${second}? Both lose their sessions and must be restarted`;
  if (!(await mayGoOn(context, options, `${question}.`))) return 1;
  const result = await context.api.send<SwapResult>("POST", "/nodes/swap", {
    nodes: [a, b].map(({ name, revision }) => ({ name, revision })),
    ...bodyOf(options),
  });
  if (context.output !== "table") await context.print(result, () => "");
  if (options.dryRun === true) context.note("the controller would do this; nothing was changed");
  else if (result.id === undefined) context.note("nothing to exchange: no MAC is known of either");
  else {
    context.note(`change ${result.id}: the machines of ${first} and ${second} are exchanged`);
    context.note("power-cycle both: until then neither has a session");
  }
  return 0;
}

/** `muster node refused list`. */
export async function listRefused(context: CliContext): Promise<number> {
  const { refused } = await context.api.get<RefusedList>("/refused");
  if (refused.length > 0 || context.output !== "table") {
    await context.print(refused, () => renderRefused(refused));
  }
  if (refused.length === 0) context.note("no machine is refused");
  return 0;
}

/** `muster node refused readmit`. */
export async function readmitMachine(
  context: CliContext,
  text: string,
  options: Pick<CommitOptions, "message">,
): Promise<number> {
  const mac = readMac(text);
  const { message } = options;
  await context.api.send<RefusedList>("POST", "/refused/readmit", {
    mac,
    ...(message === undefined ? {} : { reason: message }),
  });
  context.note(`${mac} may ask to enrol again; it is listed by muster node pending when it boots`);
  return 0;
}

function show(context: CliContext, state: InventoryState, after: readonly InventoryRecord[]): void {
  // What follows is said below: muster cannot restart a machine that it does not let in.
  const effects = { reboot: [], refresh: [], none: [] };
  const text = renderPreview({ ...planPreview(state, after), effects });
  if (context.output === "table") context.process.out(text);
  else context.process.err(text);
}

async function mayGoOn(context: CliContext, options: CommitOptions, question: string): Promise<boolean> {
  return options.yes === true || options.dryRun === true || isConfirmed(context, question);
}

function bodyOf({ message, dryRun }: CommitOptions): object {
  return {
    ...(message === undefined ? {} : { reason: message }),
    ...(dryRun === true ? { dryRun } : {}),
  };
}

function recordOf({ nodes }: InventoryState, name: string): InventoryRecord {
  const found = nodes.find((record) => record.name === name);
  if (found !== undefined) return found;
  throw new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(name)} is not one node`,
    fix: "name one: c017",
  });
}

function readMac(text: string): MacAddress {
  const mac = readMacAddress(text);
  if (mac !== undefined) return mac;
  throw new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(text)} is no MAC address`,
    fix: "write six bytes in hex: 52:54:00:12:34:56",
  });
}

function renderRefused(refused: readonly RefusedView[]): string {
  return renderTable(
    ["MAC", "WAS", "REPLACED", "BY", "WHY", "SERIAL", "UUID"],
    refused.map(({ mac, node, at, user, reason, serial, smbiosUuid }) => [
      mac,
      node,
      renderTime(at),
      user,
      reason ?? "",
      serial ?? "",
      smbiosUuid ?? "",
    ]),
  );
}
