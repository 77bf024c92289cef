import { existsSync, renameSync, rmSync } from "node:fs";

import type { LogHistory, LogLine } from "../events/log-history.ts";
import type { SeenHistory } from "../events/seen-history.ts";
import type { BootRecord, MusterEvent, Telemetry } from "../events/telemetry.ts";
import { openTelemetryFile, type TelemetryFile } from "./telemetry-file.ts";
import { createTelemetryQueue } from "./telemetry-queue.ts";

/** Writes are gathered this long: one transaction for what a rack that boots says in a moment. */
const BATCH_MS = 250;
/** A file that cannot be opened or written is tried again this often. */
const RETRY_MS = 5_000;
/** Retention is enforced this often, and at the start. */
const PRUNE_MS = 10 * 60_000;
/** What waits to be written, at most, of each kind. Beyond it the oldest go. */
const MAX_QUEUED = 20_000;

/** What is kept of one node: some ten boots and what an agent says in a quiet month. */
const MAX_LOG_LINES_PER_NODE = 5000;

const DAY_MS = 86_400_000;

export interface TelemetryOptions {
  readonly path: string;
  readonly now: () => Date;
  /** Whatever is exceeded first goes. */
  readonly retention: {
    readonly keepDays: number;
    readonly maxEvents: number;
    readonly maxBoots: number;
    /** Of all nodes. */
    readonly maxLogLines: number;
  };
  /** Told of trouble with the file, for the log. Must not throw. */
  readonly onTrouble?: (what: string, error: unknown) => void;
  /** Default {@link MAX_QUEUED}. */
  readonly maxQueued?: number;
}

/**
 * Opens the history of boots, events and what nodes said in a database file of its own. Never fails: a damaged file is moved
 * to PATH.damaged (replacing an earlier one) and a new one begun; while the file cannot be written the newest
 * records are kept in memory and the file is tried again. How many were lost becomes an event
 * `telemetry-lost` once it can be written.
 */
