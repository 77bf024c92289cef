import type Sqlite from "better-sqlite3";

import type { LogLine, LogQuery } from "../events/log-history.ts";

/** What nodes said, in telemetry.db. Synchronous and throwing, as the file it is part of. */
export interface LogTable {
  /** As found when the file was opened; 0 without lines. */
  readonly lastId: number;
  /** Within a transaction of the caller's. */
  write(lines: readonly LogLine[]): void;
  /** In order of id: the first after `afterId`, or the last of all. */
  list(query: LogQuery & { readonly afterId: number | undefined }): readonly LogLine[];
  /**
   * Deletes some of what is too much, in some tens of milliseconds: all else waits meanwhile. True: there is more, and
   * this is to be called again soon.
   */
  prune(rule: { readonly before: Date; readonly maxLines: number; readonly maxPerNode: number }): boolean;
}

// Added to files of releases that had none: no reason to begin the history anew.
const TABLES = `
  create table if not exists logs (
    id integer primary key, kept_ms integer not null, at_ms integer not null, node text not null,
    boot_id text not null, source text not null, text text not null);
  create index if not exists logs_by_node on logs (node, id);`;

/** A node is looked at for its own limit when it wrote this much since: nodes that only boot never are. */
const PRUNE_NODE_AFTER = 500;
/** Lines deleted in one step (0.02 ms each), and nodes looked at in one. A cluster that boots writes millions of lines. */
const PRUNE_STEP = 2000;
const NODES_A_STEP = 50;

interface LogRow {
  readonly id: number;
  readonly kept_ms: number;
  readonly at_ms: number;
  readonly node: string;
  readonly boot_id: string;
  readonly source: string;
  readonly text: string;
}

/** The table of a database, made when it is not there. `now` is when lines are kept: the clocks of nodes may be wrong. */
export function openLogTable(db: Sqlite.Database, now: () => Date): LogTable {
  db.exec(TABLES);
  const put = db.prepare<LogRow>(
    "insert or replace into logs values (@id, @kept_ms, @at_ms, @node, @boot_id, @source, @text)",
  );
  const ofNode = "node = @node and (@boot is null or substr(boot_id, 1, length(@boot)) = @boot)";
  const linesAfter = db.prepare<object, LogRow>(
    `select * from logs where ${ofNode} and id > @afterId order by id limit @limit`,
  );
  const lastLines = db.prepare<object, LogRow>(
    `select * from (select * from logs where ${ofNode} order by id desc limit @limit) order by id`,
  );
  const pruneNode = db.prepare(
    "delete from logs where node = @node and id <= (select id from logs where node = @node order by id desc limit 1 offset @keep)",
  );
  const pruneSurplus = db.prepare(
    "delete from logs where id in (select id from logs order by id limit @step) and id <= (select max(id) from logs) - @keep",
  );
  const pruneOld = db.prepare(
    "delete from logs where id in (select id from logs order by id limit @step) and kept_ms < @before",
  );
  const written = new Map<string, number>();
  return {
    lastId: db.prepare<[], number>("select coalesce(max(id), 0) from logs").pluck().get() ?? 0,
    write: (lines) => {
      const keptMs = now().getTime();
      for (const { id, at, node, bootId, source, text } of lines) {
        put.run({ id, kept_ms: keptMs, at_ms: at.getTime(), node, boot_id: bootId, source, text });
        written.set(node, (written.get(node) ?? 0) + 1);
      }
    },
    list: ({ node, boot, afterId, limit }) => {
      const query = { node, boot: boot ?? null, limit };
      const rows = afterId === undefined ? lastLines.all(query) : linesAfter.all({ ...query, afterId });
      return rows.map(lineOfRow);
    },
    prune: ({ before, maxLines, maxPerNode }) => {
      let [nodes, deleted] = [0, 0];
      for (const [node, count] of written) {
        if (count < PRUNE_NODE_AFTER) continue;
        if (nodes === NODES_A_STEP || deleted >= PRUNE_STEP) return true;
        nodes += 1;
        deleted += pruneNode.run({ node, keep: maxPerNode }).changes;
        written.delete(node);
      }
      if (deleted >= PRUNE_STEP) return true;
      const step = PRUNE_STEP;
      if (pruneSurplus.run({ step, keep: maxLines }).changes === step) return true;
      return pruneOld.run({ step, before: before.getTime() }).changes === step;
    },
  };
}

function lineOfRow({ id, at_ms, node, boot_id, source, text }: LogRow): LogLine {
  return { id, at: new Date(at_ms), node, bootId: boot_id, source, text };
}
