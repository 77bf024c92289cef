import { promisify } from "node:util";
import { deflate, inflate } from "node:zlib";

import type { Kysely, Transaction } from "kysely";

import type { Digest } from "#proto/contract/digest.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { StoredHardware } from "./inventory.ts";
import { chunksOf, ROWS_PER_STATEMENT } from "./record-changes.ts";
import type { InventoryTables } from "./schema.ts";

type Tx = Transaction<InventoryTables>;
type Reader = Kysely<InventoryTables>;

/** Boots of each node whose reports are kept. */
const KEPT_BOOTS = 5;

const deflateInPool = promisify(deflate);
const inflateInPool = promisify(inflate);

/** A report as it lies in the database: packed before the transaction, and not on this thread. */
export interface PackedHardware extends Omit<StoredHardware, "report"> {
  readonly content: Uint8Array;
}

export async function packHardware({ report, ...rest }: StoredHardware): Promise<PackedHardware> {
  return { ...rest, content: await deflateInPool(JSON.stringify(report)) };
}

export async function unpackHardware(content: Uint8Array): Promise<HardwareReport> {
  return JSON.parse((await inflateInPool(content)).toString("utf8")) as HardwareReport;
}

/**
 * Keeps the reports; the result has for each the content that was the node's last known, where that is another one.
 * A node that is gone by now keeps nothing.
 */
export async function recordHardware(
  tx: Tx,
  reports: readonly PackedHardware[],
): Promise<readonly (Uint8Array | undefined)[]> {
  const before: (Uint8Array | undefined)[] = [];
  for (const report of reports) before.push(await recordOne(tx, report));
  return before;
}

async function recordOne(tx: Tx, report: PackedHardware): Promise<Uint8Array | undefined> {
  const { node, bootId, digest, content } = report;
  const known = await tx.selectFrom("nodes").select("name").where("name", "=", node).executeTakeFirst();
  if (known === undefined) return undefined;
  const last = await tx
    .selectFrom("hardware_boots as boot")
    .innerJoin("hardware_contents as content", (join) =>
      join.onRef("content.node", "=", "boot.node").onRef("content.digest", "=", "boot.digest"),
    )
    .select(["boot.boot_id", "boot.digest", "content.report"])
    .where("boot.node", "=", node)
    .orderBy("boot.id", "desc")
    .executeTakeFirst();
  if (last?.digest !== digest) {
    await tx
      .insertInto("hardware_contents")
      .values({ node, digest, report: content })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  const columns = { digest, reported_at: report.reportedAt.toISOString() };
  await tx
    .insertInto("hardware_boots")
    .values({ node, boot_id: bootId, ...columns })
    .onConflict((conflict) => conflict.columns(["node", "boot_id"]).doUpdateSet(columns))
    .execute();
  if (last !== undefined && (last.boot_id !== bootId || last.digest !== digest)) await forgetOld(tx, node);
  return last === undefined || last.digest === digest ? undefined : last.report;
}

async function forgetOld(tx: Tx, node: NodeName): Promise<void> {
  const boots = (): ReturnType<typeof ofNode> => ofNode(tx, node);
  await tx
    .deleteFrom("hardware_boots")
    .where("node", "=", node)
    .where("id", "not in", boots().select("id").orderBy("id", "desc").limit(KEPT_BOOTS))
    .execute();
  await tx
    .deleteFrom("hardware_contents")
    .where("node", "=", node)
    .where("digest", "not in", boots().select("digest"))
    .execute();
}

function ofNode(tx: Tx, node: NodeName) {
  return tx.selectFrom("hardware_boots").where("node", "=", node);
}

export async function findHardwareDigest(
  tx: Reader,
  node: NodeName,
  bootId: string,
): Promise<Digest | undefined> {
  const row = await tx
    .selectFrom("hardware_boots")
    .select("digest")
    .where("node", "=", node)
    .where("boot_id", "=", bootId)
    .executeTakeFirst();
  return row?.digest as Digest | undefined;
}

/** The last `boots` reports of each of the nodes, newest first within a node. */
export async function loadHardware(
  tx: Reader,
  nodes: readonly NodeName[],
  boots: number,
): Promise<readonly PackedHardware[]> {
  const found: PackedHardware[] = [];
  for (const part of chunksOf(nodes, ROWS_PER_STATEMENT)) {
    const rows = await tx
      .selectFrom("hardware_boots as boot")
      .innerJoin("hardware_contents as content", (join) =>
        join.onRef("content.node", "=", "boot.node").onRef("content.digest", "=", "boot.digest"),
      )
      .select(["boot.node", "boot.boot_id", "boot.digest", "boot.reported_at", "content.report"])
      .where("boot.node", "in", part)
      .orderBy("boot.node")
      .orderBy("boot.id", "desc")
      .execute();
    let taken = { node: "", count: 0 };
    for (const row of rows) {
      taken = row.node === taken.node ? { ...taken, count: taken.count + 1 } : { node: row.node, count: 1 };
      if (taken.count > boots) continue;
      found.push({
        node: row.node as NodeName,
        bootId: row.boot_id,
        digest: row.digest as Digest,
        reportedAt: new Date(row.reported_at),
        content: row.report,
      });
    }
  }
  return found;
}
