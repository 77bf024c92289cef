import { expect, test } from "vitest";

import { planRetryDelayMs } from "#proto/contract/plan-retry.ts";

import { planHeartbeatDelayMs, planRenewalDelayMs, RECONNECT } from "./plan-session-timing.ts";

test("heartbeats come at 80 to 100 % of the time asked for, and never in a storm", () => {
  expect([planHeartbeatDelayMs(30, 0), planHeartbeatDelayMs(30, 0.5), planHeartbeatDelayMs(30, 1)]).toEqual([
    24_000, 27_000, 30_000,
  ]);
  expect(planHeartbeatDelayMs(0, 0)).toBe(800);
});

test("a certificate is renewed at two thirds of its life, at once when that is past, and looked at daily", () => {
  const at = (ms: number): Date => new Date(ms);
  const hour = { validFrom: at(0), validTo: at(3_600_000) };
  expect(planRenewalDelayMs(hour, 0)).toBe(2_400_000);
  expect(planRenewalDelayMs(hour, 2_400_000)).toBe(0);
  expect(planRenewalDelayMs(hour, 9_000_000)).toBe(0);
  expect(planRenewalDelayMs({ validFrom: at(0), validTo: at(1e11) }, 0)).toBe(86_400_000);
});

/** Numbers in [0, 1) that are the same every time: mulberry32. */
function openRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("10,000 nodes return to a controller that was away for an hour at an even pace, within a minute", () => {
  const random = openRandom(1);
  const returnMs = 3_600_000;
  const arrivals = Array.from({ length: 10_000 }, () => {
    // All lost it at 0, and ask until one that comes after its return.
    let atMs = 0;
    for (let attempt = 0; atMs < returnMs; attempt++) atMs += planRetryDelayMs(RECONNECT, attempt, random());
    return atMs - returnMs;
  });
  const perSecond = new Map<number, number>();
  for (const ms of arrivals) {
    const second = Math.floor(ms / 1000);
    perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
  }
  expect(Math.max(...arrivals)).toBeLessThan(60_000);
  // 10,000 waits of 45 s on average are 222 in a second; no second has a half more.
  expect(Math.max(...perSecond.values())).toBeLessThan(333);
  // The first second is as any other: nobody waited for it.
  expect(perSecond.get(0)).toBeLessThan(333);
  const first30 = arrivals.filter((ms) => ms < 30_000).length;
  expect(first30).toBeGreaterThan(6000);
  expect(first30).toBeLessThan(7400);
});

test("a node that is refused again and again asks once or twice a minute", () => {
  const waits = Array.from({ length: 9 }, (_, attempt) => planRetryDelayMs(RECONNECT, attempt, 0));
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  expect(planRetryDelayMs(RECONNECT, 1000, 0.999)).toBeLessThanOrEqual(60_000);
});
