import { MusterError } from "#proto/contract/muster-error.ts";

import type { BootView, NodeSummary, NodeView, PendingView } from "../../api/rest/schemas.ts";
import type { MpiForm } from "../../exchange/render-mpi-hosts.ts";
import type { CliContext } from "../cli-context.ts";
import type { ListFormat } from "../list-format.ts";
import { renderAlerts, renderNodeSummary, renderNodeTable } from "./render-nodes.ts";
import { renderCount } from "../output/render-text.ts";
import { renderWaterfall } from "./render-waterfall.ts";
import { readPositive } from "../read-number.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

const WATCH_INTERVAL_MS = 1000;
/** Home, and erase to the end of the screen: redraws without flicker. */
const REDRAW = "\u001b[H\u001b[J";

/** `muster node list`. */
export async function listNodes(
  context: CliContext,
  nodeset: string | undefined,
  options: { readonly state?: string; readonly up?: true; readonly mpi: MpiForm; readonly watch?: true },
): Promise<number> {
  const { api, process } = context;
  const state = stateOf(options);
  const query = { names: nodeset, state };
  if (context.listFormat !== undefined) {
    const count = await printAs(context, query, context.listFormat, options.mpi);
    if (count === 0) context.note(emptyNote(state, nodeset));
    return 0;
  }
  do {
    const [nodes, { pending }] = await Promise.all([
      readList(context, query),
      api.get<{ pending: readonly PendingView[] }>("/pending"),
    ]);
    if (options.watch === true && process.outIsTerminal) process.out(REDRAW);
    if (nodes.length > 0 || context.output !== "table") {
      await context.print(nodes, () => renderNodeTable(nodes, process.now(), hasColour(context)));
    }
    if (nodes.length > 0) context.note(renderNodeSummary(nodes));
    else context.note(emptyNote(state, nodeset));
    for (const line of renderAlerts(nodes)) context.note(line);
    if (pending.length > 0) {
      context.note(
        `${renderCount(pending.length, "machine waits", "machines wait")} for approval: muster node pending`,
      );
    }
  } while (options.watch === true && (await waitedForNext(context)));
  return 0;
}

interface ListQuery extends Readonly<Record<string, string | undefined>> {
  readonly names: string | undefined;
  readonly state: string | undefined;
}

/** What a table shows, or everything for programs. */
async function readList({ api, output }: CliContext, query: ListQuery): Promise<readonly NodeSummary[]> {
  const path = output === "table" ? "/node-summaries" : "/nodes";
  return (await api.get<{ nodes: readonly NodeSummary[] }>(path, query)).nodes;
}

/** Prints the nodes as other programs take them; how many they are. */
async function printAs(
  context: CliContext,
  query: ListQuery,
  format: ListFormat,
  mpi: MpiForm,
): Promise<number> {
  const { isOfNames, printNodeList, renderNames } = await import("./print-node-list.ts");
  if (isOfNames(format)) {
    const nodes = await readList(context, query);
    context.process.out(
      renderNames(
        nodes.map(({ name }) => name),
        format,
      ),
    );
    return nodes.length;
  }
  const { nodes } = await context.api.get<{ nodes: readonly NodeView[] }>("/nodes", query);
  await printNodeList(context, nodes, format, { nodeset: query.names, mpi });
  return nodes.length;
}

/** `muster node boots`. */
export async function showBoots(
  context: CliContext,
  nodeset: string,
  options: { readonly limit: string; readonly kernelLog?: true },
): Promise<number> {
  const limit = readPositive("--limit", options.limit);
  const boots: BootView[] = [];
  for (const name of await resolveNodes(context, nodeset)) {
    // asked first: a name that does not exist is an error, a node that never booted is not
    await context.api.get<NodeView>(`/nodes/${encodeURIComponent(name)}`);
    const found = await context.api.get<{ boots: readonly BootView[] }>("/boots", { node: name, limit });
    if (found.boots.length === 0) context.note(`${name} has not booted yet`);
    boots.push(...found.boots);
  }
  await context.print(boots, () =>
    boots
      .map((boot) =>
        renderWaterfall(boot, { kernelLog: options.kernelLog === true, now: context.process.now() }),
      )
      .join("\n"),
  );
  return 0;
}

/** https://no-color.org */
function hasColour({ process }: CliContext): boolean {
  return process.outIsTerminal && (process.env["NO_COLOR"] ?? "") === "";
}

async function waitedForNext({ process }: CliContext): Promise<boolean> {
  if (process.signal.aborted) return false;
  return process.wait(WATCH_INTERVAL_MS).then(
    () => true,
    () => false,
  );
}

/** A node is up when it is ready. */
function stateOf({ state, up }: { readonly state?: string; readonly up?: true }): string | undefined {
  if (up !== true || state === undefined || state === "ready") return up === true ? "ready" : state;
  throw new MusterError({
    code: "argument-invalid",
    what: `no node is up and ${state}`,
    fix: "give --up or --state",
  });
}

function emptyNote(state: string | undefined, nodeset: string | undefined): string {
  if (state !== undefined) return `no ${nodeset === undefined ? "node" : `node of ${nodeset}`} is ${state}`;
  if (nodeset !== undefined) return `no node is in ${nodeset} now`;
  return "there are no nodes yet: muster node add NAME --mac MAC, or power a machine on and see muster node pending";
}
