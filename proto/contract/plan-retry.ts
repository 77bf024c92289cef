/** How often to try again: exponential back-off with full jitter, between half and all of the step. */
export interface RetryRule {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * The wait before try `attempt` (0 is the first retry), in milliseconds.
 * `random` is in [0, 1). Jitter keeps a rack that lost its controller from returning in one instant.
 *
 * planRetryDelayMs({ firstMs: 500, maxMs: 30_000 }, 3, 0.5) === 3000
 */
export function planRetryDelayMs(rule: RetryRule, attempt: number, random: number): number {
  const step = Math.min(rule.maxMs, rule.firstMs * 2 ** Math.min(attempt, 30));
  return Math.round(step / 2 + (step / 2) * random);
}
