import type { NodeName } from "#proto/contract/node-name.ts";
import type { Node } from "../inventory/inventory.ts";
import { listKey } from "./open-runtime-manifests.ts";

/** Which runtime overlays which node has. */
export interface AssignedOverlays {
  /** In the order they are laid, for every node there is. */
  readonly of: ReadonlyMap<NodeName, readonly string[]>;
  /** All overlays anybody has. */
  readonly names: ReadonlySet<string>;
  /** The distinct lists, as {@link listKey} has them. */
  readonly keys: ReadonlySet<string>;
}

/** The site's overlays for every node, then its own; one that both name counts as the node's, in its place. */
export function assignOverlays(
  site: readonly string[],
  nodes: readonly Pick<Node, "name" | "runtimeOverlays">[],
): AssignedOverlays {
  // Nodes with equal lists share one array: ten thousand nodes have a handful of lists.
  const lists = new Map<string, readonly string[]>([[listKey(site), site]]);
  const of = new Map<NodeName, readonly string[]>();
  for (const { name, runtimeOverlays } of nodes) {
    const list = [...site.filter((overlay) => !runtimeOverlays.includes(overlay)), ...runtimeOverlays];
    const key = listKey(list);
    const shared = lists.get(key) ?? list;
    lists.set(key, shared);
    of.set(name, shared);
  }
  return { of, names: new Set([...lists.values()].flat()), keys: new Set(lists.keys()) };
}
