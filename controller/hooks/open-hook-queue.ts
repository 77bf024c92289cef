import type { FoundHook } from "./find-hooks.ts";
import type { HookBatch, HookNews } from "./hook-event.ts";
import { planHookRuns } from "./plan-hook-runs.ts";

/** What waits to be told to each hook. */
export interface HookQueue {
  add(hook: FoundHook, news: readonly HookNews[]): void;
  waitingFor(hook: Pick<FoundHook, "path">): number;
  /** Resolves when nothing runs any more. */
  settled(): Promise<void>;
}

interface Lane {
  backlog: HookNews[];
  work: Promise<void> | undefined;
}

/** Of one hook: what a site of 10,000 nodes can do in ten restarts. */
const MOST_WAITING = 100_000;
/** Hooks at a time: they may be scripts that start hundreds of programs, on the host that serves boots. */
const MOST_RUNNING = 4;

/**
 * Runs each hook one run at a time, so that it is told things in the order in which they happened, and at most four hooks
 * at a time. What happens while a hook runs waits and is told together: a slow hook gets fewer runs, not more of them.
 */
export function openHookQueue(parts: {
  readonly run: (hook: FoundHook, batch: HookBatch) => Promise<void>;
  readonly onDropped: (hook: FoundHook, count: number) => void;
  /** Everything was told to every hook. */
  readonly onIdle: () => void;
  readonly onBug: (error: unknown) => void;
}): HookQueue {
  const lanes = new Map<string, Lane>();
  const waitingForTurn: (() => void)[] = [];
  let running = 0;
  const takeTurn = async (): Promise<void> => {
    if (running >= MOST_RUNNING) await new Promise<void>((resolve) => waitingForTurn.push(resolve));
    else running += 1;
  };
  const giveTurn = (): void => {
    const next = waitingForTurn.shift();
    if (next === undefined) running -= 1;
    else next();
  };
  const work = async (hook: FoundHook, lane: Lane): Promise<void> => {
    while (lane.backlog.length > 0) {
      const news = lane.backlog;
      lane.backlog = [];
      for (const batch of planHookRuns(news)) {
        await takeTurn();
        try {
          await parts.run(hook, batch);
        } finally {
          giveTurn();
        }
      }
    }
  };
  const start = (hook: FoundHook, lane: Lane): void => {
    lane.work ??= work(hook, lane)
      .catch((error: unknown) => {
        lane.backlog = [];
        parts.onBug(error);
      })
      .finally(() => {
        lane.work = undefined;
        // Between the last look and now more may have come.
        if (lane.backlog.length > 0) start(hook, lane);
        else if ([...lanes.values()].every((one) => one.work === undefined)) parts.onIdle();
      });
  };
  return {
    add: (hook, news) => {
      const lane = lanes.get(hook.path) ?? { backlog: [], work: undefined };
      lanes.set(hook.path, lane);
      const all = [...lane.backlog, ...news];
      const tooMany = all.length - MOST_WAITING;
      lane.backlog = tooMany > 0 ? all.slice(tooMany) : all;
      if (tooMany > 0) parts.onDropped(hook, tooMany);
      start(hook, lane);
    },
    waitingFor: ({ path }) => lanes.get(path)?.backlog.length ?? 0,
    settled: async () => {
      await Promise.all([...lanes.values()].flatMap(({ work: going }) => going ?? []));
    },
  };
}
