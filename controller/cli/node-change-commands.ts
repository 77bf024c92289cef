import { foldNodeSet, parseNodeSet } from "#proto/contract/node-set.ts";

import type { NodeView } from "../api/rest/schemas.ts";
import { isConfirmed } from "./ask-confirmation.ts";
import type { CliContext } from "./cli-context.ts";
import { type FieldOptions, planNewNodes, planNodeChanges } from "./plan-node-changes.ts";
import { renderNodeTable } from "./render-nodes.ts";
import { renderCount } from "./render-text.ts";

interface NodeList {
  readonly nodes: readonly NodeView[];
}

/** `muster node add`. */
export async function addNodes(context: CliContext, nodeset: string, options: FieldOptions): Promise<number> {
  const body = { nodes: planNewNodes(parseNodeSet(nodeset), options) };
  const { nodes } = await context.api.send<NodeList>("POST", "/nodes", body);
  return reportChanged(context, nodes, "added");
}

/** `muster node set`. */
export async function setNodes(context: CliContext, nodeset: string, options: FieldOptions): Promise<number> {
  // kept in the order written, so that the addresses count up as the operator sees them
  const names = parseNodeSet(nodeset);
  const found = await context.api.get<NodeList>("/nodes", { names: nodeset });
  const byName = new Map(found.nodes.map((node) => [node.name, node]));
  const chosen = names.flatMap((name) => byName.get(name) ?? []);
  const body = { updates: planNodeChanges(chosen, options) };
  const { nodes } = await context.api.send<NodeList>("PATCH", "/nodes", body);
  return reportChanged(context, nodes, "changed");
}

/** `muster node delete`. */
export async function deleteNodes(
  context: CliContext,
  nodeset: string,
  options: { readonly yes?: true },
): Promise<number> {
  const { nodes } = await context.api.get<NodeList>("/nodes", { names: nodeset });
  const running = nodes.filter((node) => node.status.state === "ready").length;
  const warning = running === 0 ? "" : `, ${running} of them running`;
  const folded = foldNodeSet(nodes.map((node) => node.name));
  const question = `Delete ${renderCount(nodes.length, "node")} ${folded}${warning}?`;
  if (options.yes !== true && !(await isConfirmed(context, question))) return 1;
  await context.api.send<null>("DELETE", "/nodes", undefined, { names: nodeset });
  context.note(`deleted ${renderCount(nodes.length, "node")}: ${folded}`);
  return 0;
}

async function reportChanged(context: CliContext, nodes: readonly NodeView[], verb: string): Promise<number> {
  if (context.output !== "table") {
    await context.print(nodes, () => renderNodeTable(nodes, context.process.now()));
  }
  const folded = foldNodeSet(nodes.map((node) => node.name));
  context.note(`${verb} ${renderCount(nodes.length, "node")}: ${folded}`);
  return 0;
}
