import type { StageTiming } from "#proto/gen/muster/v1/machine.ts";
import type { StageRecord } from "../events/telemetry.ts";

/** A boot has 15 stages; retries repeat some. */
const MAX_STAGES = 64;
const MAX_STAGE_NAME = 32;
const MAX_DETAIL = 200;

/**
 * The stages of a report, as records relative to the node's kernel start. What is too much is cut rather than
 * refused: a report tells of trouble, and must not be lost over its form.
 */
export function parseStages(stages: readonly StageTiming[]): readonly StageRecord[] {
  return stages
    .slice(0, MAX_STAGES)
    .filter(({ stage }) => /^[a-z][a-z0-9-]*$/.test(stage) && stage.length <= MAX_STAGE_NAME)
    .map(({ stage, startedMs, endedMs, detail }) => ({
      stage,
      startedMs,
      ...(endedMs === 0 ? {} : { endedMs: Math.max(startedMs, endedMs) }),
      detail: parsePrintable(detail, MAX_DETAIL),
    }));
}

/**
 * Text from a machine, fit for one line of an operator's terminal: control characters (escape sequences too),
 * bidirectional overrides and line breaks become blanks; at most `limit` characters.
 */
export function parsePrintable(text: string, limit: number): string {
  return text
    .slice(0, 4 * limit)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .trim()
    .slice(0, limit)
    .toWellFormed();
}

/** Several lines, such as a kernel log: as {@link parsePrintable} for each; the end counts, so that is kept. */
export function parsePrintableLines(text: string, limit: number): string {
  return text
    .slice(-limit)
    .split("\n")
    .map((line) => parsePrintable(line, 500))
    .join("\n");
}