export function openTelemetry(options: TelemetryOptions): Telemetry & LogHistory & SeenHistory {
  const { path, now, retention, onTrouble = () => undefined } = options;
  const queue = createTelemetryQueue(options.maxQueued ?? MAX_QUEUED);
  const listeners = new Set<(event: MusterEvent) => void>();
  const logListeners = new Set<(lines: readonly LogLine[]) => void>();
  let file: TelemetryFile | undefined;
  let closed = false;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let prunedAtMs = Number.NEGATIVE_INFINITY;
  let hasMoreToPrune = false;
  let timer: NodeJS.Timeout | undefined;
  let lastId = 0;
  let lastLineId = 0;
  /** Bounded by the number of nodes. */
  let unwrittenSeen = new Map<string, Date>();

  function openFile(): TelemetryFile | undefined {
    if (file !== undefined || closed || now().getTime() - triedAtMs < RETRY_MS) return file;
    triedAtMs = now().getTime();
    try {
      file = openTelemetryFile(path, now);
    } catch (error) {
      onTrouble(`the history of boots and events ${path} cannot be opened`, error);
      if (!isDamage(error)) return undefined;
      file = startAnew();
    }
    // Ids only ever grow, whichever file they go to.
    if (file !== undefined) {
      lastId = Math.max(lastId, file.lastEventId);
      lastLineId = Math.max(lastLineId, file.logs.lastId);
    }
    return file;
  }

  function startAnew(): TelemetryFile | undefined {
    try {
      setAside(path);
      return openTelemetryFile(path, now);
    } catch (error) {
      onTrouble(`the history of boots and events ${path} cannot be begun anew`, error);
      return undefined;
    }
  }

  function give(error: unknown): void {
    onTrouble(`the history of boots and events ${path} cannot be used`, error);
    try {
      file?.close();
    } catch {
      // It is given up anyway.
    }
    triedAtMs = now().getTime();
    file = isDamage(error) ? startAnew() : undefined;
  }

  function writeQueued(): void {
    const open = openFile();
    if (open === undefined) return;
    const batch = queue.peek();
    try {
      const lost =
        batch.lost === 0
          ? []
          : [
              {
                id: (lastId += 1),
                at: now(),
                severity: "warning" as const,
                kind: "telemetry-lost",
                what: `${batch.lost} records of boots, events and logs were lost: the history could not be written`,
                fix: `look at the space and permissions of ${path}`,
              },
            ];
      const records = batch.events.length + batch.boots.length + batch.lines.length + lost.length;
      if (records + unwrittenSeen.size > 0) {
        open.write([...batch.events, ...lost], batch.boots, batch.lines, unwrittenSeen);
      }
      queue.drop(batch);
      unwrittenSeen = new Map();
      const nowMs = now().getTime();
      if (nowMs - prunedAtMs >= PRUNE_MS) {
        prunedAtMs = nowMs;
        const before = new Date(nowMs - retention.keepDays * DAY_MS);
        open.prune({ before, maxEvents: retention.maxEvents, maxBoots: retention.maxBoots });
        open.seen.prune(before);
        hasMoreToPrune = true;
      }
      if (hasMoreToPrune) hasMoreToPrune = pruneLogs(open);
    } catch (error) {
      give(error);
    }
  }

  function pruneLogs(open: TelemetryFile): boolean {
    const before = new Date(now().getTime() - retention.keepDays * DAY_MS);
    return open.logs.prune({ before, maxLines: retention.maxLogLines, maxPerNode: MAX_LOG_LINES_PER_NODE });
  }

  function schedule(): void {
    if (timer !== undefined || closed) return;
    timer = setTimeout(() => {
      timer = undefined;
      writeQueued();
      // What could not be written is tried again, also when nothing new comes; what is too much goes step by step.
      if (!queue.isEmpty() || unwrittenSeen.size > 0 || hasMoreToPrune) schedule();
    }, BATCH_MS);
    timer.unref();
  }

  /** Reads from the file what it has; what is queued is laid over it by the caller. */
  function reading<T>(read: (open: TelemetryFile) => readonly T[]): readonly T[] {
    const open = openFile();
    if (open === undefined) return [];
    try {
      return read(open);
    } catch (error) {
      give(error);
      return [];
    }
  }

  // Without the file its last id is not known either. Milliseconds are beyond any count of events, so that
  // what is recorded meanwhile will not replace what is in the file.
  if (openFile() === undefined) lastId = lastLineId = now().getTime();

  /** A listener that fails harms neither the history nor the others. */
  function tell<T>(told: ReadonlySet<(news: T) => void>, news: T): void {
    for (const listener of told) {
      try {
        listener(news);
      } catch (error) {
        onTrouble("a listener of events failed", error);
      }
    }
  }

  return {
    recordEvent: ({ at, ...event }) => {
      const recorded: MusterEvent = { ...event, id: (lastId += 1), at: at ?? now() };
      queue.addEvent(recorded);
      schedule();
      tell(listeners, recorded);
    },
    recordLogs: (lines) => {
      const recorded = lines.map((line): LogLine => ({ ...line, id: (lastLineId += 1) }));
      queue.addLines(recorded);
      schedule();
      tell(logListeners, recorded);
    },
    recordSeen: (seen) => {
      for (const [node, at] of seen) unwrittenSeen.set(node, at);
      if (unwrittenSeen.size > 0) schedule();
    },
    listSeen: async () => {
      const stored = reading((open) => [...open.seen.list()]);
      return new Map([...stored, ...unwrittenSeen]);
    },
    recordBoot: (boot) => {
      queue.addBoot(boot);
      schedule();
    },
    listEvents: async ({ node, afterId, limit }) => {
      const stored = reading((open) => open.listEvents({ node, afterId, limit }));
      const queued = queue
        .peek()
        .events.filter(
          (event) =>
            (node === undefined || event.node === node) && (afterId === undefined || event.id > afterId),
        );
      const all = [...stored, ...queued];
      return afterId === undefined ? all.slice(Math.max(0, all.length - limit)) : all.slice(0, limit);
    },
    listLogs: async ({ node, boot, afterId, limit }) => {
      const found = reading((open) =>
        open.logs.list({ node, limit, afterId, ...(boot === undefined ? {} : { boot }) }),
      );
      const queued = queue
        .peek()
        .lines.filter(
          (line) =>
            line.node === node &&
            (boot === undefined || line.bootId.startsWith(boot)) &&
            (afterId === undefined || line.id > afterId),
        );
      const all = [...found, ...queued];
      return afterId === undefined ? all.slice(Math.max(0, all.length - limit)) : all.slice(0, limit);
    },
    listBoots: async ({ node, limit }) => {
      const queued = queue.peek().boots;
      const newer = new Set(queued.map((boot) => boot.bootId));
      // As many more as the queued may hide.
      const stored = reading((open) => open.listBoots({ node, limit: limit + newer.size }));
      return [...stored.filter((boot) => !newer.has(boot.bootId)), ...queued]
        .filter((boot) => node === undefined || boot.node === node)
        .sort(newestFirst)
        .slice(0, limit);
    },
    onEvent: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    onLogs: (listener) => {
      logListeners.add(listener);
      return () => {
        logListeners.delete(listener);
      };
    },
    flush: async () => {
      writeQueued();
    },
    [Symbol.asyncDispose]: async () => {
      if (closed) return;
      clearTimeout(timer);
      writeQueued();
      closed = true;
      listeners.clear();
      logListeners.clear();
      try {
        file?.close();
      } catch (error) {
        onTrouble(`the history of boots and events ${path} cannot be closed`, error);
      }
      file = undefined;
    },
  };
}

function newestFirst(a: BootRecord, b: BootRecord): number {
  return b.startedAt.getTime() - a.startedAt.getTime() || (a.bootId < b.bootId ? 1 : -1);
}

function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return false;
  return error.code.startsWith("SQLITE_CORRUPT") || error.code === "SQLITE_NOTADB";
}

function setAside(path: string): void {
  for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
  if (existsSync(path)) renameSync(path, `${path}.damaged`);
}
