import { closeSync, constants, openSync } from "node:fs";

import Sqlite from "better-sqlite3";
import { Kysely, SqliteDialect } from "kysely";

import { databaseError } from "./database-error.ts";
import { migrateInventory } from "./migrations.ts";
import { reserveSpace } from "./reserve-space.ts";
import type { InventoryTables } from "./schema.ts";

/** How long a statement waits for another process (a backup, a person with sqlite3) to let go of the file. */
const BUSY_TIMEOUT_MS = 10_000;

/** The inventory's database, open. */
export interface OpenDatabase {
  readonly db: Kysely<InventoryTables>;
  /** Grows when another process has changed the file. */
  readonly dataVersion: () => number;
  readonly close: () => Promise<void>;
}

/**
 * Opens or creates the inventory's database and brings its schema up to date. The file is readable by its
 * owner only: it holds host keys.
 * Throws `database-newer`, `database-unusable` and `disk-full`.
 */
export async function openDatabase(path: string): Promise<OpenDatabase> {
  let sqlite: Sqlite.Database | undefined;
  try {
    // Created by us, because SQLite would use the umask; O_NOFOLLOW, because musterd may run as root.
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600));
    sqlite = new Sqlite(path, { timeout: BUSY_TIMEOUT_MS });
    sqlite.pragma("journal_mode = WAL");
    // FULL: a committed change survives a power cut. Inventory writes are rare; each may cost an fsync.
    sqlite.pragma("synchronous = FULL");
    sqlite.pragma("foreign_keys = ON");
    const findings = sqlite.pragma("quick_check(1)", { simple: true });
    if (findings !== "ok") throw new Error(`quick_check: ${String(findings)}`);
    const prepare = prepareOn(sqlite);
    await migrateInventory(openKysely(sqlite, prepare), path);
    // Only now: what was prepared before a migration may name columns that have gone.
    const db = openKysely(sqlite, keepStatements(prepare));
    reserveSpace(sqlite);
    const open = sqlite;
    return {
      db,
      dataVersion: () => Number(open.pragma("data_version", { simple: true })),
      close: async () => {
        await db.destroy();
        open.close();
      },
    };
  } catch (error) {
    sqlite?.close();
    throw databaseError(error, path);
  }
}

type Prepare = (sql: string) => Sqlite.Statement;

function openKysely(sqlite: Sqlite.Database, prepare: Prepare): Kysely<InventoryTables> {
  const close = (): void => {
    sqlite.close();
  };
  return new Kysely<InventoryTables>({ dialect: new SqliteDialect({ database: { close, prepare } }) });
}

/** How statements are prepared; of Kysely's transactions two are spelt differently. */
function prepareOn(sqlite: Sqlite.Database): Prepare {
  return (sql) => {
    // Takes the write lock at once: a transaction that reads first and writes later cannot find the
    // database changed under it and fail with SQLITE_BUSY_SNAPSHOT.
    if (sql === "begin") return sqlite.prepare("begin immediate");
    // SQLite has rolled back by itself after a full disk; Kysely's own attempt would fail and hide why.
    if (sql === "rollback" && !sqlite.inTransaction) return sqlite.prepare("select 1 where 0");
    return sqlite.prepare(sql);
  };
}

/** There are a few dozen; lists of values of every length make more. */
const MOST_STATEMENTS = 200;

/**
 * Prepares each statement once: doing it anew for every query took 2 of the 25 ms of CPU that a node's boot costs musterd.
 * Kysely runs a statement to its end before the next one; its streams, which would not, are not used.
 */
function keepStatements(prepare: Prepare): Prepare {
  const kept = new Map<string, Sqlite.Statement>();
  return (sql) => {
    // What it stands for depends on the moment.
    if (sql === "rollback") return prepare(sql);
    const known = kept.get(sql);
    if (known !== undefined) return known;
    const statement = prepare(sql);
    if (kept.size >= MOST_STATEMENTS) kept.clear();
    kept.set(sql, statement);
    return statement;
  };
}
