import { readFile } from "node:fs/promises";

import { errorSentence } from "#proto/contract/muster-error.ts";

import type { NodeRecord } from "../node-record.ts";
import type { OverlayParts } from "./converge-overlay.ts";
import { DEFAULT_SCHEDULE, openLookTimes } from "./look-times.ts";

/** The schedule that was last told, also by a controller that an earlier agent had. */
export function keepLookTimes(
  { files, host }: OverlayParts,
  look: () => void,
): Disposable & {
  readonly start: () => Promise<void>;
  readonly set: (schedule: typeof DEFAULT_SCHEDULE) => Promise<void>;
} {
  let times: Disposable | undefined;
  let current = "";
  let isStopped = false;
  const use = async (schedule: typeof DEFAULT_SCHEDULE): Promise<void> => {
    const { name } = JSON.parse(await readFile(host.paths.node, "utf8")) as NodeRecord;
    const next = openLookTimes(schedule, name, look);
    times?.[Symbol.dispose]();
    times = next;
    if (isStopped) times[Symbol.dispose]();
    current = JSON.stringify(schedule);
  };
  const noSchedule = (error: unknown): void => {
    host.log(`overlay: no schedule: ${errorSentence(error)}`);
  };
  return {
    start: async () => {
      const kept = await files.readSchedule().catch(() => undefined);
      await use(kept ?? DEFAULT_SCHEDULE).catch(noSchedule);
    },
    set: async (schedule) => {
      if (JSON.stringify(schedule) === current) return;
      await use(schedule)
        .then(() => files.writeSchedule(schedule))
        .catch(noSchedule);
    },
    [Symbol.dispose]: () => {
      isStopped = true;
      times?.[Symbol.dispose]();
    },
  };
}
