import type { Kysely, Transaction } from "kysely";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { ApiToken } from "./inventory.ts";
import type { InventoryTables } from "./schema.ts";

type Tx = Transaction<InventoryTables>;
type Reader = Kysely<InventoryTables>;

/** "Last used" is written at most this often per token: a monitoring script must not cost an fsync per request. */
const LAST_USED_GRAIN_MS = 60_000;

export async function addApiToken(tx: Tx, name: string, hash: string, now: Date): Promise<void> {
  const taken = await tx.selectFrom("api_tokens").select("name").where("name", "=", name).executeTakeFirst();
  if (taken !== undefined) {
    throw new MusterError({
      code: "token-exists",
      what: `there is an API token named ${JSON.stringify(name)} already`,
      fix: "choose another name, or delete that token first",
    });
  }
  await tx
    .insertInto("api_tokens")
    .values({ name, hash, created_at: now.toISOString(), last_used_at: null })
    .execute();
}

export async function useApiToken(tx: Tx, hash: string, now: Date): Promise<ApiToken | undefined> {
  const row = await tx.selectFrom("api_tokens").selectAll().where("hash", "=", hash).executeTakeFirst();
  if (row === undefined) return undefined;
  const usedMs = row.last_used_at === null ? 0 : Date.parse(row.last_used_at);
  if (now.getTime() - usedMs < LAST_USED_GRAIN_MS) return apiTokenOfRow(row);
  const last_used_at = now.toISOString();
  await tx.updateTable("api_tokens").set({ last_used_at }).where("hash", "=", hash).execute();
  return apiTokenOfRow({ ...row, last_used_at });
}

export async function listApiTokens(tx: Reader): Promise<readonly ApiToken[]> {
  return (await tx.selectFrom("api_tokens").selectAll().orderBy("name").execute()).map(apiTokenOfRow);
}

export async function deleteApiToken(tx: Tx, name: string): Promise<void> {
  const gone = await tx.deleteFrom("api_tokens").where("name", "=", name).returning("name").execute();
  if (gone.length > 0) return;
  throw new MusterError({
    code: "not-found",
    what: `there is no API token named ${JSON.stringify(name)}`,
    fix: "list the tokens to see their names",
  });
}

function apiTokenOfRow(row: InventoryTables["api_tokens"]): ApiToken {
  return {
    name: row.name,
    createdAt: new Date(row.created_at),
    ...(row.last_used_at === null ? {} : { lastUsedAt: new Date(row.last_used_at) }),
  };
}
