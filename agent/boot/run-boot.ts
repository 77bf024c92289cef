import { release } from "node:os";

import { DEFAULT_REBOOT_AFTER_SECONDS, parseBootArguments } from "#proto/contract/boot-arguments.ts";
import type { BootStage } from "#proto/contract/boot-stage.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";

import { readHostFile } from "../read-host-file.ts";
import type { BootHost } from "./boot-host.ts";
import { type BootState, giveUpAtMs, required } from "./boot-state.ts";
import { bringUpNetwork } from "./bring-up-network.ts";
import { fetchStep, mountStep, overlayStep, planStep, reportStages, switchStep } from "./build-root.ts";
import { reportFailure } from "./controller-calls.ts";
import { connectStep, enrolStep } from "./join-controller.ts";
import { type AfterFailure, BOOT_STEPS, type BootStep, planAfterFailure } from "./plan-after-failure.ts";
import { planClock } from "./plan-clock.ts";
import { readKernelLogTail } from "./read-kernel-log.ts";
import { openStageClock } from "./stage-clock.ts";

/** How a boot ended: what /init does next. */
export type BootResult =
  | { readonly kind: "switch"; readonly root: string; readonly init: string }
  | { readonly kind: "reboot" }
  | { readonly kind: "shell" };

/** Each step does its part and says in a word what came of it. */
const STEPS: {
  readonly [Step in BootStep]: (host: BootHost, state: BootState, signal: AbortSignal) => Promise<string>;
} = {
  network: networkStep,
  connect: connectStep,
  enrol: enrolStep,
  plan: planStep,
  fetch: fetchStep,
  mount: mountStep,
  overlay: overlayStep,
  switch: switchStep,
};

/**
 * Boots this node: from a kernel with an initramfs to a root file system that /init can switch to. Does not throw for
 * anything that can go wrong on the way: every failure is told on the console and to the controller, tried again
 * while that makes sense, and ends in a result.
 */
export async function runBoot(host: BootHost, signal: AbortSignal): Promise<BootResult> {
  let state: BootState;
  try {
    state = await startBoot(host, signal);
  } catch (error) {
    host.console.line(`FAILED at init: ${sentenceWithFix(error)}`);
    return endUnstarted(host, signal);
  }
  const failures = new Map<BootStep, number>();
  for (let at = 0; at < BOOT_STEPS.length; ) {
    const step = required(BOOT_STEPS[at], "step");
    try {
      await takeStep(host, state, step, signal);
      at++;
    } catch (error) {
      signal.throwIfAborted();
      const failedBefore = failures.get(step) ?? 0;
      failures.set(step, failedBefore + 1);
      const next = await handleFailure(host, state, { step, error, failedBefore }, signal);
      if (next.kind !== "retry") return next;
      at = BOOT_STEPS.indexOf(next.from);
    }
  }
  return { kind: "switch", root: host.paths.newRoot, init: required(state.plan, "boot plan").init };
}

/** The command line could not be read as a whole; the one word that says what to do now still can. */
async function endUnstarted(host: BootHost, signal: AbortSignal): Promise<BootResult> {
  const cmdline = (await readHostFile(host.paths.cmdline)) ?? "";
  if (/(^|\s)muster\.reboot_after=0(\s|$)/.test(cmdline)) return { kind: "shell" };
  host.console.line(`restarting this machine in ${DEFAULT_REBOOT_AFTER_SECONDS} s`);
  await host.sleep(DEFAULT_REBOOT_AFTER_SECONDS * 1000, signal);
  return { kind: "reboot" };
}

async function startBoot(host: BootHost, signal: AbortSignal): Promise<BootState> {
  const startedMs = host.uptimeMs();
  const args = parseBootArguments((await readHostFile(host.paths.cmdline)) ?? "");
  const bootId = required(await readHostFile(host.paths.bootId), "boot id");
  const stages = openStageClock(host.uptimeMs);
  const initStartedMs = Math.round(Number((await readHostFile(host.paths.initStarted)) ?? 0) * 1000);
  stages.record("kernel", 0, initStartedMs, release());
  stages.record("init", initStartedMs, Math.round(startedMs), "");
  await setClock(host, args.time, signal);
  return {
    args,
    bootId,
    stages,
    startedMs,
    giveUpAfterSeconds: args.giveUpAfterSeconds,
    rebootAfterSeconds: args.rebootAfterSeconds,
    pausedMs: 0,
  };
}

