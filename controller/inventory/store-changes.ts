import type { Kysely } from "kysely";

import type { ChangeDetails, ChangeSummary, InventoryState } from "./changes.ts";
import { effectsOfStored } from "./effects-of-stored.ts";
import type { ChangeQuery } from "./inventory.ts";
import { planStateBefore } from "./plan-state-before.ts";
import { chunksOf, ROWS_PER_STATEMENT } from "./record-changes.ts";
import type { InventoryTables } from "./schema.ts";
import { takeTurns } from "./take-turns.ts";
import { touchedBy } from "./touched-by.ts";

type Reader = Kysely<InventoryTables>;

/** What else the history keeps under the name of a node. */
const OF_A_NODE = ["node", "machine", "identity", "alert"] as const;
/** Rows read at once when a state of the past is worked out. */
const ROWS_AT_ONCE = 500;

/**
 * Newest first. What machines were found to be is told of one node only: 10,000 first boots would bury all that people did.
 */
export async function listChanges(reader: Reader, query: ChangeQuery): Promise<readonly ChangeSummary[]> {
  const sets =
    query.name === undefined ? await latestSets(reader, query) : await setsOfName(reader, query, query.name);
  if (sets.length === 0) return [];
  const rows: ChangeHead[] = [];
  for (const part of chunksOf(sets, ROWS_PER_STATEMENT)) {
    rows.push(
      ...(await reader
        .selectFrom("changes")
        .select(["change_set", "at", "author", "address", "reason", "kind", "name", "renamed_to"])
        .where("change_set", "in", part)
        .execute()),
    );
  }
  const bySet = Map.groupBy(rows, (row) => row.change_set);
  return sets.flatMap((set) => {
    const [first, ...others] = bySet.get(set) ?? [];
    return first === undefined ? [] : [summaryOf(first, [first, ...others])];
  });
}

export async function findChange(reader: Reader, id: number): Promise<ChangeDetails | undefined> {
  const rows = await reader
    .selectFrom("changes")
    .selectAll()
    .where("change_set", "=", id)
    .orderBy("id")
    .execute();
  const [first] = rows;
  if (first === undefined) return undefined;
  const effects = rows.flatMap(effectsOfStored);
  return { ...summaryOf(first, rows), touched: touchedBy(effects), effects };
}

/** What `now` was after the last change until then. */
export async function loadStateAt(reader: Reader, at: Date, now: InventoryState): Promise<InventoryState> {
  const last = await reader
    .selectFrom("changes")
    .select((eb) => eb.fn.max<number | null>("id").as("id"))
    .where("at", "<=", at.toISOString())
    .executeTakeFirst();
  const until = last?.id ?? 0;
  const before = planStateBefore(now);
  const pause = takeTurns();
  for (let below = Number.MAX_SAFE_INTEGER; ; ) {
    const rows = await reader
      .selectFrom("changes")
      .select(["id", "kind", "name", "before_json", "renamed_to"])
      .where("id", ">", until)
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

/** The greatest revision that records of these names ever had; 0 for names that are new. */
export async function greatestRevisions(
  reader: Reader,
  kind: "node" | "profile",
  names: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const part of chunksOf(names, ROWS_PER_STATEMENT)) {
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

interface ChangeHead {
  readonly change_set: number;
  readonly at: string;
  readonly author: string;
  readonly address: string | null;
  readonly reason: string | null;
  readonly kind: string;
  readonly name: string;
  readonly renamed_to: string | null;
}

async function latestSets(
  reader: Reader,
  { before = Number.MAX_SAFE_INTEGER, limit, kind }: ChangeQuery,
): Promise<readonly number[]> {
  let query = reader.selectFrom("changes").select("change_set").where("change_set", "<", before);
  query = kind === undefined ? query.where("kind", "<>", "machine") : query.where("kind", "=", kind);
  const rows = await query.groupBy("change_set").orderBy("change_set", "desc").limit(limit).execute();
  return rows.map((row) => row.change_set);
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

function summaryOf(first: ChangeHead, rows: readonly ChangeHead[]): ChangeSummary {
  return {
    id: first.change_set,
    at: new Date(first.at),
    user: first.author,
    ...(first.address === null ? {} : { address: first.address }),
    ...(first.reason === null ? {} : { reason: first.reason }),
    touched: touchedBy(
      rows.map(({ kind, name, renamed_to }) => ({
        ...{ kind, name },
        ...(renamed_to === null ? {} : { renamedTo: renamed_to }),
      })),
    ),
  };
}
