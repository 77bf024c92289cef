import { ERROR_MEANINGS, type ErrorCode } from "#proto/contract/muster-error.ts";
import { planRetryDelayMs } from "#proto/contract/plan-retry.ts";

/** The steps of a boot that can be taken again, in order. Each takes up where the one before left off. */
export const BOOT_STEPS = [
  "network",
  "connect",
  "enrol",
  "plan",
  "fetch",
  "mount",
  "overlay",
  "switch",
] as const;
export type BootStep = (typeof BOOT_STEPS)[number];

/** What follows a failure. */
export type AfterFailure =
  | { readonly kind: "retry"; readonly from: BootStep; readonly delayMs: number }
  | { readonly kind: "reboot"; readonly afterSeconds: number }
  | { readonly kind: "shell" };

export interface FailureFacts {
  readonly step: BootStep;
  readonly code: ErrorCode;
  /** How often this step has failed in a row before. */
  readonly failedBefore: number;
  /** Time left until the boot is given up. */
  readonly remainingMs: number;
  /** 0: an operator wants to see the failed machine. */
  readonly rebootAfterSeconds: number;
  /** In [0, 1). */
  readonly random: number;
}

const RETRY = { firstMs: 1000, maxMs: 30_000 };

/**
 * | code                                            | time left | follows                                      |
 * |-------------------------------------------------|-----------|----------------------------------------------|
 * | kernel-mismatch                                 | any       | restart at once: the right kernel comes then |
 * | token-refused, enrolment-refused, blob-corrupt, | any       | restart: a new boot script has a new token,  |
 * |   memory-insufficient, ... (not retryable)      |           |   a corrected image, another plan            |
 * | ticket-refused, permission-denied at fetch      | yes       | a new plan: tickets expire                   |
 * | retryable, at connect                           | yes       | from the network on: the lease may be gone   |
 * | retryable, at another step                      | yes       | the same step again                          |
 * | retryable                                       | no        | restart                                      |
 *
 * "Restart" is a shell for whoever set muster.reboot_after=0. A mismatched kernel restarts even then: a shell
 * would help nobody.
 */
export function planAfterFailure(facts: FailureFacts): AfterFailure {
  if (facts.code === "kernel-mismatch") return { kind: "reboot", afterSeconds: 0 };
  const from = retryFrom(facts);
  const delayMs = planRetryDelayMs(RETRY, facts.failedBefore, facts.random);
  if (from !== undefined && delayMs < facts.remainingMs) return { kind: "retry", from, delayMs };
  if (facts.rebootAfterSeconds === 0) return { kind: "shell" };
  return { kind: "reboot", afterSeconds: facts.rebootAfterSeconds };
}

function retryFrom({ step, code, failedBefore }: FailureFacts): BootStep | undefined {
  // Tickets are for minutes; one fresh plan, then it is a real refusal.
  const isTicket = code === "ticket-refused" || code === "permission-denied";
  if (step === "fetch" && isTicket) return failedBefore < 2 ? "plan" : undefined;
  if (!ERROR_MEANINGS[code].retryable) return undefined;
  return step === "connect" ? "network" : step;
}
