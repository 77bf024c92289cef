import type { Kysely, Transaction } from "kysely";

import type { NodeName } from "#proto/contract/node-name.ts";
import { type Author, DENIED_SECONDS, type DeniedBoot } from "./inventory.ts";
import { type Change, chunksOf, ROWS_PER_STATEMENT, recordChanges } from "./record-changes.ts";
import type { InventoryTables } from "./schema.ts";

type Tx = Transaction<InventoryTables>;

/** Denies the boots the nodes are in, as far as they are in any. */
export async function denyCurrentBoots(
  tx: Tx,
  names: readonly NodeName[],
  why: (node: NodeName) => string,
  now: Date,
): Promise<readonly DeniedBoot[]> {
  const denied: DeniedBoot[] = [];
  for (const part of chunksOf(names, ROWS_PER_STATEMENT)) {
    const rows = await tx
      .selectFrom("identities")
      .select(["node", "boot_id"])
      .where("node", "in", part)
      .execute();
    for (const row of rows) {
      const node = row.node as NodeName;
      denied.push(await denyBoot(tx, node, row.boot_id, why(node), now));
    }
  }
  return denied;
}

export async function denyBoot(
  tx: Tx,
  node: NodeName,
  bootId: string,
  why: string,
  now: Date,
): Promise<DeniedBoot> {
  const until = new Date(now.getTime() + DENIED_SECONDS * 1000);
  const columns = { until: until.toISOString(), why };
  await tx
    .insertInto("denied_boots")
    .values({ node, boot_id: bootId, ...columns })
    .onConflict((conflict) => conflict.columns(["node", "boot_id"]).doUpdateSet(columns))
    .execute();
  return { node, bootId, until, why };
}

export async function listDeniedBoots(
  tx: Kysely<InventoryTables>,
  now: Date,
): Promise<readonly DeniedBoot[]> {
  const rows = await tx
    .selectFrom("denied_boots")
    .selectAll()
    .where("until", ">", now.toISOString())
    .execute();
  return rows.map(deniedOfRow);
}

export async function findDeniedBoot(
  tx: Kysely<InventoryTables>,
  node: NodeName,
  bootId: string,
  now: Date,
): Promise<DeniedBoot | undefined> {
  const row = await tx
    .selectFrom("denied_boots")
    .selectAll()
    .where("node", "=", node)
    .where("boot_id", "=", bootId)
    .where("until", ">", now.toISOString())
    .executeTakeFirst();
  return row === undefined ? undefined : deniedOfRow(row);
}

/** As {@link voidIdentities}, with an entry of its own in the history. */
export async function revokeIdentities(
  tx: Tx,
  names: readonly NodeName[],
  author: Author,
  now: Date,
): Promise<readonly DeniedBoot[]> {
  const reason = author.reason === undefined ? "" : `: ${author.reason}`;
  const { denied, effects } = await voidIdentities(
    tx,
    names,
    (node) => `the identity of ${node} was revoked by ${author.user}${reason}`,
    now,
  );
  await recordChanges(tx, effects, author, now);
  return denied;
}

/** The identity goes, and with it every token: those it has used, which its key could present again, and unused ones. */
export async function voidIdentities(
  tx: Tx,
  names: readonly NodeName[],
  why: (node: NodeName) => string,
  now: Date,
): Promise<{ readonly denied: readonly DeniedBoot[]; readonly effects: readonly Change[] }> {
  const denied = await denyCurrentBoots(tx, names, why, now);
  for (const part of chunksOf(names, ROWS_PER_STATEMENT)) {
    await tx.deleteFrom("identities").where("node", "in", part).execute();
    await tx.deleteFrom("tokens").where("node", "in", part).execute();
  }
  const effects = denied.map(
    ({ node, bootId }): Change => ({
      kind: "identity",
      name: node,
      before: { bootId },
      after: undefined,
    }),
  );
  return { denied, effects };
}

function deniedOfRow(row: InventoryTables["denied_boots"]): DeniedBoot {
  return { node: row.node as NodeName, bootId: row.boot_id, until: new Date(row.until), why: row.why };
}
