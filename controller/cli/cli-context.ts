import type { Readable } from "node:stream";

import type { ApiClient } from "./api-client.ts";
import type { ListFormat } from "./list-format.ts";

/** What the command line has of its process: everything a command touches outside of the API. */
export interface CliProcess {
  /** Arguments after the program's name. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Data, and nothing else. */
  out(text: string): void;
  /** Everything else. */
  err(text: string): void;
  /** Standard input; absent: the process's own. */
  readonly input?: Readable;
  /** Whether standard output, and standard error, go to a terminal. */
  readonly outIsTerminal: boolean;
  readonly errIsTerminal: boolean;
  now(): Date;
  /** Asks on the terminal; undefined when there is nobody to ask. */
  ask(question: string): Promise<string | undefined>;
  /** Resolves after the time, or rejects when the signal is aborted. */
  wait(ms: number): Promise<void>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly userId: number;
  /** The program and first arguments that start muster-initramfs. */
  readonly initramfsCommand: readonly [string, ...string[]];
  /** The base initramfs archives of this release, the default of `paths.artifacts`. */
  readonly artifacts: string;
}

export type OutputFormat = "table" | "json" | "yaml";

/** What commands work with. */
export interface CliContext {
  readonly process: CliProcess;
  readonly output: OutputFormat;
  /** Of commands that print lists of nodes for other programs, when one was asked for. */
  readonly listFormat?: ListFormat;
  readonly version: string;
  /** The controller; reached for at the first request. */
  readonly api: ApiClient;
  /** The controller is this host's, by its socket. */
  readonly isLocal: boolean;
  /** Prints data: as a table, or whole as JSON or YAML, whichever was asked for. */
  print(data: unknown, renderTable: () => string): Promise<void>;
  /** A line for people, on standard error. */
  note(line: string): void;
}

/** The exit status for "it worked, and the answer is that something is wrong". */
export const EXIT_FINDINGS = 3;
