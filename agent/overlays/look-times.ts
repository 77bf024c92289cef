import { createHash } from "node:crypto";

import { createTask } from "node-cron";

import type { OverlaySchedule } from "#proto/gen/muster/v1/overlay.ts";

/** Until a controller says otherwise. */
export const DEFAULT_SCHEDULE: OverlaySchedule = { cron: "*/5 * * * *", jitterSeconds: 60 };

/** A timer is set anew at least this often: the clock may be set while it runs. */
const LONGEST_WAIT_MS = 3_600_000;

/** A node's part of the jitter: the same every time, spread evenly over the nodes. */
export function planLookJitterMs(nodeName: string, jitterSeconds: number): number {
  const share = createHash("sha256").update(nodeName).digest().readUInt32BE(0) / 2 ** 32;
  return Math.floor(share * jitterSeconds * 1000);
}

/**
 * Calls `look` at each moment of a schedule, later by the jitter. One timer, set for the next moment: node-cron only
 * says when that is. Throws when the cron expression is none.
 */
export function openLookTimes(schedule: OverlaySchedule, nodeName: string, look: () => void): Disposable {
  const task = createTask(schedule.cron, () => undefined);
  const jitterMs = planLookJitterMs(nodeName, schedule.jitterSeconds);
  let timer: NodeJS.Timeout | undefined;
  const arm = (dueMs: number): void => {
    const waitMs = dueMs - Date.now();
    timer = setTimeout(
      () => {
        if (waitMs > LONGEST_WAIT_MS) {
          arm(dueMs);
          return;
        }
        armNext();
        look();
      },
      Math.min(LONGEST_WAIT_MS, Math.max(0, waitMs)),
    );
  };
  const armNext = (): void => {
    const [next] = task.getNextRuns(1);
    if (next !== undefined) arm(next.getTime() + jitterMs);
  };
  armNext();
  return {
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      void task.destroy();
    },
  };
}
