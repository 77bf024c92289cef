import type { NodeView } from "../../api/rest/schemas.ts";

/** A node that answered that it restarts. */
export interface RestartingNode {
  readonly node: string;
  /** The boot it was in when it was asked. */
  readonly bootBefore: string | undefined;
}

/** How far a restart is. */
export type RestartPhase = "going-down" | "down" | "booting" | "failed" | "ready" | "gone";

export interface RestartProgress {
  readonly node: string;
  readonly phase: RestartPhase;
  /** For people, the same words for nodes that are alike: "booting (fetch)". */
  readonly text: string;
}

/**
 * How far the restart of a node is.
 *
 * | status              | of the boot before | phase      |
 * |---------------------|--------------------|------------|
 * | ready               | yes                | going-down |
 * | ready               | no                 | ready      |
 * | booting: restarting | -                  | down       |
 * | booting             | -                  | booting    |
 * | failed              | no                 | failed     |
 * | unreachable, failed | yes                | down       |
 * | unreachable         | no                 | booting: it was ready, and is gone again |
 * | not there any more  | -                  | gone       |
 */
export function planRestartProgress(
  { node, bootBefore }: RestartingNode,
  status: NodeView["status"] | undefined,
): RestartProgress {
  const at = (phase: RestartPhase, text: string): RestartProgress => ({ node, phase, text });
  if (status === undefined) return at("gone", "was deleted");
  const isBefore = status.bootId !== undefined && status.bootId === bootBefore;
  switch (status.state) {
    case "ready":
      return isBefore ? at("going-down", "going down") : at("ready", "ready");
    case "booting":
      return status.stage === "restarting"
        ? at("down", "down")
        : at("booting", status.stage === undefined ? "booting" : `booting (${status.stage})`);
    case "failed":
      return isBefore ? at("down", "down") : at("failed", failureOf(status));
    case "unreachable":
      return isBefore ? at("down", "down") : at("booting", "not reachable again");
    case "new":
      return at("booting", "booting");
  }
}

/** What is said of a node when nobody waits any longer. `waited` is in words: "15 min". */
export function planRestartVerdict(progress: RestartProgress, waited: string): string {
  switch (progress.phase) {
    case "going-down":
      return `did not go down within ${waited}: still up in the boot it was asked in`;
    case "down":
      return `went down, and gave no sign of its next boot within ${waited}`;
    case "booting":
      return `still ${progress.text} after ${waited}`;
    case "failed":
    case "ready":
    case "gone":
      return progress.text;
  }
}

/** Agents try again and restart by themselves: a failure that lasts this long is one. */
const FAILED_FOR_MS = 60_000;

/** Whether there is nothing left to wait for: every node is ready or gone, or has failed for a minute. */
export function isRestartOver(
  progress: readonly (RestartProgress & { readonly sinceMs: number })[],
  nowMs: number,
): boolean {
  return progress.every(
    ({ phase, sinceMs }) =>
      phase === "ready" || phase === "gone" || (phase === "failed" && nowMs - sinceMs >= FAILED_FOR_MS),
  );
}

function failureOf(status: NodeView["status"]): string {
  const { failure } = status;
  return failure === undefined ? "failed" : `failed at ${failure.stage}: ${failure.what}`;
}
