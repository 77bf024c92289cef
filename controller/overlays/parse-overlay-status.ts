import { type Digest, parseDigest } from "#proto/contract/digest.ts";
import type { OverlayStatus } from "#proto/gen/muster/v1/overlay.ts";
import { parsePrintable, parsePrintableLines } from "../sessions/parse-boot-report.ts";
import type { OverlayReport } from "./overlay-report.ts";

const MAX_DRIFT = 100;
const MAX_REACTIONS = 32;
const MAX_PATH = 512;
const MAX_SENTENCE = 500;
const MAX_OUTPUT = 4096;
/** Dates of JavaScript end at 8.64e15 ms; a clock may say anything. */
const LATEST_MS = Date.UTC(9999, 0);

/**
 * A node's word about its overlay, cut to what is kept of it. What is too much is left out rather than refused: a
 * report tells of trouble, and must not be lost over its form.
 */
export function parseOverlayStatus(status: OverlayStatus, reportedAt: Date): OverlayReport {
  const { failure, appliedAtMs } = status;
  const drift = status.drift.slice(0, MAX_DRIFT).map(({ path, what, repaired }) => ({
    path: parsePrintable(path, MAX_PATH),
    what: parsePrintable(what, MAX_SENTENCE),
    repaired,
  }));
  return {
    digest: digestOr(status.digest),
    appliedAt:
      appliedAtMs === 0 ? undefined : new Date(Math.min(LATEST_MS, Math.max(0, Math.trunc(appliedAtMs)))),
    reportedAt,
    failure: failure && {
      digest: digestOr(failure.digest) ?? "",
      code: /^[a-z][a-z0-9-]{0,63}$/.test(failure.code) ? failure.code : "internal",
      what: parsePrintable(failure.what, MAX_SENTENCE),
      fix: parsePrintable(failure.fix, MAX_SENTENCE),
    },
    drift,
    driftCount: Math.max(drift.length, Math.min(status.driftCount, 1_000_000)),
    reactions: status.reactions.slice(0, MAX_REACTIONS).map((reaction) => ({
      command: parsePrintable(reaction.command, MAX_SENTENCE),
      failure: parsePrintable(reaction.failure, MAX_SENTENCE),
      outputTail: parsePrintableLines(reaction.outputTail, MAX_OUTPUT),
      durationMs: Math.min(reaction.durationMs, LATEST_MS),
    })),
  };
}

function digestOr(text: string): Digest | undefined {
  return /^sha256:[0-9a-f]{64}$/.test(text) ? parseDigest(text) : undefined;
}
