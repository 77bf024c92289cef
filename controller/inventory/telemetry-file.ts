import { closeSync, constants, openSync } from "node:fs";

import Sqlite from "better-sqlite3";
import type { LogLine } from "../events/log-history.ts";
import type {
  BootFailure,
  BootOutcome,
  BootRecord,
  MusterEvent,
  Severity,
  StageRecord,
} from "../events/telemetry.ts";
import { type LogTable, openLogTable } from "./log-table.ts";
import { reserveSpace } from "./reserve-space.ts";
import { openSeenTable, type SeenTable } from "./seen-table.ts";

/**
 * telemetry.db, open. Synchronous and throwing: open-telemetry.ts keeps both from its callers.
 *
 * Statements are prepared once and used directly, without Kysely: this file is local wherever the inventory
 * lives, and is written many times a second while a cluster boots.
 */
export interface TelemetryFile {
  /** One transaction. What is there already is replaced. */
  write(
    events: readonly MusterEvent[],
    boots: readonly BootRecord[],
    lines: readonly LogLine[],
    seen: ReadonlyMap<string, Date>,
  ): void;
  readonly seen: Omit<SeenTable, "write">;
  readonly logs: Omit<LogTable, "write">;
  /** As found when the file was opened; 0 without events. */
  readonly lastEventId: number;
  /** In order of id: the first after `afterId`, or the last of all. */
  listEvents(query: {
    readonly node: string | undefined;
    readonly afterId: number | undefined;
    readonly limit: number;
  }): readonly MusterEvent[];
  /** Newest first. */
  listBoots(query: { readonly node: string | undefined; readonly limit: number }): readonly BootRecord[];
  prune(rule: { readonly before: Date; readonly maxEvents: number; readonly maxBoots: number }): void;
  close(): void;
}

/** Bumped when the tables change; a file of another version is begun anew, as history may be lost. */
const LAYOUT = 1;

const TABLES = `
  create table events (
    id integer primary key, at_ms integer not null, severity text not null, kind text not null,
    node text, what text not null, fix text);
  create index events_by_node on events (node, id);
  create index events_by_time on events (at_ms);
  create table boots (
    boot_id text primary key not null, node text, mac text not null, started_ms integer not null,
    image text, image_version integer, outcome text not null, stages text not null, ready_ms integer,
    failure text) without rowid;
  create index boots_by_start on boots (started_ms);
  create index boots_by_node on boots (node, started_ms);
  pragma user_version = ${LAYOUT};`;

interface EventRow {
  readonly id: number;
  readonly at_ms: number;
  readonly severity: string;
  readonly kind: string;
  readonly node: string | null;
  readonly what: string;
  readonly fix: string | null;
}

interface BootRow {
  readonly boot_id: string;
  readonly node: string | null;
  readonly mac: string;
  readonly started_ms: number;
  readonly image: string | null;
  readonly image_version: number | null;
  readonly outcome: string;
  readonly stages: string;
  readonly ready_ms: number | null;
  readonly failure: string | null;
}

/** Opens or creates the file (mode 0600: kernel logs are in it). Throws what SQLite or the file system throws. */
export function openTelemetryFile(path: string, now: () => Date): TelemetryFile {
  closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600));
  const db = new Sqlite(path, { timeout: 100 });
  try {
    prepareTables(db);
    reserveSpace(db);
    return fileOf(db, openLogTable(db, now), openSeenTable(db));
  } catch (error) {
    db.close();
    throw error;
  }
}

function prepareTables(db: Sqlite.Database): void {
  db.pragma("journal_mode = WAL");
  // A power cut may cost the last moments; an fsync per batch would be paid by every request meanwhile.
  db.pragma("synchronous = NORMAL");
  const layout = Number(db.pragma("user_version", { simple: true }));
  if (layout === LAYOUT) return;
  db.transaction(() => {
    db.exec(`drop table if exists events; drop table if exists boots; ${TABLES}`);
  }).immediate();
}

