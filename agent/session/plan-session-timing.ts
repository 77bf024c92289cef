/** When things happen on a session: pure, so that a test can say so. */
import type { RetryRule } from "#proto/contract/plan-retry.ts";

const DAY_MS = 86_400_000;

/**
 * The waits between sessions that fail, also those that are refused. Half of each is random, so that nodes that lost
 * their controller in one instant soon ask at moments of their own: one that comes back after an hour gets 10,000 nodes
 * over a minute, at an even pace (plan-session-timing.test.ts simulates it).
 */
export const RECONNECT: RetryRule = { firstMs: 1000, maxMs: 60_000 };

/**
 * The wait until the next heartbeat: 80 to 100 % of what the controller asked for, so that thousands of nodes that
 * were booted together do not speak together. `random` is in [0, 1).
 */
export function planHeartbeatDelayMs(everySeconds: number, random: number): number {
  return Math.round(Math.max(1, everySeconds) * 1000 * (0.8 + 0.2 * random));
}

/**
 * The wait until a certificate is renewed: at two thirds of its life, so that a third of it is left to find a
 * controller. 0 when that is past. At most a day: a timer of Node cannot run longer than 24.8 days, and the
 * clock may be set in between.
 */
export function planRenewalDelayMs(
  certificate: { readonly validFrom: Date; readonly validTo: Date },
  nowMs: number,
): number {
  const from = certificate.validFrom.getTime();
  const dueMs = from + ((certificate.validTo.getTime() - from) * 2) / 3;
  return Math.min(DAY_MS, Math.max(0, Math.round(dueMs - nowMs)));
}
