import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import type { ControllerLink } from "./session/controller-link.ts";

/** The first report of the hardware comes up to 30 s after the welcome. */
const IDLE_AFTER_MS = 45_000;
/** What looks at the overlay leave behind: about 1 MiB. */
const AGAIN_AFTER_MS = 3_600_000;

/**
 * Gives back what starting took, 45 s after the start and after each welcome, and then once an hour, in about 15 ms:
 * 5.6 of 23.8 MiB of RssAnon. V8 would keep it for hours, for an idle agent allocates too little to make it look for garbage. Smaller
 * limits instead (`--optimize-for-size`, a semi-space of 1 MiB) give back less, and cost at every start.
 */
export function giveMemoryBack(link: Pick<ControllerLink, "onWelcome">, stop: AbortSignal): void {
  let timer: NodeJS.Timeout | undefined;
  const arm = (afterMs: number): void => {
    clearTimeout(timer);
    if (stop.aborted) return;
    timer = setTimeout(() => {
      collectGarbage();
      arm(AGAIN_AFTER_MS);
    }, afterMs);
  };
  arm(IDLE_AFTER_MS);
  link.onWelcome(() => {
    arm(IDLE_AFTER_MS);
  });
  stop.addEventListener(
    "abort",
    () => {
      clearTimeout(timer);
    },
    { once: true },
  );
}

/**
 * A full garbage collection, of which Node has no function of its own. The flag is set while running because on the
 * command line it would make Node throw the compiled code of its own modules away: 17 ms more for every start.
 */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  collect();
}
