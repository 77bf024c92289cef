import type { Kysely, Selectable } from "kysely";

import type { ChangeDetails, ChangeSummary, EffectGroup, InventoryState, RecordedEffect } from "./changes.ts";
import { effectsOfStored } from "./effects-of-stored.ts";
import type { ChangeQuery } from "./inventory.ts";
import { planStateBefore } from "./plan-state-before.ts";
import { chunksOf, ROWS_PER_STATEMENT } from "./record-changes.ts";
import type { InventoryTables } from "./schema.ts";
import { takeTurns } from "./take-turns.ts";

type Reader = Kysely<InventoryTables>;

/** What else the history keeps under the name of a node. */
const OF_A_NODE = ["node", "machine", "identity", "alert"] as const;
/** Rows read at once when a state of the past is worked out. */
const ROWS_AT_ONCE = 500;

/**
 * Newest first. What machines were found to be is told of one node only: 10,000 first boots would bury all that people did.
 */
export async function listChanges(reader: Reader, query: ChangeQuery): Promise<readonly ChangeSummary[]> {
  const { name, before = Number.MAX_SAFE_INTEGER, limit } = query;
  if (name !== undefined) return readSets(reader, await setsOfName(reader, query, name));
  const rows = await reader
    .selectFrom("change_sets")
    .selectAll()
    .where("id", "<", before)
    .where("only_machines", "=", 0)
    .orderBy("id", "desc")
    .limit(limit)
    .execute();
  return rows.map(summaryOfRow);
}

export async function findChange(reader: Reader, id: number): Promise<ChangeDetails | undefined> {
  const [summary] = await readSets(reader, [id]);
  if (summary === undefined) return undefined;
  const rows = await reader
    .selectFrom("changes")
    .select(["kind", "name", "before_json", "after_json", "renamed_to"])
    .where("change_set", "=", id)
    .orderBy("id")
    .execute();
  const effects: RecordedEffect[] = [];
  const pause = takeTurns();
  for (const row of rows) {
    effects.push(...effectsOfStored(row));
    await pause();
  }
  return { ...summary, effects };
}

/** What `now` was after the last change until a time, or right after the change of a number. */
export async function loadStateAt(
  reader: Reader,
  at: Date | number,
  now: InventoryState,
): Promise<InventoryState> {
  const until = typeof at === "number" ? at : await lastUntil(reader, at);
  const before = planStateBefore(now);
  const pause = takeTurns();
  for (let below = Number.MAX_SAFE_INTEGER; ; ) {
    const rows = await reader
      .selectFrom("changes")
      .select(["id", "kind", "name", "before_json", "renamed_to"])
      .where("change_set", ">", until)
      .where("id", "<", below)
      .where("kind", "in", ["node", "profile"])
      .orderBy("id", "desc")
      .limit(ROWS_AT_ONCE)
      .execute();
    for (const row of rows) {
      // What came after does not matter on the way back, and costs as much to read.
      effectsOfStored({ ...row, after_json: null }).forEach(before.undo);
      await pause();
    }
    const oldest = rows.at(-1);
    if (oldest === undefined || rows.length < ROWS_AT_ONCE) return before.state();
    below = oldest.id;
  }
}

async function lastUntil(reader: Reader, at: Date): Promise<number> {
  const last = await reader
    .selectFrom("change_sets")
    .select((eb) => eb.fn.max<number | null>("id").as("id"))
    .where("at", "<=", at.toISOString())
    .executeTakeFirst();
  return last?.id ?? 0;
}

/** In the order of the numbers; those that are not there are left out. */
async function readSets(reader: Reader, ids: readonly number[]): Promise<readonly ChangeSummary[]> {
  const found = new Map<number, ChangeSummary>();
  for (const part of chunksOf(ids, ROWS_PER_STATEMENT)) {
    const rows = await reader.selectFrom("change_sets").selectAll().where("id", "in", part).execute();
    for (const row of rows) found.set(row.id, summaryOfRow(row));
  }
  return ids.flatMap((id) => found.get(id) ?? []);
}

/** The greatest revision that records of these names ever had; 0 for names that are new. */
export async function greatestRevisions(
  reader: Reader,
  kind: "node" | "profile",
  names: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const pause = takeTurns();
  for (const part of chunksOf(names, ROWS_PER_STATEMENT)) {
    await pause();
    for (const column of ["name", "renamed_to"] as const) {
      const rows = await reader
        .selectFrom("changes")
        .select((eb) => [
          eb.ref(column).as("name"),
          // Rows of old releases do not say: each stands for one revision at most.
          eb.fn.coalesce(eb.fn.max("revision"), eb.lit(0)).as("revision"),
          eb(eb.fn.countAll<number>(), "-", eb.fn.count<number>("revision")).as("count"),
        ])
        .where("kind", "=", kind)
        .where(column, "in", part)
        .groupBy(column)
        .execute();
      for (const { name, revision, count } of rows) {
        if (name === null) continue;
        found.set(name, Math.max(found.get(name) ?? 0, revision, count));
      }
    }
  }
  return found;
}

/** Under each name the record had: under the earlier ones until it was renamed. */
async function setsOfName(
  reader: Reader,
  { kind = "node", before = Number.MAX_SAFE_INTEGER, limit }: ChangeQuery,
  name: string,
): Promise<readonly number[]> {
  const sets = new Set<number>();
  const kinds = kind === "node" ? OF_A_NODE : [kind];
  let span = { name, below: Number.MAX_SAFE_INTEGER };
  for (;;) {
    const rows = await reader
      .selectFrom("changes")
      .select("change_set")
      .where("kind", "in", kinds)
      .where("name", "=", span.name)
      .where("id", "<", span.below)
      .where("change_set", "<", before)
      .groupBy("change_set")
      .orderBy("change_set", "desc")
      .limit(limit)
      .execute();
    for (const row of rows) sets.add(row.change_set);
    const renamed = await reader
      .selectFrom("changes")
      .select(["id", "name", "change_set"])
      .where("kind", "=", kind)
      .where("renamed_to", "=", span.name)
      .where("id", "<", span.below)
      .orderBy("id", "desc")
      .executeTakeFirst();
    if (renamed === undefined) break;
    if (renamed.change_set < before) sets.add(renamed.change_set);
    span = { name: renamed.name, below: renamed.id };
  }
  return [...sets].sort((a, b) => b - a).slice(0, limit);
}

function summaryOfRow(row: Selectable<InventoryTables["change_sets"]>): ChangeSummary {
  return {
    id: row.id,
    at: new Date(row.at),
    user: row.author,
    ...(row.address === null ? {} : { address: row.address }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    groups: JSON.parse(row.summary_json) as readonly EffectGroup[],
  };
}
