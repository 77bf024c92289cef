import { setImmediate as nextTurn } from "node:timers/promises";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { collectGarbage, giveMemoryBack } from "./give-memory-back.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Whether something that nothing refers to has been collected. */
function makeGarbage(): () => Promise<boolean> {
  const garbage = new WeakRef({});
  return async () => {
    // A WeakRef holds its object until the end of the turn in which it was made or read.
    await nextTurn();
    return garbage.deref() === undefined;
  };
}

test("a full collection frees what nothing refers to", async () => {
  const isGone = makeGarbage();
  await nextTurn();
  collectGarbage();
  expect(await isGone()).toBe(true);
});

test("memory is given back 45 s after the start and after each welcome, and once an hour", async () => {
  const welcomes: (() => void)[] = [];
  const stop = new AbortController();
  giveMemoryBack({ onWelcome: (listener) => void welcomes.push(listener as () => void) }, stop.signal);
  for (let session = 0; session < 3; session++) {
    const isGone = makeGarbage();
    await nextTurn();
    vi.advanceTimersByTime(44_000);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1000);
    expect(await isGone()).toBe(true);
    for (const welcome of welcomes) welcome();
  }
  vi.advanceTimersByTime(45_000);
  const isGone = makeGarbage();
  await nextTurn();
  vi.advanceTimersByTime(3_600_000);
  expect(await isGone()).toBe(true);
  stop.abort();
  expect(vi.getTimerCount()).toBe(0);
  for (const welcome of welcomes) welcome();
  expect(vi.getTimerCount()).toBe(0);
});
