import { expect, test } from "vitest";

import { makeRateLimiter } from "./limit-rate.ts";

const count = (
  limiter: ReturnType<typeof makeRateLimiter>,
  address: string,
  nowMs: number,
  tries: number,
): number => Array.from({ length: tries }, () => limiter(address, nowMs)).filter(Boolean).length;

test("an address may burst, then goes on at its rate", () => {
  const limiter = makeRateLimiter({ perSecond: 10, burst: 20 }, { perSecond: 1000, burst: 1000 });
  expect([
    count(limiter, "a", 0, 50),
    count(limiter, "a", 500, 50),
    count(limiter, "a", 100_000, 50),
  ]).toEqual([20, 5, 20]);
});

test("one flooding address takes nothing from the others", () => {
  const limiter = makeRateLimiter({ perSecond: 1, burst: 2 }, { perSecond: 1, burst: 10 });
  expect([count(limiter, "flood", 0, 10_000), count(limiter, "b", 0, 5), count(limiter, "c", 0, 5)]).toEqual([
    2, 2, 2,
  ]);
});

test("all addresses together are limited too", () => {
  const limiter = makeRateLimiter({ perSecond: 1, burst: 1 }, { perSecond: 1, burst: 10 });
  const passed = Array.from({ length: 100 }, (_, at) => limiter(`10.0.0.${at}`, 0)).filter(Boolean);
  expect(passed.length).toBe(10);
});

test("a clock that steps back gives nothing away", () => {
  const limiter = makeRateLimiter({ perSecond: 1, burst: 1 }, { perSecond: 100, burst: 100 });
  expect([limiter("a", 10_000), limiter("a", 0), limiter("a", 500)]).toEqual([true, false, false]);
});
