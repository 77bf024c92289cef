import type { CheckName, CheckVerdict } from "#proto/contract/check-verdict.ts";

/**
 * A clock further off than this fails. What was sent at the controller's time is read a moment later, so the node
 * always seems a little ahead; NFS and make mind seconds, munge refuses credentials at 300 s (munged(8), --ttl).
 */
const MAX_CLOCK_MS = 2000;
/** Less of / than this fails, in space or in files: the root of a node is memory, and a full one loses what is written. */
const MIN_FREE_PERCENT = 5;

/** Nobody reads more of one node. */
const MAX_FINDINGS = 100;

/** Space of a file system, statfs(2). */
export interface FileSystemSpace {
  readonly totalBytes: number;
  /** For those who are not root. */
  readonly freeBytes: number;
  /** 0: the file system does not count files. */
  readonly files: number;
  readonly freeFiles: number;
}

/** The node's clock against the controller's, both in milliseconds since 1970. */
export function planClockVerdict(controllerMs: number, nodeMs: number): CheckVerdict {
  const offsetMs = nodeMs - controllerMs;
  const isRight = Math.abs(offsetMs) <= MAX_CLOCK_MS;
  const seconds = (Math.abs(offsetMs) / 1000).toFixed(1);
  // Differs from node to node where it is right: the same words let them be folded.
  const text = isRight
    ? `within ${MAX_CLOCK_MS / 1000} s of the controller's`
    : `${seconds} s ${offsetMs > 0 ? "ahead of" : "behind"} the controller's`;
  return { check: "clock", isRight, text };
}

/** The space left on the root file system. */
export function planRootVerdict(space: FileSystemSpace): CheckVerdict {
  const free = percentOf(space.freeBytes, space.totalBytes);
  const freeFiles = space.files === 0 ? 100 : percentOf(space.freeFiles, space.files);
  const isRight = free >= MIN_FREE_PERCENT && freeFiles >= MIN_FREE_PERCENT;
  if (isRight) return { check: "root", isRight, text: `at least ${MIN_FREE_PERCENT} % of / free` };
  const what =
    free < MIN_FREE_PERCENT
      ? `${Math.floor(free)} % of / free, ${toMib(space.freeBytes)} of ${toMib(space.totalBytes)} MiB`
      : `${Math.floor(freeFiles)} % of the files of / free, ${space.freeFiles} of ${space.files}`;
  return { check: "root", isRight, text: what };
}

/** A check whose lines say what is not as it should be; none: all is. */
export function planLineVerdicts(check: CheckName, lines: readonly string[]): readonly CheckVerdict[] {
  if (lines.length === 0) return [{ check, isRight: true, text: "as it should be" }];
  const told = lines.slice(0, MAX_FINDINGS).map((text) => ({ check, isRight: false, text }));
  if (lines.length <= MAX_FINDINGS) return told;
  return [...told, { check, isRight: false, text: `... and ${lines.length - MAX_FINDINGS} more` }];
}

/** A file system without size is full. */
function percentOf(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole;
}

function toMib(bytes: number): number {
  return Math.floor(bytes / (1024 * 1024));
}
