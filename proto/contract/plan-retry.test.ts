import { expect, it } from "vitest";

import { planRetryDelayMs } from "./plan-retry.ts";

const RULE = { firstMs: 500, maxMs: 30_000 };

it.each([
  [0, 0, 250],
  [0, 0.999_999, 500],
  [3, 0.5, 3000],
  [6, 0, 15_000],
  [60, 0.999_999, 30_000],
  [100_000, 0, 15_000],
])("try %d with random %d waits %d ms", (attempt, random, expected) => {
  expect(planRetryDelayMs(RULE, attempt, random)).toBe(expected);
});
