/** What a node may still write, and what it was denied. */
export interface LogBudget {
  /** Lines, at most {@link LOG_LIMITS}.burst. */
  readonly lines: number;
  /** When that was so. */
  readonly atMs: number;
  /** Lines that were left out since it was last said that lines were left out. */
  readonly denied: number;
}

/**
 * A boot and a full ring of the agent together are some 700 lines. After that a line in two seconds: a node in a loop
 * writes 7 MB a day, and the sum of ten thousand of them is what one disk can write.
 */
export const LOG_LIMITS = { burst: 1500, linesPerSecond: 0.5 } as const;
/** It is said that lines are left out once this many may be written again, so that saying it does not alternate with them. */
const TELL_AT = 50;

/** The budget of a node that has written nothing yet. */
export function fullLogBudget(nowMs: number): LogBudget {
  return { lines: LOG_LIMITS.burst, atMs: nowMs, denied: 0 };
}

/**
 * How many of `count` lines are kept (the first ones: they tell what began it), and the budget after that. `told` is how
 * many were left out before, to be said now; 0: nothing is to be said.
 */
export function planLogLines(
  budget: LogBudget,
  count: number,
  nowMs: number,
): { readonly kept: number; readonly told: number; readonly budget: LogBudget } {
  const gained = (Math.max(0, nowMs - budget.atMs) / 1000) * LOG_LIMITS.linesPerSecond;
  const lines = Math.min(LOG_LIMITS.burst, budget.lines + gained);
  const isToTell = budget.denied > 0 && lines >= TELL_AT;
  // While something is denied nothing more is kept, until there is enough to go on with.
  const kept = budget.denied > 0 && !isToTell ? 0 : Math.min(count, Math.floor(lines));
  const told = isToTell ? budget.denied : 0;
  const denied = (isToTell ? 0 : budget.denied) + count - kept;
  return { kept, told, budget: { lines: lines - kept, atMs: nowMs, denied } };
}
