import { errorSentence } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { Telemetry } from "../events/telemetry.ts";
import type { Fleet, NodeStatus } from "../sessions/fleet.ts";
import { findHooks, type FoundHook } from "./find-hooks.ts";
import type { HookBatch, HookChange, HookEvent, HookNews, HookNode } from "./hook-event.ts";
import { readTold, storeTold } from "./keep-told.ts";
import { openHookQueue } from "./open-hook-queue.ts";
import { DOWN_AFTER_MS, NEVER_SEEN, type NodeLife, planNodeLife } from "./plan-node-life.ts";
import { type HookOutcome, runHook } from "./run-hook.ts";

/** How the last run of a hook went. */
export interface LastHookRun extends HookOutcome {
  readonly event: HookEvent;
  /** "c[001-064]", "change 17". */
  readonly about: string;
  readonly at: Date;
}

/** An entry of hooks.d, for people. */
export interface HookView extends FoundHook {
  /** What waits for its runs to end. */
  readonly waiting: number;
  /** Since this musterd started. */
  readonly last: LastHookRun | undefined;
}

/** Runs the site's programs when something happens. Nothing here ever blocks or fails its caller. */
export interface Hooks extends AsyncDisposable {
  readonly directory: string;
  readonly nodeChanged: (status: NodeStatus) => void;
  nodeApproved(node: NodeName): void;
  changeCommitted(change: HookChange): void;
  list(): Promise<readonly HookView[]>;
  /** Runs all hooks now, besides what happens; those of `list` that are run. */
  test(batch: HookBatch): Promise<readonly (LastHookRun & { readonly name: string })[]>;
  /** A node as hooks are told of it. */
  describeNode(node: NodeName): HookNode;
}

/** What happens within this time is told together. */
const COLLECT_MS = 1000;
/** Sessions come back within three minutes of a start of musterd; the agents spread their attempts. */
const RETURN_MS = 180_000;
/** The same failure of the same hook is an event again after this time. */
const REPEAT_EVENT_MS = 60_000;

