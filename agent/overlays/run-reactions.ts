import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { errorSentence } from "#proto/contract/muster-error.ts";
import type { ReactionResult } from "#proto/gen/muster/v1/overlay.ts";

import type { RuntimeHost } from "./runtime-host.ts";
import type { OverlayReaction } from "./runtime-state.ts";

const TAIL_BYTES = 4096;
/** Of what a reaction printed, for the journal and `muster node logs`. */
const MAX_LOGGED_LINES = 20;
/** A command that does not end when asked to is killed after this long. */
const KILL_AFTER_SECONDS = 5;
/** What systemd needs to end a unit that took too long, on a busy node. */
const GRACE_SECONDS = 10;

/** Runs reactions one after the other. A failure is a result: the others run all the same. */
export async function runReactions(
  host: RuntimeHost,
  reactions: readonly OverlayReaction[],
  signal: AbortSignal,
): Promise<readonly ReactionResult[]> {
  const results: ReactionResult[] = [];
  for (const reaction of reactions) {
    signal.throwIfAborted();
    const result = await runReaction(host, reaction, signal);
    host.log(
      `reaction ${JSON.stringify(reaction.command)}: ${result.failure || "done"} (${result.durationMs} ms)`,
    );
    const lines = result.outputTail.split("\n").filter((line) => line.trim() !== "");
    for (const line of lines.slice(-MAX_LOGGED_LINES)) host.log(`reaction says: ${line}`);
    results.push(result);
  }
  return results;
}

async function runReaction(
  host: RuntimeHost,
  { command, deadlineSeconds }: OverlayReaction,
  signal: AbortSignal,
): Promise<ReactionResult> {
  const startedMs = host.now();
  const id = randomBytes(6).toString("hex");
  const directory = join(host.paths.reactions, id);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  try {
    const script = renderScript(command, directory, deadlineSeconds);
    await writeFile(join(directory, "run"), script, { mode: 0o600 });
    const complaint = await runScript(host, { id, directory, deadlineSeconds }, signal);
    signal.throwIfAborted();
    const status = (await readFile(join(directory, "status"), "utf8").catch(() => "")).trim();
    const output = await readFile(join(directory, "output")).catch(() => Buffer.alloc(0));
    const durationMs = Math.max(0, Math.round(host.now() - startedMs));
    const isLate = durationMs >= deadlineSeconds * 1000;
    return {
      command,
      failure:
        isLate && status !== "0" ? `no end within ${deadlineSeconds} s` : describeEnd(status, complaint),
      outputTail: output.subarray(-TAIL_BYTES).toString("utf8"),
      durationMs,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * The command keeps its own quoting. Of what it prints only the end is kept, however much that is, and also when its
 * time is up: tail(1) outlives the signal that ends the others. The exit status goes into a file because systemd-run
 * tells only that there was one.
 */
function renderScript(command: string, directory: string, deadlineSeconds: number): string {
  const quoted = `'${command.replaceAll("'", "'\\''")}'`;
  return [
    "cd /",
    `{ timeout -k ${KILL_AFTER_SECONDS} ${deadlineSeconds} /bin/sh -c ${quoted} </dev/null; echo $? >${directory}/status; } 2>&1 |`,
    `  { trap '' TERM; tail -c ${TAIL_BYTES} >${directory}/output; }`,
    "",
  ].join("\n");
}

/**
 * With systemd the script is a unit of its own, outside the agent's sandbox and control group: what the reaction starts
 * lives on when the agent is started again. `Type=oneshot` makes systemd-run wait for the end also where no D-Bus
 * runs, which `--wait` and `--pipe` need. Returns what whoever ran the script said against it.
 */
async function runScript(
  host: RuntimeHost,
  {
    id,
    directory,
    deadlineSeconds,
  }: { readonly id: string; readonly directory: string; readonly deadlineSeconds: number },
  signal: AbortSignal,
): Promise<string> {
  const { shell, systemdRun, systemctl } = host.paths.programs;
  const script = join(directory, "run");
  const unit = `muster-reaction-${id}.service`;
  const isSystemd = await stat(host.paths.systemd).then(
    () => true,
    () => false,
  );
  const deadlineMs = (deadlineSeconds + KILL_AFTER_SECONDS + GRACE_SECONDS) * 1000;
  try {
    if (isSystemd) {
      const timeouts = [`TimeoutStartSec=${deadlineSeconds + KILL_AFTER_SECONDS + 1}`, "TimeoutStopSec=5"];
      const properties = ["Type=oneshot", ...timeouts].map((each) => `--property=${each}`);
      const args = ["--quiet", "--collect", `--unit=${unit}`, ...properties, "--", shell, script];
      return (await host.run({ program: systemdRun, args, deadlineMs }, signal)).stderr;
    }
    return (await host.run({ program: shell, args: [script], deadlineMs }, signal)).stderr;
  } catch (error) {
    if (isSystemd) {
      await host.run({ program: systemctl, args: ["kill", "--signal=SIGKILL", unit] }).catch(() => undefined);
    }
    host.log(`reaction: ${errorSentence(error)}`);
    return errorSentence(error);
  }
}

function describeEnd(status: string, complaint: string): string {
  if (status === "0") return "";
  const why = complaint.trim().slice(0, 500);
  // 128 and the signal's number is how sh(1) tells of one.
  if (status !== "") return `exit status ${status}`;
  return `it did not run to its end${why === "" ? "" : `: ${why}`}`;
}
