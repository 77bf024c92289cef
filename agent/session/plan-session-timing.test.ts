import { expect, test } from "vitest";

import { planHeartbeatDelayMs, planRenewalDelayMs } from "./plan-session-timing.ts";

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
