import Sqlite from "better-sqlite3";

import { MusterError } from "#proto/contract/muster-error.ts";

const RESTORE =
  "stop musterd, keep a copy of the file, try `sqlite3 FILE .recover`, or restore the last backup of it";

/**
 * What a failure of SQLite or of its file means to the operator: `disk-full` or `database-unusable`.
 * A MusterError, and an error that does not come from the database, is returned as it is.
 */
export function databaseError(error: unknown, path: string): unknown {
  if (error instanceof MusterError) return error;
  const code = codeOf(error);
  if (code === "SQLITE_FULL" || code === "ENOSPC" || code === "EDQUOT") {
    return new MusterError({
      code: "disk-full",
      what: `nothing was changed: no space left for the inventory ${path}`,
      fix: "free space on its file system (`df`), then try again; `muster doctor` shows what muster uses",
      cause: error,
    });
  }
  const reason = reasonOf(code, path);
  if (reason === undefined && !(error instanceof Error && error.message.startsWith("quick_check: "))) {
    return error;
  }
  return new MusterError({
    code: "database-unusable",
    what: `the inventory ${path} ${reason?.what ?? "is damaged"}`,
    fix: reason?.fix ?? RESTORE,
    cause: error,
  });
}

function codeOf(error: unknown): string {
  if (error instanceof Sqlite.SqliteError) return error.code;
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function reasonOf(code: string, path: string): { readonly what: string; readonly fix: string } | undefined {
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") {
    return { what: "is damaged or is no database", fix: RESTORE };
  }
  if (code.startsWith("SQLITE_READONLY") || code === "EROFS" || code === "EACCES" || code === "EPERM") {
    return {
      what: "cannot be written",
      fix: `give the user musterd runs as write access to ${path} and its directory, and check that the file system is not mounted read-only`,
    };
  }
  if (code === "ENOENT" || code === "ENOTDIR") {
    return {
      what: "cannot be created: its directory does not exist",
      fix: "create the directory of paths.state",
    };
  }
  if (code === "EISDIR" || code === "ELOOP") {
    return { what: "is not a regular file", fix: "move it away, or point paths.state elsewhere" };
  }
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) {
    return {
      what: "is locked by another process",
      fix: `end what holds it (\`fuser ${path}\` names it), then try again`,
    };
  }
  if (code.startsWith("SQLITE_IOERR") || code === "SQLITE_CANTOPEN" || code === "EIO") {
    return { what: "cannot be read or written", fix: "look for disk errors in the kernel log (`dmesg`)" };
  }
  return undefined;
}
