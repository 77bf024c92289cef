import type { Transaction } from "kysely";

import { openEffectSummary } from "../history/summarise-effects.ts";
import type { ChangeSummary } from "./changes.ts";
import type { Author } from "./inventory.ts";
import type { InventoryTables } from "./schema.ts";
import { takeTurns } from "./take-turns.ts";

/** One thing before and after a change; undefined where it did not exist. */
export interface Change {
  readonly kind:
    | "node"
    | "profile"
    | "machine"
    | "image"
    | "channel"
    | "identity"
    | "alert"
    | "refused-machine";
  readonly name: string;
  readonly before: object | undefined;
  readonly after: object | undefined;
  readonly renamedTo?: string;
  /** Of a node or profile. */
  readonly revision?: number;
}

/** Rows per statement: SQLite takes 32,766 parameters, PostgreSQL 65,535. */
export const ROWS_PER_STATEMENT = 500;

/** Keeps who changed what, when and why, in the transaction of the change itself. Undefined for no change. */
export async function recordChanges(
  tx: Transaction<InventoryTables>,
  changes: readonly Change[],
  author: Author,
  now: Date,
): Promise<Pick<ChangeSummary, "id" | "groups"> | undefined> {
  if (changes.length === 0) return undefined;
  const pause = takeTurns();
  const summary = openEffectSummary();
  for (const change of changes) {
    summary.add(change);
    await pause();
  }
  const groups = summary.groups();
  const { id } = await tx
    .insertInto("change_sets")
    .values({
      at: now.toISOString(),
      author: author.user,
      address: author.address ?? null,
      reason: author.reason ?? null,
      summary_json: JSON.stringify(groups),
      only_machines: changes.every(({ kind }) => kind === "machine") ? 1 : 0,
    })
    .returning("id")
    .executeTakeFirstOrThrow();
  for (const part of chunksOf(changes, ROWS_PER_STATEMENT)) {
    await tx
      .insertInto("changes")
      .values(
        part.map((change) => ({
          change_set: id,
          kind: change.kind,
          name: change.name,
          before_json: change.before === undefined ? null : JSON.stringify(change.before),
          after_json: change.after === undefined ? null : JSON.stringify(change.after),
          renamed_to: change.renamedTo ?? null,
          revision: change.revision ?? null,
        })),
      )
      .execute();
    await pause();
  }
  return { id, groups };
}

/** Consecutive pieces of at most `size`. */
export function chunksOf<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const chunks: (readonly T[])[] = [];
  for (let at = 0; at < items.length; at += size) chunks.push(items.slice(at, at + size));
  return chunks;
}
