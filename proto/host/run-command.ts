import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

import { MusterError } from "../contract/muster-error.ts";

/** A program to run to its end. No shell is ever involved. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** The whole environment of the child; the parent's when absent. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to the child's standard input, which is /dev/null when absent. */
  readonly input?: string | Uint8Array | Readable;
  /** Killed with SIGKILL, with its process group, after this long. Default 60 s. */
  readonly deadlineMs?: number;
  /** Output beyond this many bytes per stream is an error. Default 16 MiB. */
  readonly outputLimitBytes?: number;
  /** Each line of standard error as it comes, for progress. */
  readonly onErrorLine?: (line: string) => void;
}

/** How a command ended; `stdout` and `stderr` are UTF-8. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const DEFAULT_DEADLINE_MS = 60_000;
const DEFAULT_OUTPUT_LIMIT = 16 * 1024 * 1024;

/** Runs a command to its end. Throws `command-failed` (or `program-missing`, `deadline-exceeded`) unless it exits 0. */
export async function runCommand(command: Command, signal?: AbortSignal): Promise<CommandResult> {
  const result = await runCommandUnchecked(command, signal);
  if (result.exitCode === 0) return result;
  throw new MusterError({
    code: "command-failed",
    what: `${quoteCommand(command)} exited with ${result.exitCode}${tailOf(result.stderr)}`,
  });
}

