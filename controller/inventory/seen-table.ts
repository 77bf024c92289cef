import type Sqlite from "better-sqlite3";

/** When nodes were last seen, in telemetry.db. Synchronous and throwing, as the file it is part of. */
export interface SeenTable {
  /** Within a transaction of the caller's. */
  write(seen: ReadonlyMap<string, Date>): void;
  list(): ReadonlyMap<string, Date>;
  prune(before: Date): void;
}

// Added to files of releases that had none: no reason to begin the history anew.
const TABLE =
  "create table if not exists seen (node text primary key not null, at_ms integer not null) without rowid";

export function openSeenTable(db: Sqlite.Database): SeenTable {
  db.exec(TABLE);
  const put = db.prepare("insert or replace into seen values (@node, @at_ms)");
  const all = db.prepare<[], { readonly node: string; readonly at_ms: number }>("select * from seen");
  const prune = db.prepare("delete from seen where at_ms < ?");
  return {
    write: (seen) => {
      for (const [node, at] of seen) put.run({ node, at_ms: at.getTime() });
    },
    list: () => new Map(all.all().map(({ node, at_ms }) => [node, new Date(at_ms)])),
    prune: (before) => {
      prune.run(before.getTime());
    },
  };
}
