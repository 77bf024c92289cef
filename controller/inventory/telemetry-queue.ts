import type { BootRecord, MusterEvent } from "../events/telemetry.ts";

/** What waits to be written, oldest first; `lost` had no room. */
interface TelemetryBatch {
  readonly events: readonly MusterEvent[];
  readonly boots: readonly BootRecord[];
  readonly lost: number;
}

/** Events and boots between their recording and the disk. Bounded: the oldest go first, and are counted. */
export interface TelemetryQueue {
  addEvent(event: MusterEvent): void;
  /** Replaces what waits of the same boot. */
  addBoot(boot: BootRecord): void;
  peek(): TelemetryBatch;
  /** Takes out what was peeked, now that it is written; what came since stays. */
  drop(batch: TelemetryBatch): void;
  isEmpty(): boolean;
}

export function createTelemetryQueue(maxOfEach: number): TelemetryQueue {
  let events: MusterEvent[] = [];
  const boots = new Map<string, BootRecord>();
  let lost = 0;
  return {
    addEvent: (event) => {
      events.push(event);
      // A quarter at once: shift() of each would move the whole array for every event of a storm.
      if (events.length > maxOfEach) {
        const surplus = Math.ceil(maxOfEach / 4);
        events = events.slice(surplus);
        lost += surplus;
      }
    },
    addBoot: (boot) => {
      boots.delete(boot.bootId);
      boots.set(boot.bootId, boot);
      if (boots.size <= maxOfEach) return;
      const [oldest] = boots.keys();
      if (oldest !== undefined) boots.delete(oldest);
      lost += 1;
    },
    peek: () => ({ events, boots: [...boots.values()], lost }),
    drop: (batch) => {
      const written = new Set(batch.events);
      events = events.filter((event) => !written.has(event));
      for (const boot of batch.boots) if (boots.get(boot.bootId) === boot) boots.delete(boot.bootId);
      lost -= batch.lost;
    },
    isEmpty: () => events.length + boots.size + lost === 0,
  };
}