async function setClock(host: BootHost, time: number | undefined, signal: AbortSignal): Promise<void> {
  const seconds = planClock(host.now() / 1000, time);
  if (seconds === undefined) return;
  const { exitCode, stderr } = await host.run(
    { program: host.paths.programs.busybox, args: ["date", "-s", `@${seconds}`], deadlineMs: 5000 },
    signal,
  );
  const date = new Date(seconds * 1000).toISOString();
  host.console.line(
    exitCode === 0
      ? `the clock was wrong; set to ${date}`
      : `the clock is wrong and could not be set: ${stderr.trim()}`,
  );
}

async function takeStep(
  host: BootHost,
  state: BootState,
  step: BootStep,
  signal: AbortSignal,
): Promise<void> {
  state.stages.begin(step);
  const detail = await STEPS[step](host, state, signal);
  state.stages.end(stageEndedBy(step, state), detail);
  if (step === "plan" || step === "fetch") await reportStages(host, state, signal);
}

/** A machine that had to wait ends `approval` when it is let in; `enrol` ended when the waiting began. */
function stageEndedBy(step: BootStep, state: BootState): BootStage {
  const waited = state.stages.list().some(({ stage, endedMs }) => stage === "approval" && endedMs === 0);
  return step === "enrol" && waited ? "approval" : step;
}

async function networkStep(host: BootHost, state: BootState, signal: AbortSignal): Promise<string> {
  const network = await bringUpNetwork(host, state.args.bootMac, signal);
  state.network = network;
  host.console.line(`network: ${network.interface} (${network.mac}) has ${network.address}`);
  return `${network.interface} ${network.address}`;
}

async function handleFailure(
  host: BootHost,
  state: BootState,
  failure: { readonly step: BootStep; readonly error: unknown; readonly failedBefore: number },
  signal: AbortSignal,
): Promise<(AfterFailure & { readonly kind: "retry" }) | { readonly kind: "reboot" | "shell" }> {
  const { step, error, failedBefore } = failure;
  host.console.line(`FAILED at ${step}: ${sentenceWithFix(error)}`);
  const next = planAfterFailure({
    step,
    code: error instanceof MusterError ? error.code : "internal",
    failedBefore,
    remainingMs: giveUpAtMs(state) - host.uptimeMs(),
    rebootAfterSeconds: state.rebootAfterSeconds,
    random: host.random(),
  });
  await tellController(host, state, step, error, next, signal);
  switch (next.kind) {
    case "retry":
      host.console.line(`trying again in ${(next.delayMs / 1000).toFixed(1)} s`);
      await host.sleep(next.delayMs, signal);
      return next;
    case "reboot":
      host.console.line(
        next.afterSeconds === 0
          ? "restarting this machine"
          : `restarting this machine in ${next.afterSeconds} s`,
      );
      await host.sleep(next.afterSeconds * 1000, signal);
      return { kind: "reboot" };
    case "shell":
      host.console.line("not restarting (muster.reboot_after=0)");
      return { kind: "shell" };
    default:
      return next satisfies never;
  }
}

async function tellController(
  host: BootHost,
  state: BootState,
  step: BootStep,
  error: unknown,
  next: AfterFailure,
  signal: AbortSignal,
): Promise<void> {
  if (state.identity === undefined) return;
  const known = error instanceof MusterError;
  const what = errorSentence(error);
  const told = await reportFailure(
    state.identity,
    {
      bootId: state.bootId,
      stages: state.stages.list(),
      stage: step,
      code: known ? error.code : "internal",
      what,
      fix: (known ? error.fix : undefined) ?? "",
      kernelLogTail: await readKernelLogTail(host, signal),
      blobDigest: /sha256:[0-9a-f]{64}/.exec(what)?.[0] ?? "",
      retryInSeconds: next.kind === "retry" ? Math.max(1, Math.round(next.delayMs / 1000)) : 0,
      uptimeMs: Math.round(host.uptimeMs()),
    },
    signal,
  );
  if (!told) host.console.line("the controller could not be told about this failure");
}

function sentenceWithFix(error: unknown): string {
  const fix = error instanceof MusterError ? error.fix : undefined;
  return `${errorSentence(error)}${fix === undefined ? "" : ` — ${fix}`}`;
}
