import type { Kysely, Transaction } from "kysely";

import type { NodeName } from "#proto/contract/node-name.ts";
import type { Author, NodeAlert } from "./inventory.ts";
import { chunksOf, ROWS_PER_STATEMENT, recordChanges } from "./record-changes.ts";
import type { InventoryTables } from "./schema.ts";
import { requireNode } from "./store-enrolment.ts";

type Tx = Transaction<InventoryTables>;

/** The latest alert of a node replaces the one before. */
export async function putAlert(tx: Tx, { node, kind, what, at }: NodeAlert): Promise<void> {
  await requireNode(tx, node);
  const columns = { kind, what, at: at.toISOString() };
  await tx
    .insertInto("node_alerts")
    .values({ node, ...columns })
    .onConflict((conflict) => conflict.column("node").doUpdateSet(columns))
    .execute();
}

export async function listAlerts(tx: Kysely<InventoryTables>): Promise<readonly NodeAlert[]> {
  const rows = await tx.selectFrom("node_alerts").selectAll().orderBy("node").execute();
  return rows.map(alertOfRow);
}

/** Returns those that were there. */
export async function clearAlerts(
  tx: Tx,
  names: readonly NodeName[],
  author: Author,
  now: Date,
): Promise<readonly NodeAlert[]> {
  const cleared: NodeAlert[] = [];
  for (const part of chunksOf(names, ROWS_PER_STATEMENT)) {
    const rows = await tx.deleteFrom("node_alerts").where("node", "in", part).returningAll().execute();
    cleared.push(...rows.map(alertOfRow));
  }
  await recordChanges(
    tx,
    cleared.map(({ node, kind, what, at }) => ({
      kind: "alert",
      name: node,
      before: { kind, what, at },
      after: undefined,
    })),
    author,
    now,
  );
  return cleared;
}

function alertOfRow(row: InventoryTables["node_alerts"]): NodeAlert {
  return { node: row.node as NodeName, kind: row.kind, what: row.what, at: new Date(row.at) };
}