function fileOf(db: Sqlite.Database, logs: LogTable, seenTable: SeenTable): TelemetryFile {
  const putEvent = db.prepare<EventRow>(
    "insert or replace into events values (@id, @at_ms, @severity, @kind, @node, @what, @fix)",
  );
  const putBoot = db.prepare<BootRow>(
    `insert or replace into boots values (@boot_id, @node, @mac, @started_ms, @image, @image_version, @outcome,
     @stages, @ready_ms, @failure)`,
  );
  const eventsAfter = db.prepare<object, EventRow>(
    "select * from events where (@node is null or node = @node) and id > @afterId order by id limit @limit",
  );
  const lastEvents = db.prepare<object, EventRow>(
    `select * from (select * from events where @node is null or node = @node order by id desc limit @limit)
     order by id`,
  );
  const boots = db.prepare<object, BootRow>(
    `select * from boots where @node is null or node = @node order by started_ms desc, boot_id desc limit @limit`,
  );
  const bootsOfNode = db.prepare<object, BootRow>(
    "select * from boots where node = @node order by started_ms desc, boot_id desc limit @limit",
  );
  const write = db.transaction(
    (
      events: readonly MusterEvent[],
      records: readonly BootRecord[],
      lines: readonly LogLine[],
      seen: ReadonlyMap<string, Date>,
    ) => {
      for (const event of events) putEvent.run(rowOfEvent(event));
      for (const boot of records) putBoot.run(rowOfBoot(boot));
      logs.write(lines);
      seenTable.write(seen);
    },
  );
  return {
    logs,
    seen: seenTable,
    write: (events, records, lines, seen) => {
      write.immediate(events, records, lines, seen);
    },
    lastEventId: db.prepare<[], number>("select coalesce(max(id), 0) from events").pluck().get() ?? 0,
    listEvents: ({ node, afterId, limit }) =>
      (afterId === undefined
        ? lastEvents.all({ node: node ?? null, limit })
        : eventsAfter.all({ node: node ?? null, afterId, limit })
      ).map(eventOfRow),
    listBoots: ({ node, limit }) =>
      (node === undefined ? boots.all({ node: null, limit }) : bootsOfNode.all({ node, limit })).map(
        bootOfRow,
      ),
    prune: ({ before, maxEvents, maxBoots }) => {
      db.prepare("delete from events where at_ms < ?").run(before.getTime());
      db.prepare(
        "delete from events where id <= (select id from events order by id desc limit 1 offset ?)",
      ).run(maxEvents);
      db.prepare("delete from boots where started_ms < ?").run(before.getTime());
      db.prepare(
        `delete from boots where boot_id in
         (select boot_id from boots order by started_ms desc, boot_id desc limit -1 offset ?)`,
      ).run(maxBoots);
    },
    close: () => {
      db.close();
    },
  };
}

function rowOfEvent(event: MusterEvent): EventRow {
  return {
    id: event.id,
    at_ms: event.at.getTime(),
    severity: event.severity,
    kind: event.kind,
    node: event.node ?? null,
    what: event.what,
    fix: event.fix ?? null,
  };
}

function eventOfRow(row: EventRow): MusterEvent {
  return {
    id: row.id,
    at: new Date(row.at_ms),
    severity: row.severity as Severity,
    kind: row.kind,
    ...(row.node === null ? {} : { node: row.node }),
    what: row.what,
    ...(row.fix === null ? {} : { fix: row.fix }),
  };
}

function rowOfBoot(boot: BootRecord): BootRow {
  return {
    boot_id: boot.bootId,
    node: boot.node ?? null,
    mac: boot.mac,
    started_ms: boot.startedAt.getTime(),
    image: boot.image ?? null,
    image_version: boot.imageVersion ?? null,
    outcome: boot.outcome,
    stages: JSON.stringify(boot.stages),
    ready_ms: boot.readyAt?.getTime() ?? null,
    failure: boot.failure === undefined ? null : JSON.stringify(boot.failure),
  };
}

function bootOfRow(row: BootRow): BootRecord {
  return {
    bootId: row.boot_id,
    ...(row.node === null ? {} : { node: row.node }),
    mac: row.mac,
    startedAt: new Date(row.started_ms),
    ...(row.image === null ? {} : { image: row.image }),
    ...(row.image_version === null ? {} : { imageVersion: row.image_version }),
    outcome: row.outcome as BootOutcome,
    stages: JSON.parse(row.stages) as readonly StageRecord[],
    ...(row.ready_ms === null ? {} : { readyAt: new Date(row.ready_ms) }),
    ...(row.failure === null ? {} : { failure: JSON.parse(row.failure) as BootFailure }),
  };
}
