import type { Kysely, Transaction } from "kysely";

import type { MacAddress } from "#proto/contract/mac-address.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { DeniedBoot, Inventory, NodeIdentity, PendingMachine, StoredToken } from "./inventory.ts";
import type { InventoryTables, TokensTable } from "./schema.ts";
import { denyBoot, findDeniedBoot } from "./store-denied-boots.ts";
import { unknownNodes } from "./unknown-nodes.ts";

type Tx = Transaction<InventoryTables>;
type Reader = Kysely<InventoryTables>;

export async function recordPending(
  tx: Tx,
  machine: Parameters<Inventory["recordPending"]>[0],
  now: Date,
): Promise<PendingMachine> {
  const { claimCode, machineKey, ...details } = machine;
  const seen = now.toISOString();
  const row = await tx
    .insertInto("pending_machines")
    .values({
      claim_code: claimCode,
      machine_key: machineKey,
      details_json: JSON.stringify(details),
      first_seen_at: seen,
      last_seen_at: seen,
    })
    .onConflict((conflict) =>
      conflict
        .column("machine_key")
        .doUpdateSet({ details_json: JSON.stringify(details), last_seen_at: seen }),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
  return pendingOfRow(row);
}

/** In order of arrival. */
export async function listPending(tx: Reader): Promise<readonly PendingMachine[]> {
  const rows = await tx
    .selectFrom("pending_machines")
    .selectAll()
    .orderBy("first_seen_at")
    .orderBy("claim_code")
    .execute();
  return rows.map(pendingOfRow);
}

/** Takes a machine off the list of those that wait. `machine-not-pending`. */
export async function takePending(tx: Tx, claimCode: string): Promise<PendingMachine> {
  const row = await tx
    .deleteFrom("pending_machines")
    .where("claim_code", "=", claimCode)
    .returningAll()
    .executeTakeFirst();
  if (row !== undefined) return pendingOfRow(row);
  throw new MusterError({
    code: "machine-not-pending",
    what: `no machine waits under claim code ${JSON.stringify(claimCode.slice(0, 40))}`,
    fix: "`muster node pending` shows the machines that wait; the code is also on the machine's console",
  });
}

/**
 * Replaces tokens that the same machine got at the same address and never used: whoever asks for boot scripts
 * in a loop, with the MAC of any node, must not fill the disk.
 */
export async function storeToken(tx: Tx, token: StoredToken): Promise<void> {
  await requireNode(tx, token.node);
  await tx
    .deleteFrom("tokens")
    .where("node", "=", token.node)
    .where("boot_mac", "=", token.bootMac)
    .where("source_address", "=", token.sourceAddress)
    .where("used_by_key", "is", null)
    .execute();
  await tx
    .insertInto("tokens")
    .values({
      hash: token.hash,
      node: token.node,
      boot_mac: token.bootMac,
      source_address: token.sourceAddress,
      expires_at: token.expiresAt.toISOString(),
      used_by_key: null,
    })
    .execute();
}

/** A token as it is stored, used or not; nothing is changed. */
export async function findToken(tx: Reader, hash: string): Promise<StoredToken | undefined> {
  const row = await tx.selectFrom("tokens").selectAll().where("hash", "=", hash).executeTakeFirst();
  return row === undefined ? undefined : tokenOfRow(row);
}

/**
 * | token              | same key or never used | used by another key |
 * |--------------------|------------------------|---------------------|
 * | not stored         | unknown                | unknown             |
 * | stored, now < end  | the token; the key's   | used                |
 * | stored, now >= end | expired                | used                |
 */
export async function consumeToken(
  tx: Tx,
  hash: string,
  keyHash: string,
  now: Date,
): Promise<StoredToken | "unknown" | "used" | "expired"> {
  const row = await tx.selectFrom("tokens").selectAll().where("hash", "=", hash).executeTakeFirst();
  if (row === undefined) return "unknown";
  if (row.used_by_key !== null && row.used_by_key !== keyHash) return "used";
  const token = tokenOfRow(row);
  if (now.getTime() >= token.expiresAt.getTime()) return "expired";
  if (row.used_by_key === null) {
    await tx.updateTable("tokens").set({ used_by_key: keyHash }).where("hash", "=", hash).execute();
  }
  return token;
}

/** Returns the boot it voids, if it voids one: another than its own. */
export async function recordIdentity(tx: Tx, identity: NodeIdentity): Promise<readonly DeniedBoot[]> {
  await requireNode(tx, identity.node);
  const { node, bootId } = identity;
  // Looked at here, where nobody can come between: a renewal under way must not bring back what was revoked.
  const denial = await findDeniedBoot(tx, node, bootId, identity.issuedAt);
  if (denial !== undefined) {
    throw new MusterError({ code: "certificate-refused", what: denial.why, fix: "restart the machine" });
  }
  const before = await tx
    .selectFrom("identities")
    .select("boot_id")
    .where("node", "=", node)
    .executeTakeFirst();
  const why = `node ${node} has enrolled again since (boot ${bootId})`;
  const denied =
    before === undefined || before.boot_id === bootId
      ? []
      : [await denyBoot(tx, node, before.boot_id, why, identity.issuedAt)];
  const columns = {
    boot_id: identity.bootId,
    key_hash: identity.keyHash,
    certificate_serial: identity.certificateSerial,
    issued_at: identity.issuedAt.toISOString(),
    expires_at: identity.expiresAt.toISOString(),
  };
  await tx
    .insertInto("identities")
    .values({ node: identity.node, ...columns })
    .onConflict((conflict) => conflict.column("node").doUpdateSet(columns))
    .execute();
  return denied;
}

export async function findIdentity(tx: Reader, node: NodeName): Promise<NodeIdentity | undefined> {
  const row = await tx.selectFrom("identities").selectAll().where("node", "=", node).executeTakeFirst();
  if (row === undefined) return undefined;
  return {
    node: row.node as NodeName,
    bootId: row.boot_id,
    keyHash: row.key_hash,
    certificateSerial: row.certificate_serial,
    issuedAt: new Date(row.issued_at),
    expiresAt: new Date(row.expires_at),
  };
}

/** `node-unknown` unless the node exists; said before a foreign key would say it less well. */
export async function requireNode(tx: Tx, name: NodeName): Promise<void> {
  const row = await tx.selectFrom("nodes").select("name").where("name", "=", name).executeTakeFirst();
  if (row === undefined) throw unknownNodes([name]);
}

function pendingOfRow(row: InventoryTables["pending_machines"]): PendingMachine {
  const details = JSON.parse(row.details_json) as Omit<
    PendingMachine,
    "claimCode" | "machineKey" | "firstSeenAt" | "lastSeenAt"
  >;
  return {
    claimCode: row.claim_code,
    machineKey: row.machine_key,
    ...details,
    firstSeenAt: new Date(row.first_seen_at),
    lastSeenAt: new Date(row.last_seen_at),
  };
}

function tokenOfRow(row: TokensTable): StoredToken {
  return {
    hash: row.hash,
    node: row.node as NodeName,
    bootMac: row.boot_mac as MacAddress,
    sourceAddress: row.source_address,
    expiresAt: new Date(row.expires_at),
  };
}
