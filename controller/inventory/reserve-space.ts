import type { Database } from "better-sqlite3";

const RESERVE_BYTES = 2 * 1024 * 1024;

/**
 * Makes a database in WAL mode able to take small writes while its file system is full: an image that filled the
 * disk must not keep nodes from enrolling, which needs a token and an identity stored each time.
 *
 * A write is filled and dropped again. It leaves its pages free inside the database, and a write-ahead log that is
 * overwritten from its beginning after each checkpoint instead of growing (sqlite.org/wal.html, "Avoiding
 * Excessively Large WAL Files"); checkpoints come early enough to stay within it. Best effort: false when there is
 * no room for it now, or another process holds the file.
 */
export function reserveSpace(sqlite: Database): boolean {
  const pageBytes = Number(sqlite.pragma("page_size", { simple: true }));
  const pages = Math.ceil(RESERVE_BYTES / pageBytes);
  sqlite.pragma(`wal_autocheckpoint = ${Math.ceil(pages / 4)}`);
  try {
    sqlite.exec(`drop table if exists space_reserve; create table space_reserve (filler blob)`);
    sqlite.prepare("insert into space_reserve values (zeroblob(?))").run(RESERVE_BYTES);
    sqlite.pragma("wal_checkpoint(PASSIVE)");
    sqlite.exec("drop table space_reserve");
    sqlite.pragma("wal_checkpoint(PASSIVE)");
    return true;
  } catch {
    return false;
  }
}
