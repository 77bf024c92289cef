import type { HostPaths } from "../host-paths.ts";

/** The world as a session sees it. */
export interface SessionHost {
  readonly paths: HostPaths;
  readonly agentVersion: string;
  /** SHA-256 of this executable, "sha256:" and 64 hex digits; empty when it is not one (in development). */
  readonly agentDigest: string;
  /** One line for the journal. */
  readonly log: (line: string) => void;
  readonly uptimeMs: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Waits; rejects when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}