export async function openHooks(parts: {
  readonly directory: string;
  readonly deadlineMs: number;
  /** The user this program runs as. */
  readonly userId: number;
  /** Where it is kept what hooks were told. */
  readonly toldPath: string;
  readonly fleet: Pick<Fleet, "statusOf">;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly now: () => Date;
  readonly onBug: (error: unknown, where: string) => void;
  /** Default {@link COLLECT_MS}. */
  readonly collectMs?: number;
}): Promise<Hooks> {
  const { directory, deadlineMs, userId, fleet, telemetry, now, onBug } = parts;
  const collectMs = parts.collectMs ?? COLLECT_MS;
  const lives = new Map<NodeName, NodeLife>();
  const waning = new Set<NodeName>();
  const last = new Map<string, LastHookRun>();
  const told = new Map<string, number>();
  const closing = new AbortController();
  let news: HookNews[] = [];
  let timer: NodeJS.Timeout | undefined;
  let isStored = true;
  /** One after the other, so that the newest is the last. */
  let storing: Promise<void> = Promise.resolve();
  let hasHooks = false;

  const run = async (hook: FoundHook, batch: HookBatch): Promise<LastHookRun> => {
    const at = now();
    const outcome = await runHook(hook.path, batch, { deadlineMs, now }, closing.signal);
    const done: LastHookRun = { ...outcome, event: batch.event, about: renderAbout(batch), at };
    last.set(hook.name, done);
    if (outcome.outcome !== "ok") tellFailure(hook, done);
    return done;
  };
  const isNews = (text: string): boolean => {
    const nowMs = now().getTime();
    if (nowMs - (told.get(text) ?? -Infinity) < REPEAT_EVENT_MS) return false;
    if (told.size >= 1000) told.clear();
    told.set(text, nowMs);
    return true;
  };
  const tellFailure = ({ name, path }: FoundHook, { event, about, what, stderr }: LastHookRun): void => {
    if (!isNews(`${name} ${event} ${what} ${stderr}`)) return;
    telemetry.recordEvent({
      severity: "warning",
      kind: "hook-failed",
      what: `hook ${name} at ${event} of ${about}: ${what}${stderr === "" ? "" : `: ${stderr.replaceAll("\n", " | ")}`}`,
      fix: `look at ${path}; try it: muster hook run ${event}`,
    });
  };
  const queue = openHookQueue({
    run: async (hook, batch) => {
      await run(hook, batch);
    },
    onDropped: (hook, count) => {
      telemetry.recordEvent({
        severity: "warning",
        kind: "hook-behind",
        what: `hook ${hook.name} does not keep up: ${count} things that happened were not told to it`,
        fix: `let it do its work in the background of something else, or make it faster: ${hook.path}`,
      });
    },
    onIdle: () => {
      // What a stop interrupted was not told.
      if (closing.signal.aborted) return;
      storing = storing.then(store).catch((error: unknown) => {
        tellTrouble("what hooks were told could not be kept for the next start", error);
      });
    },
    onBug: (error) => {
      if (!closing.signal.aborted) onBug(error, "hooks");
    },
  });
  const store = async (): Promise<void> => {
    if (isStored || !hasHooks) return;
    isStored = true;
    await storeTold(
      parts.toldPath,
      new Map([...lives].flatMap(([node, { upIn }]) => (upIn === undefined ? [] : [[node, upIn] as const]))),
    );
  };
  const tellTrouble = (what: string, error: unknown): void => {
    const text = `${what}: ${errorSentence(error)}`;
    if (!isNews(text)) return;
    telemetry.recordEvent({
      severity: "warning",
      kind: "hook-failed",
      what: text,
      fix: "see that the directory is there and may be read by musterd",
    });
  };
  const tellRefused = (hooks: readonly FoundHook[]): void => {
    for (const { name, trust } of hooks) {
      if (trust.verdict !== "refuse" || !isNews(`${name} ${trust.why}`)) continue;
      const what = `hook ${name} is not run: ${trust.why}`;
      telemetry.recordEvent({ severity: "error", kind: "hook-refused", what, fix: trust.fix });
    }
  };
  const flush = async (): Promise<void> => {
    timer = undefined;
    const collected = news;
    news = [];
    const found = await findHooks(directory, userId);
    tellRefused(found);
    const usable = found.filter(({ trust }) => trust.verdict === "run");
    hasHooks = usable.length > 0;
    for (const hook of usable) queue.add(hook, collected);
  };
  const happened = (one: HookNews): void => {
    if (closing.signal.aborted) return;
    news.push(one);
    timer ??= setTimeout(() => {
      flush().catch((error: unknown) => {
        tellTrouble(`no hook was run, for ${directory} cannot be read`, error);
      });
    }, collectMs).unref();
  };
  const describeNode = (node: NodeName): HookNode => {
    const { state, bootId, address, image, imageVersion } = fleet.statusOf(node);
    return {
      ...{ name: node, at: now(), state },
      ...(bootId === undefined ? {} : { bootId }),
      ...(address === undefined ? {} : { address }),
      ...(image === undefined ? {} : { image }),
      ...(imageVersion === undefined ? {} : { imageVersion }),
    };
  };
  const nodeChanged = (status: NodeStatus): void => {
    const { node } = status;
    const planned = planNodeLife(lives.get(node) ?? NEVER_SEEN, status, now().getTime());
    if (planned.life.upIn === undefined) lives.delete(node);
    else lives.set(node, planned.life);
    if (planned.life.waningSinceMs === undefined) waning.delete(node);
    else waning.add(node);
    if (planned.news.length > 0) isStored = false;
    for (const event of planned.news) happened({ event, node: describeNode(node) });
  };

  const startMs = now().getTime();
  for (const [node, upIn] of await readTold(parts.toldPath)) {
    lives.set(node, { upIn, waningSinceMs: startMs + RETURN_MS - DOWN_AFTER_MS });
    waning.add(node);
  }
  const watch = setInterval(() => {
    for (const node of waning) nodeChanged(fleet.statusOf(node));
  }, collectMs).unref();

  return {
    directory,
    nodeChanged,
    nodeApproved: (node) => {
      happened({ event: "node-approved", node: describeNode(node) });
    },
    changeCommitted: (change) => {
      happened({ event: "change-committed", change });
      // A node that was deleted has no status that could change any more.
      for (const { kind, name } of change.touched) {
        const node = name as NodeName;
        if (kind === "node" && lives.has(node)) nodeChanged(fleet.statusOf(node));
      }
    },
    describeNode,
    list: async () =>
      (await findHooks(directory, userId)).map((hook) => ({
        ...hook,
        waiting: queue.waitingFor(hook),
        last: last.get(hook.name),
      })),
    test: async (batch) => {
      const usable = (await findHooks(directory, userId)).filter(({ trust }) => trust.verdict === "run");
      return Promise.all(usable.map(async (hook) => ({ name: hook.name, ...(await run(hook, batch)) })));
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(watch);
      clearTimeout(timer);
      closing.abort(new Error("musterd stops"));
      await queue.settled();
      await storing;
    },
  };
}

function renderAbout({ nodes, changes }: HookBatch): string {
  const text =
    nodes.length > 0
      ? foldNodeSet(nodes.map(({ name }) => name))
      : `change ${changes.map(({ id }) => id).join(", ")}`;
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}
