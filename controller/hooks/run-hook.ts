import { setTimeout as delay } from "node:timers/promises";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";

import type { HookBatch } from "./hook-event.ts";
import { renderHookEnvironment, renderHookInput } from "./render-hook-input.ts";

/** How a run of a hook ended. */
export interface HookOutcome {
  readonly outcome: "ok" | "failed" | "timed-out";
  /** Undefined: it did not end by itself. */
  readonly exitCode?: number;
  /** One line for people; empty when it went well. */
  readonly what: string;
  /** The last lines it wrote. */
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** Nobody reads what a hook prints; a log of its own is its own affair. */
const OUTPUT_LIMIT = 1024 * 1024;
/** A process that left the hook's process group may hold its output open for ever. */
const LEFT_BEHIND_MS = 2000;
const TAIL_LINES = 5;
const TAIL_CHARACTERS = 1000;

/**
 * Runs a hook to its end or to its deadline, when it is killed with its process group. Never throws but the reason of
 * `signal`.
 */
export async function runHook(
  path: string,
  batch: HookBatch,
  options: { readonly deadlineMs: number; readonly now: () => Date },
  signal: AbortSignal,
): Promise<HookOutcome> {
  const { deadlineMs, now } = options;
  const startMs = performance.now();
  const elapsed = (): number => Math.round(performance.now() - startMs);
  const ending = new AbortController();
  const run = runCommandUnchecked(
    {
      program: path,
      args: [batch.event],
      cwd: "/",
      env: renderHookEnvironment(batch),
      input: renderHookInput(batch, now()),
      deadlineMs,
      outputLimitBytes: OUTPUT_LIMIT,
    },
    signal,
  );
  // What comes after we gave up on it is nobody's error.
  run.catch(() => undefined);
  const given = delay(deadlineMs + LEFT_BEHIND_MS, "late" as const, { signal: ending.signal, ref: false });
  given.catch(() => undefined);
  try {
    const result = await Promise.race([run, given]);
    if (result === "late") {
      const what = `did not end within ${deadlineMs / 1000} s: a process that it left behind holds its output`;
      return { outcome: "timed-out", what, stdout: "", stderr: "", ms: elapsed() };
    }
    const { exitCode } = result;
    const ended = { exitCode, stdout: tailOf(result.stdout), stderr: tailOf(result.stderr), ms: elapsed() };
    return exitCode === 0
      ? { ...ended, outcome: "ok", what: "" }
      : { ...ended, outcome: "failed", what: `exited with ${exitCode}` };
  } catch (error) {
    if (signal.aborted) throw error;
    const [what = "", ...lines] = errorSentence(error).split("\n");
    return {
      outcome: error instanceof MusterError && error.code === "deadline-exceeded" ? "timed-out" : "failed",
      what: what.replace(/:$/, ""),
      stdout: "",
      stderr: tailOf(lines.join("\n")),
      ms: elapsed(),
    };
  } finally {
    ending.abort();
  }
}

function tailOf(stderr: string): string {
  return stderr.trim().split("\n").slice(-TAIL_LINES).join("\n").slice(-TAIL_CHARACTERS);
}
