import type { Command, CommandResult } from "#proto/host/run-command.ts";

import type { HostPaths } from "../host-paths.ts";
import type { BootConsole } from "./console.ts";

/** The world as a boot sees it; tests give it a root directory, programs and a clock of their own. */
export interface BootHost {
  readonly paths: HostPaths;
  readonly console: BootConsole;
  /** Milliseconds since the kernel started. */
  readonly uptimeMs: () => number;
  /** Milliseconds since 1970: the machine's own opinion. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Waits; rejects when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Runs a program to its end; any exit status is a result. */
  readonly run: (command: Command, signal: AbortSignal) => Promise<CommandResult>;
}
