import type { Digest } from "#proto/contract/digest.ts";

/** What a node said last about its runtime overlay, cleaned and bounded. */
export interface OverlayReport {
  /** Of the manifest that is applied as a whole; undefined: none yet. */
  readonly digest: Digest | undefined;
  /** On the node's clock. */
  readonly appliedAt: Date | undefined;
  readonly reportedAt: Date;
  readonly failure:
    | { readonly digest: string; readonly code: string; readonly what: string; readonly fix: string }
    | undefined;
  readonly drift: readonly OverlayDrift[];
  /** How many paths differ in all. */
  readonly driftCount: number;
  /** Of the last update that had any. */
  readonly reactions: readonly OverlayReactionResult[];
}

/** A path that was changed on the node. */
interface OverlayDrift {
  readonly path: string;
  readonly what: string;
  readonly repaired: boolean;
}

interface OverlayReactionResult {
  readonly command: string;
  /** Empty: it went well. */
  readonly failure: string;
  readonly outputTail: string;
  readonly durationMs: number;
}

/**
 * How a node stands to the overlay it is to have. current: all is as it should be. outdated: it has another
 * version, and is or will be at work on this one. failed: it could not apply this one. drifted: files were changed on
 * it and left so. reaction-failed: applied, but a command that was to run after it failed. unknown: it has not said.
 * unreachable: it has no session; what it said last may still be shown.
 */
export type OverlayVerdict =
  | "current"
  | "outdated"
  | "failed"
  | "drifted"
  | "reaction-failed"
  | "unknown"
  | "unreachable";

/**
 * The report with the reactions of the one before it, when it is of the same update and says nothing of them: a node
 * tells of them once.
 */
export function withReactionsOf(before: OverlayReport | undefined, after: OverlayReport): OverlayReport {
  const isSame =
    before?.digest === after.digest && before?.appliedAt?.getTime() === after.appliedAt?.getTime();
  return isSame && before !== undefined && after.reactions.length === 0
    ? { ...after, reactions: before.reactions }
    : after;
}

/**
 * | session | report          | applied  | then            |
 * |---------|-----------------|----------|-----------------|
 * | no      |                 |          | unreachable     |
 * | yes     | none            |          | unknown         |
 * | yes     | failure         |          | failed          |
 * | yes     | no failure      | other    | outdated        |
 * | yes     | drift left      | wanted   | drifted         |
 * | yes     | reaction failed | wanted   | reaction-failed |
 * | yes     | none of these   | wanted   | current         |
 *
 * Without a wanted digest (no overlay of it could ever be read) what the node has counts as what it is to have.
 */
export function planOverlayVerdict(
  hasSession: boolean,
  report: OverlayReport | undefined,
  wanted: Digest | undefined,
): OverlayVerdict {
  if (!hasSession) return "unreachable";
  if (report === undefined) return "unknown";
  if (report.failure !== undefined) return "failed";
  if (wanted !== undefined && report.digest !== wanted) return "outdated";
  if (report.drift.some(({ repaired }) => !repaired)) return "drifted";
  return report.reactions.some(({ failure }) => failure !== "") ? "reaction-failed" : "current";
}
