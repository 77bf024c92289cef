import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { openLookTimes, planLookJitterMs } from "./look-times.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: new Date("2026-01-02T03:04:10Z") });
});
afterEach(() => {
  vi.useRealTimers();
});

test("looks come at the schedule's moments, later by the node's share of the jitter, with one timer", async () => {
  const looks: string[] = [];
  const jitterMs = planLookJitterMs("c001", 60);
  const times = openLookTimes({ cron: "*/5 * * * *", jitterSeconds: 60 }, "c001", () => {
    looks.push(new Date(Date.now() - jitterMs).toISOString());
  });
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(15 * 60_000);
  expect(vi.getTimerCount()).toBe(1);
  times[Symbol.dispose]();
  expect(looks).toEqual(["2026-01-02T03:05:00.000Z", "2026-01-02T03:10:00.000Z", "2026-01-02T03:15:00.000Z"]);
});

test("a schedule of once a month is kept by a timer that never waits longer than an hour", async () => {
  let looks = 0;
  const times = openLookTimes({ cron: "0 4 1 * *", jitterSeconds: 0 }, "c001", () => looks++);
  await vi.advanceTimersByTimeAsync(29 * 86_400_000);
  expect(looks).toBe(0);
  await vi.advanceTimersByTimeAsync(2 * 86_400_000);
  expect(looks).toBe(1);
  times[Symbol.dispose]();
  expect(vi.getTimerCount()).toBe(0);
});

test("a node's share is the same every time, and the nodes' shares are spread", () => {
  const shares = Array.from({ length: 1000 }, (_, at) => planLookJitterMs(`c${at}`, 60));
  expect(shares).toEqual(Array.from({ length: 1000 }, (_, at) => planLookJitterMs(`c${at}`, 60)));
  expect(Math.max(...shares)).toBeLessThan(60_000);
  const perSecond = Array.from({ length: 60 }, (_, second) =>
    shares.filter((ms) => Math.floor(ms / 1000) === second),
  );
  expect(Math.max(...perSecond.map(({ length }) => length))).toBeLessThan(40);
  expect(planLookJitterMs("c001", 0)).toBe(0);
});

test("what is no cron expression is refused", () => {
  expect(() => openLookTimes({ cron: "every morning", jitterSeconds: 0 }, "c001", () => undefined)).toThrow();
});
