import type { NodeName } from "#proto/contract/node-name.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { Fleet } from "./fleet.ts";

/**
 * Lets the fleet forget nodes that are deleted or called something else, whoever changed that and how. Before anybody who
 * listens after it: hooks ask the fleet what became of a node that a change names. Returns the unsubscribe.
 *
 * What people should look at follows a node to its new name, as it does in the inventory.
 */
export function followInventory(
  inventory: Pick<Inventory, "onCommitted">,
  fleet: Pick<Fleet, "forget" | "statusOf" | "alerted">,
): () => void {
  return inventory.onCommitted(({ effects }) => {
    for (const { kind, name, after, renamedTo } of effects) {
      if (kind !== "node" || (after !== undefined && renamedTo === undefined)) continue;
      const { alert } = fleet.statusOf(name as NodeName);
      fleet.forget(name as NodeName);
      if (renamedTo !== undefined && alert !== undefined) fleet.alerted(renamedTo as NodeName, alert);
    }
  });
}
