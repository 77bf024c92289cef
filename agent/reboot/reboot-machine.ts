import { stat, writeFile } from "node:fs/promises";

import { errorSentence } from "#proto/contract/muster-error.ts";
import type { Reboot } from "#proto/gen/muster/v1/directive.ts";
import type { runCommand } from "#proto/host/run-command.ts";

import type { HostPaths } from "../host-paths.ts";
import { planReboot, type RebootStep } from "./plan-reboot.ts";

/** What restarting touches. */
export interface RebootHost {
  readonly paths: Pick<HostPaths, "systemd" | "sysrqTrigger">;
  readonly run: typeof runCommand;
  /** One line for the journal. */
  readonly log: (line: string) => void;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What is answered, and what is done when the answer is under way. */
export interface RebootAnswer {
  readonly lines: readonly string[];
  /** Rejects when the machine cannot be restarted, or has not begun to. */
  readonly act: (signal: AbortSignal) => Promise<void>;
}

/** The answer gets this long to leave before anything stops. */
const ANSWER_MS = 250;
/** systemctl comes back when the restart has begun; services then stop one after the other, the agent among the first. */
const COMMAND_DEADLINE_MS = 30_000;
/** Still here after that long, the agent says so: services do not stop, or somebody called the restart off. */
const GONE_MS = 120_000;

/** Restarts the machine: says so in the journal with who asked and why, answers, then acts. */
export async function rebootMachine(host: RebootHost, asked: Reboot): Promise<RebootAnswer> {
  const isSystemd = await stat(host.paths.systemd).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
  const steps = planReboot({ isSystemd, force: asked.force });
  const reason = asked.reason.replace(/\p{Cc}+/gu, " ").slice(0, 500);
  host.log(`restarting${asked.force ? " by force" : ""}: ${reason}`);
  return {
    lines: ["restarting"],
    act: async (signal) => {
      await host.sleep(ANSWER_MS, signal);
      await tryInOrder(host, steps);
      await host.sleep(GONE_MS, signal);
      throw new Error(`the restart was begun ${GONE_MS / 1000} s ago and the machine is still up`);
    },
  };
}

async function tryInOrder(host: RebootHost, steps: readonly RebootStep[]): Promise<void> {
  let last: unknown;
  for (const step of steps) {
    try {
      await take(host, step);
      return;
    } catch (error) {
      host.log(`cannot restart: ${errorSentence(error)}`);
      last = error;
    }
  }
  throw last;
}

async function take(host: RebootHost, step: RebootStep): Promise<void> {
  switch (step.kind) {
    case "command":
      await host.run({ program: step.program, args: step.args, deadlineMs: COMMAND_DEADLINE_MS });
      return;
    case "kernel":
      // Documentation/admin-guide/sysrq.rst: s writes back, b restarts.
      await writeFile(host.paths.sysrqTrigger, "s");
      await writeFile(host.paths.sysrqTrigger, "b");
      return;
  }
}
