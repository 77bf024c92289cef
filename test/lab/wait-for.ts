import { setTimeout as delay } from "node:timers/promises";

import { MusterError } from "#proto/contract/muster-error.ts";

/**
 * Deadlines are written for a quiet machine. Where whole nodes run under emulation on shared cores everything takes a
 * multiple of that, and a deadline has only to end a wait that is hopeless: the end-to-end tests wait this many times longer.
 */
const PATIENCE = Number(process.env["MUSTER_TEST_PATIENCE"] ?? "1");

/** How long to wait, and for what: `what` completes the sentence "waited N s for ...". */
export interface Waiting {
  readonly what: string;
  readonly deadlineMs: number;
  /** Default 100 ms. */
  readonly intervalMs?: number;
  /** Added to the failure: what was there instead. */
  readonly instead?: () => string | Promise<string>;
  readonly signal?: AbortSignal;
}

/**
 * Asks until the answer is something other than undefined or false, and returns it. Throws `deadline-exceeded`
 * with what was there instead; an error from `condition` passes through, for it will not get better by waiting.
 */
export async function waitFor<T>(
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  waiting: Waiting,
): Promise<T> {
  const deadlineMs = waiting.deadlineMs * PATIENCE;
  const started = performance.now();
  for (;;) {
    waiting.signal?.throwIfAborted();
    const answer = await condition();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() - started >= deadlineMs) break;
    await delay(waiting.intervalMs ?? 100, undefined, waiting.signal ? { signal: waiting.signal } : {});
  }
  const instead = await waiting.instead?.();
  throw new MusterError({
    code: "deadline-exceeded",
    what: `waited ${deadlineMs / 1000} s for ${waiting.what}${instead === undefined || instead === "" ? "" : `; instead:\n${instead}`}`,
  });
}
