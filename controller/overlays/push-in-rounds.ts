import { setTimeout as sleep } from "node:timers/promises";

import type { NodeName } from "#proto/contract/node-name.ts";

export interface PushTimings {
  /** A node that says nothing about what it was sent is sent the next version after this long. */
  readonly answerMs?: number;
}

/** Sends what is new to all nodes, in rounds. */
export interface PushRounds extends Disposable {
  /** Something is new: a round begins, or another one after that under way. */
  start(): void;
  /** The node was sent something: until it settles, or `giveUp` after a while, it is sent nothing more. */
  expect(node: NodeName, giveUp: () => void): void;
  /** The node is done with what it was sent; what came up meanwhile is sent now. */
  settle(node: NodeName): void;
  forget(node: NodeName): void;
}

const ANSWER_MS = 60_000;
/**
 * What is handed to the connections at once, and how long they get for it before there is more: 2,000 nodes that are
 * each sent 300 KB must not cost 600 MB of memory. Small updates all go in one step.
 */
const STEP_BYTES = 8 * 1024 * 1024;
const STEP_MS = 10;

/** `push` sends a node what is new for it, if anything, and tells how many bytes that was. */
export function openPushRounds(parts: {
  readonly nodes: () => Iterable<NodeName>;
  readonly push: (node: NodeName) => number;
  readonly onBug: (error: unknown, where: string) => void;
  readonly timings?: PushTimings;
}): PushRounds {
  const answerMs = parts.timings?.answerMs ?? ANSWER_MS;
  const waiting = new Map<NodeName, NodeJS.Timeout>();
  let isRunning = false;
  let isWanted = false;
  let isDisposed = false;

  const round = async (): Promise<void> => {
    let bytes = 0;
    for (const node of [...parts.nodes()]) {
      bytes += parts.push(node);
      if (bytes < STEP_BYTES) continue;
      bytes = 0;
      await sleep(STEP_MS);
      if (isDisposed) return;
    }
  };
  const run = async (): Promise<void> => {
    isRunning = true;
    try {
      while (isWanted && !isDisposed) {
        isWanted = false;
        await round();
      }
    } catch (error) {
      parts.onBug(error, "runtime overlays");
    } finally {
      isRunning = false;
    }
  };
  const forget = (node: NodeName): void => {
    clearTimeout(waiting.get(node));
    waiting.delete(node);
  };
  return {
    start: () => {
      isWanted = true;
      if (!isRunning) void run();
    },
    expect: (node, giveUp) => {
      forget(node);
      const timer = setTimeout(() => {
        waiting.delete(node);
        giveUp();
        try {
          parts.push(node);
        } catch (error) {
          // In a timer there is nobody else to catch it: it would end musterd.
          parts.onBug(error, "runtime overlays");
        }
      }, answerMs);
      waiting.set(node, timer.unref());
    },
    settle: (node) => {
      forget(node);
      parts.push(node);
    },
    forget,
    [Symbol.dispose]: () => {
      isDisposed = true;
      for (const node of [...waiting.keys()]) forget(node);
    },
  };
}