/** As {@link runCommand}, but any exit status is a result; not started, killed by a signal and timed out still throw. */
export async function runCommandUnchecked(command: Command, signal?: AbortSignal): Promise<CommandResult> {
  signal?.throwIfAborted();
  const child = spawn(command.program, command.args, {
    cwd: command.cwd,
    ...(command.env === undefined ? {} : { env: command.env }),
    stdio: [command.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    detached: true,
  });
  const limit = command.outputLimitBytes ?? DEFAULT_OUTPUT_LIMIT;
  const deadlineMs = command.deadlineMs ?? DEFAULT_DEADLINE_MS;
  let stopped: "deadline" | "abort" | "output" | undefined;
  const stop = (why: NonNullable<typeof stopped>): void => {
    stopped ??= why;
    killGroup(child, "SIGKILL");
  };
  const timer = setTimeout(() => {
    stop("deadline");
  }, deadlineMs);
  const onAbort = (): void => {
    stop("abort");
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  const onOverflow = (): void => {
    stop("output");
  };
  const stdout = collect(child.stdout, limit, onOverflow);
  const stderr = collect(child.stderr, limit, onOverflow, command.onErrorLine);
  if (command.input !== undefined && child.stdin !== null) feed(child.stdin, command.input);
  try {
    const { code, killedBy } = await ended(child, command);
    if (stopped === "deadline") {
      throw new MusterError({
        code: "deadline-exceeded",
        what: `${quoteCommand(command)} did not end within ${deadlineMs / 1000} s and was killed${tailOf(stderr())}`,
      });
    }
    if (stopped === "abort") throw signal?.reason ?? new Error("aborted");
    if (stopped === "output") {
      throw new MusterError({
        code: "command-failed",
        what: `${quoteCommand(command)} wrote more than ${limit} bytes`,
      });
    }
    if (code === null) {
      throw new MusterError({
        code: "command-failed",
        what: `${quoteCommand(command)} was killed by ${killedBy ?? "a signal"}${tailOf(stderr())}`,
      });
    }
    return { exitCode: code, stdout: stdout(), stderr: stderr() };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** What {@link streamCommand} runs: nothing of its output is kept. Standard input is /dev/null. */
export interface StreamedCommand extends Pick<Command, "program" | "args" | "cwd" | "env"> {
  /** Killed with SIGKILL, with its process group, after this long. Default: it may take as long as it takes. */
  readonly deadlineMs?: number;
  /** Each line as it comes, without its end; lines of over 64 KiB come in pieces. */
  readonly onLine: (line: string, stream: "stdout" | "stderr") => void;
}

/**
 * Runs a command to its end and hands its output on as it comes. Gives its exit status; not started, killed by a
 * signal, timed out and aborted throw as {@link runCommandUnchecked} does.
 */
export async function streamCommand(command: StreamedCommand, signal?: AbortSignal): Promise<number> {
  signal?.throwIfAborted();
  const { deadlineMs } = command;
  const child = spawn(command.program, command.args, {
    cwd: command.cwd,
    ...(command.env === undefined ? {} : { env: command.env }),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const state = { isLate: false };
  const onAbort = (): void => {
    killGroup(child, "SIGKILL");
  };
  const onDeadline = (): void => {
    state.isLate = true;
    killGroup(child, "SIGKILL");
  };
  const timer = deadlineMs === undefined ? undefined : setTimeout(onDeadline, deadlineMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  for (const stream of ["stdout", "stderr"] as const) {
    eachPiece(child[stream], (line) => {
      command.onLine(line, stream);
    });
  }
  try {
    const { code, killedBy } = await ended(child, command);
    signal?.throwIfAborted();
    if (state.isLate && deadlineMs !== undefined) {
      throw new MusterError({
        code: "deadline-exceeded",
        what: `${quoteCommand(command)} did not end within ${deadlineMs / 1000} s and was killed`,
      });
    }
    if (code !== null) return code;
    throw new MusterError({
      code: "command-failed",
      what: `${quoteCommand(command)} was killed by ${killedBy ?? "a signal"}`,
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Runs a command on the terminal of this program, which has it to itself until the end. Gives its exit status. */
export async function runOnTerminal(command: Pick<Command, "program" | "args">): Promise<number> {
  const child = spawn(command.program, command.args, { stdio: "inherit" });
  const { code, killedBy } = await ended(child, command);
  if (code !== null) return code;
  throw new MusterError({
    code: "command-failed",
    what: `${command.program} was killed by ${killedBy ?? "a signal"}`,
  });
}

/** A long-running child whose life its owner holds. */
export interface Daemon {
  readonly pid: number;
  /** Settles once, when the process is gone: its exit code, or the signal that ended it. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  kill(signal: NodeJS.Signals): void;
}

/** What {@link startDaemon} runs; every line of its two output streams goes to `onLine`. */
export interface DaemonCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly onLine: (line: string, stream: "stdout" | "stderr") => void;
}

/** Starts a long-running child; resolves when it runs, throws `program-missing` or `command-failed` when it cannot start. */
export async function startDaemon(command: DaemonCommand): Promise<Daemon> {
  const child = spawn(command.program, command.args, {
    cwd: command.cwd,
    ...(command.env === undefined ? {} : { env: command.env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  eachLine(child.stdout, (line) => {
    command.onLine(line, "stdout");
  });
  eachLine(child.stderr, (line) => {
    command.onLine(line, "stderr");
  });
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once("exit", (code, signal) => {
      resolve({ code, signal });
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => {
      reject(startFailure(command, error));
    });
  });
  child.on("error", () => undefined);
  const pid = child.pid;
  if (pid === undefined) throw new Error("a spawned child has a pid");
  return { pid, exited, kill: (signal) => child.kill(signal) };
}

/** A command as a person would type it. */
function quoteCommand(command: { readonly program: string; readonly args: readonly string[] }): string {
  return [command.program, ...command.args]
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

function ended(
  child: ChildProcess,
  command: { readonly program: string; readonly args: readonly string[] },
): Promise<{ code: number | null; killedBy: string | null }> {
  return new Promise((resolve, reject) => {
    child.once("error", (error) => {
      reject(startFailure(command, error));
    });
    child.once("close", (code, killedBy) => {
      resolve({ code, killedBy });
    });
  });
}

function startFailure(
  command: { readonly program: string; readonly args: readonly string[] },
  error: Error,
): MusterError {
  const missing = "code" in error && error.code === "ENOENT";
  return new MusterError({
    code: missing ? "program-missing" : "command-failed",
    what: missing ? `${command.program} is not installed` : `${quoteCommand(command)} could not be started`,
    ...(missing
      ? { fix: `install the package that has ${command.program}; \`muster doctor\` names it` }
      : {}),
    cause: error,
  });
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal);
  }
}

function collect(
  stream: Readable | null,
  limit: number,
  onOverflow: () => void,
  onLine?: (line: string) => void,
): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > limit) onOverflow();
    else chunks.push(chunk);
  });
  if (stream !== null && onLine !== undefined) eachLine(stream, onLine);
  return () => Buffer.concat(chunks).toString("utf8");
}

function eachLine(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString("utf8")).split(/\r\n|\r|\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
  stream.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}

const MAX_LINE = 64 * 1024;

/** Lines of a stream that may have none: what is longer than {@link MAX_LINE} is handed on in pieces. */
function eachPiece(stream: Readable, onLine: (line: string) => void): void {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    if (rest.length <= MAX_LINE) return;
    onLine(rest);
    rest = "";
  });
  stream.on("end", () => {
    rest += decoder.end();
    if (rest !== "") onLine(rest);
  });
}

function feed(stdin: Writable, input: string | Uint8Array | Readable): void {
  // A child that ends early closes its input; how it ended is what matters, not EPIPE.
  stdin.on("error", () => undefined);
  if (typeof input === "string" || input instanceof Uint8Array) stdin.end(input);
  else input.pipe(stdin);
}

function tailOf(stderr: string): string {
  const lines = stderr.trim().split("\n").slice(-5).join("\n");
  return lines === "" ? "" : `:\n${lines}`;
}
