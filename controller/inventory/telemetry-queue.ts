import type { LogLine } from "../events/log-history.ts";
import type { BootRecord, MusterEvent } from "../events/telemetry.ts";

/** What waits to be written, oldest first; `lost` had no room. */
interface TelemetryBatch {
  readonly events: readonly MusterEvent[];
  readonly boots: readonly BootRecord[];
  readonly lines: readonly LogLine[];
  readonly lost: number;
}

/** Events, boots and lines between their recording and the disk. Bounded: the oldest go first, and are counted. */
export interface TelemetryQueue {
  addEvent(event: MusterEvent): void;
  /** Replaces what waits of the same boot. */
  addBoot(boot: BootRecord): void;
  addLines(lines: readonly LogLine[]): void;
  peek(): TelemetryBatch;
  /** Takes out what was peeked, now that it is written; what came since stays. */
  drop(batch: TelemetryBatch): void;
  isEmpty(): boolean;
}

export function createTelemetryQueue(maxOfEach: number): TelemetryQueue {
  let events: MusterEvent[] = [];
  let lines: LogLine[] = [];
  const boots = new Map<string, BootRecord>();
  let lost = 0;
  const bounded = <T>(records: T[]): T[] => {
    if (records.length <= maxOfEach) return records;
    // A quarter at once: shift() of each would move the whole array for every event of a storm.
    const surplus = Math.max(records.length - maxOfEach, Math.ceil(maxOfEach / 4));
    lost += surplus;
    return records.slice(surplus);
  };
  return {
    addEvent: (event) => {
      events.push(event);
      events = bounded(events);
    },
    addLines: (more) => {
      lines.push(...more);
      lines = bounded(lines);
    },
    addBoot: (boot) => {
      boots.delete(boot.bootId);
      boots.set(boot.bootId, boot);
      if (boots.size <= maxOfEach) return;
      const [oldest] = boots.keys();
      if (oldest !== undefined) boots.delete(oldest);
      lost += 1;
    },
    peek: () => ({ events, boots: [...boots.values()], lines, lost }),
    drop: (batch) => {
      const written = new Set(batch.events);
      events = events.filter((event) => !written.has(event));
      const writtenLines = new Set(batch.lines);
      lines = lines.filter((line) => !writtenLines.has(line));
      for (const boot of batch.boots) if (boots.get(boot.bootId) === boot) boots.delete(boot.bootId);
      lost -= batch.lost;
    },
    isEmpty: () => events.length + boots.size + lines.length + lost === 0,
  };
}
