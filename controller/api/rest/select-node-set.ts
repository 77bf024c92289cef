import { closestWords } from "#proto/contract/closest-words.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { evaluateNodeSet, type NodeGroups } from "#proto/contract/node-set/evaluate-node-set.ts";
import { needsInventory } from "#proto/contract/node-set/node-expression.ts";
import { nodeSetEmpty } from "#proto/contract/node-set/node-set-error.ts";
import { parseNodeExpression } from "#proto/contract/node-set/parse-node-expression.ts";

import type { Node } from "../../inventory/inventory.ts";
import type { ApiDependencies } from "./api-dependencies.ts";
import { type GroupFacts, planNodeGroups } from "./plan-node-groups.ts";

/** What it takes to know who is in a group. */
export type GroupDependencies = Pick<
  ApiDependencies,
  "inventory" | "fleet" | "defaultImage" | "listOverlays" | "runtimeOverlays"
>;

/** The nodes of a set as text, in its order; `node-unknown` names what does not exist. Nobody is an error. */
export async function selectNodeSet(deps: GroupDependencies, text: string): Promise<readonly Node[]> {
  const nodes = await filterNodeSet(deps, text);
  if (nodes.length === 0) throw nodeSetEmpty(text);
  return nodes;
}

/** As {@link selectNodeSet}; a set that nobody is in now is an empty list. For what shows, not for what acts. */
export async function filterNodeSet(deps: GroupDependencies, text: string): Promise<readonly Node[]> {
  return selectNodes(await deps.inventory.listNodes(), await resolveNodeSet(deps, text));
}

/** The names of a set, whether there are such nodes or not; none when nobody is in it now. Errors: `node-set-invalid`. */
export async function resolveNodeSet(deps: GroupDependencies, text: string): Promise<readonly NodeName[]> {
  const expression = parseNodeExpression(text);
  if (!needsInventory(expression)) return evaluateNodeSet(expression, noGroups);
  return evaluateNodeSet(expression, planNodeGroups(await gatherGroupFacts(deps)));
}

/** What groups are made of now. */
export async function gatherGroupFacts(deps: GroupDependencies): Promise<GroupFacts> {
  const [nodes, records, images, overlays] = await Promise.all([
    deps.inventory.listNodes(),
    deps.inventory.listRecords(),
    deps.inventory.listImages(),
    deps.listOverlays(),
  ]);
  return {
    nodes,
    records,
    images: images.map(({ name }) => name),
    defaultImage: deps.defaultImage,
    overlays: overlays.map(({ name }) => name),
    runtimeOverlaysOf: (node) => deps.runtimeOverlays.statusOf(node)?.overlays ?? [],
    stateOf: (node) => deps.fleet.statusOf(node).state,
  };
}

const noGroups: NodeGroups = () => {
  throw new Error("the set needs no groups");
};

/** The nodes of these names, in their order; `node-unknown` names what does not exist. */
export function selectNodes<T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly NodeName[],
): readonly T[] {
  const byName = new Map<string, T>(all.map((node) => [node.name, node]));
  const missing = names.filter((name) => !byName.has(name));
  if (missing.length > 0) throw unknownNodes(missing, byName.keys());
  return names.flatMap((name) => byName.get(name) ?? []);
}

/** `node-unknown` for one name or several, with the names that may have been meant. */
export function unknownNodes(names: readonly string[], known: Iterable<string>): MusterError {
  const [name = ""] = names;
  const close = closestWords(name, known);
  const others = names.length > 1 ? ` (and ${names.length - 1} more of that set)` : "";
  return new MusterError({
    code: "node-unknown",
    what: `there is no node ${JSON.stringify(name.slice(0, 100))}${others}`,
    fix: close.length > 0 ? `did you mean ${close.join(" or ")}?` : "`muster node list` shows all nodes",
  });
}
