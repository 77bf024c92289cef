import { readFile, rename } from "node:fs/promises";

import type { LogLine } from "#proto/gen/muster/v1/session.ts";

import type { HostPaths } from "../host-paths.ts";
import type { ControllerLink } from "./controller-link.ts";
import { openLogRing } from "./log-ring.ts";
import { parseBootLog } from "./parse-boot-log.ts";

/** As much as is worth keeping of an hour in which no controller answers. */
const RING_LINES = 500;
/** Lines in one message: some 100 KB at most. */
const MESSAGE_LINES = 200;
/** A boot says some dozens of lines; one that fails and tries again for hours says more than anybody reads. */
const MAX_BOOT_LINES = 400;
/** What is said meanwhile goes together. Short, as what an agent that is killed has not sent yet is lost. */
const BATCH_MS = 1000;

/** Sends what this node says to whichever controller there is. */
export interface LogShipping {
  /** `source` is one of those of LogLine in session.proto. Returns at once; nothing that fails here is told to anybody. */
  readonly say: (source: "agent" | "reaction", text: string) => void;
}

/** What shipping needs of its surroundings. */
export interface LogShippingHost {
  readonly paths: Pick<HostPaths, "bootLog">;
  readonly now: () => number;
  readonly uptimeMs: () => number;
}

/**
 * Sends lines a second after they were said, several in one message; at once what was said before a session
 * opened, beginning with what the boot said on the console, which is sent once. While nothing is said nothing runs, and
 * while no controller answers the newest lines are kept. When `stop` aborts, what is left is sent before the session
 * ends: who asked for a restart is said last. For that the agent makes this before it opens sessions.
 */
export function shipLogs(
  host: LogShippingHost,
  link: Pick<ControllerLink, "send" | "onWelcome">,
  stop: AbortSignal,
): LogShipping {
  const ring = openLogRing(RING_LINES);
  let timer: NodeJS.Timeout | undefined;
  let isOpen = false;

  const ship = (): void => {
    clearTimeout(timer);
    timer = undefined;
    while (isOpen && !ring.isEmpty()) {
      link.send({ $case: "logLines", value: { lines: ring.take(MESSAGE_LINES, host.now()) } });
    }
  };
  const shipSoon = (): void => {
    if (!isOpen || timer !== undefined) return;
    timer = setTimeout(ship, BATCH_MS);
    // Nothing is worth keeping an agent alive that has been told to end.
    timer.unref();
  };

  stop.addEventListener("abort", ship, { once: true });
  link.onWelcome((_welcome, ended) => {
    ended.addEventListener("abort", () => {
      isOpen = false;
      clearTimeout(timer);
      timer = undefined;
    });
    takeBootLog(host)
      .then((lines) => {
        if (ended.aborted) {
          for (const line of lines) ring.add(line);
          return;
        }
        isOpen = true;
        for (let at = 0; at < lines.length; at += MESSAGE_LINES) {
          link.send({ $case: "logLines", value: { lines: lines.slice(at, at + MESSAGE_LINES) } });
        }
        ship();
      })
      .catch(() => undefined);
  });

  return {
    say: (source, text) => {
      for (const line of text.split("\n")) {
        if (line.trim() !== "") ring.add({ atMs: host.now(), source, text: line });
      }
      shipSoon();
    },
  };
}

/** What the boot said, the first time it is asked for; after that, also by an agent that was started again: nothing. */
async function takeBootLog(host: LogShippingHost): Promise<LogLine[]> {
  const taken = `${host.paths.bootLog}.sent`;
  try {
    // First: sent twice is worse than, in a crash between the two, not sent.
    await rename(host.paths.bootLog, taken);
    const lines = parseBootLog(await readFile(taken, "utf8"), host.now() - host.uptimeMs());
    return lines.slice(-MAX_BOOT_LINES);
  } catch {
    return [];
  }
}
