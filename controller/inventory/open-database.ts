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
    const db = new Kysely<InventoryTables>({ dialect: new SqliteDialect({ database: forKysely(sqlite) }) });
    await migrateInventory(db, path);
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

/** What Kysely sees of the connection; its transactions are two statements we spell differently. */
function forKysely(sqlite: Sqlite.Database) {
  return {
    close: (): void => {
      sqlite.close();
    },
    prepare: (sql: string) => {
      // Takes the write lock at once: a transaction that reads first and writes later cannot find the
      // database changed under it and fail with SQLITE_BUSY_SNAPSHOT.
      if (sql === "begin") return sqlite.prepare("begin immediate");
      // SQLite has rolled back by itself after a full disk; Kysely's own attempt would fail and hide why.
      if (sql === "rollback" && !sqlite.inTransaction) return sqlite.prepare("select 1 where 0");
      return sqlite.prepare(sql);
    },
  };
}
