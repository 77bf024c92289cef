import type { Kysely, Transaction } from "kysely";

import type { NodeName } from "#proto/contract/node-name.ts";
import type { Fields } from "../fields/fields.ts";
import { openMerger } from "../fields/merge-fields.ts";
import type { InventoryRecord, RecordKind } from "./changes.ts";
import type { DeniedBoot, MachineId } from "./inventory.ts";
import { type InventoryView, type NodeEntry, openInventoryView } from "./inventory-view.ts";
import type { CommitPlan, WrittenRecord } from "./plan-commit.ts";
import { entryOf, profileFields } from "./plan-delta.ts";
import { chunksOf, ROWS_PER_STATEMENT } from "./record-changes.ts";
import type { InventoryTables, NodesTable, RecordsTable } from "./schema.ts";
import { denyCurrentBoots } from "./store-denied-boots.ts";

type Tx = Transaction<InventoryTables>;
type Reader = Kysely<InventoryTables>;

/** What is kept for a node in tables of its own and follows it to another name. Identities and tokens name the old one. */
const FOLLOWING = ["secrets", "hardware_contents", "hardware_boots", "node_alerts"] as const;

/** Everything there is, merged. `pause` is called between pieces of work. */
export async function loadView(
  reader: Reader,
  dataVersion: () => number,
  pause: () => Promise<void>,
): Promise<InventoryView> {
  const rows = await reader.selectFrom("nodes").selectAll().execute();
  const records = rows.map((row) => recordOfRow("node", row));
  const profiles = (await reader.selectFrom("profiles").selectAll().execute()).map((row) =>
    recordOfRow("profile", row),
  );
  const merger = openMerger(withMissing(profileFields({ profiles: () => profiles }), records));
  const nodes: NodeEntry[] = [];
  for (const [at, row] of rows.entries()) {
    const record = records[at];
    if (record === undefined) throw new Error("each row is a record");
    nodes.push(
      entryOf(record, merger.merge(record.fields), {
        machine: machineOfRow(row),
        createdAt: new Date(row.created_at),
        updatedAt: new Date(row.updated_at),
      }),
    );
    await pause();
  }
  return openInventoryView({ nodes, profiles, dataVersion: dataVersion() });
}

/** Writes what was planned, and nothing else. Returns the boots that are denied by it. */
export async function writeRecords(
  tx: Tx,
  { delta, written, deleted }: Pick<CommitPlan, "delta" | "written" | "deleted">,
  now: Date,
  pause: () => Promise<void>,
): Promise<readonly DeniedBoot[]> {
  const denied: DeniedBoot[] = [];
  const ofKind = (kind: RecordKind): readonly WrittenRecord[] =>
    written.filter(({ record }) => record.kind === kind);
  for (const part of chunksOf(ofKind("profile"), ROWS_PER_STATEMENT)) {
    await tx
      .insertInto("profiles")
      .values(part.map(({ record }) => recordRow(record, now, now)))
      .onConflict((conflict) =>
        conflict.column("name").doUpdateSet((eb) => ({
          revision: eb.ref("excluded.revision"),
          image: eb.ref("excluded.image"),
          fields_json: eb.ref("excluded.fields_json"),
          updated_at: eb.ref("excluded.updated_at"),
        })),
      )
      .execute();
    await pause();
  }
  for (const part of chunksOf(ofKind("node"), ROWS_PER_STATEMENT)) {
    await tx
      .insertInto("nodes")
      .values(
        part.flatMap(({ record }) => {
          const entry = delta.nodes.get(record.name);
          return entry === undefined ? [] : [nodeRow(entry)];
        }),
      )
      .onConflict((conflict) =>
        conflict.column("name").doUpdateSet((eb) => ({
          revision: eb.ref("excluded.revision"),
          image: eb.ref("excluded.image"),
          fields_json: eb.ref("excluded.fields_json"),
          updated_at: eb.ref("excluded.updated_at"),
        })),
      )
      .execute();
    await pause();
  }
  const renamed = written.flatMap(({ record, from }) => (from === undefined ? [] : [{ record, from }]));
  for (const { record, from } of renamed) {
    if (record.kind === "node") {
      for (const table of FOLLOWING) {
        await tx.updateTable(table).set({ node: record.name }).where("node", "=", from).execute();
      }
      const why = (): string => `node ${from} is called ${record.name} now`;
      denied.push(...(await denyCurrentBoots(tx, [from as NodeName], why, now)));
    }
    await deleteRows(tx, record.kind, [from]);
  }
  const gone = (kind: RecordKind): readonly string[] =>
    deleted.filter((record) => record.kind === kind).map(({ name }) => name);
  const nodes = gone("node") as readonly NodeName[];
  denied.push(...(await denyCurrentBoots(tx, nodes, (node) => `node ${node} was deleted`, now)));
  await deleteRows(tx, "node", nodes);
  await deleteRows(tx, "profile", gone("profile"));
  return denied;
}

/** A file that somebody has edited by hand may name profiles that are not there: no reason to know nothing of its nodes. */
function withMissing(
  profiles: ReadonlyMap<string, Fields>,
  nodes: readonly InventoryRecord[],
): ReadonlyMap<string, Fields> {
  const named = [...profiles.values(), ...nodes.map(({ fields }) => fields)].flatMap(
    (fields) => fields.profiles ?? [],
  );
  return new Map([...named.map((name) => [name, {}] as const), ...profiles]);
}

/** Identities, secrets, tokens, hardware and alerts go with a node: the schema says so. */
async function deleteRows(tx: Tx, kind: RecordKind, names: readonly string[]): Promise<void> {
  for (const part of chunksOf(names, ROWS_PER_STATEMENT)) {
    await tx
      .deleteFrom(kind === "node" ? "nodes" : "profiles")
      .where("name", "in", part)
      .execute();
  }
}

function recordOfRow(kind: RecordKind, row: RecordsTable): InventoryRecord {
  return { kind, name: row.name, revision: row.revision, fields: JSON.parse(row.fields_json) as Fields };
}

function machineOfRow(row: NodesTable): MachineId {
  return {
    ...(row.smbios_uuid === null ? {} : { smbiosUuid: row.smbios_uuid }),
    ...(row.serial === null ? {} : { serial: row.serial }),
  };
}

function recordRow(record: InventoryRecord, createdAt: Date, updatedAt: Date): RecordsTable {
  return {
    name: record.name,
    revision: record.revision,
    image: record.fields.image ?? null,
    fields_json: JSON.stringify(record.fields),
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  };
}

function nodeRow({ record, node }: NodeEntry): NodesTable {
  return {
    ...recordRow(record, node.createdAt, node.updatedAt),
    smbios_uuid: node.machine.smbiosUuid ?? null,
    serial: node.machine.serial ?? null,
  };
}
