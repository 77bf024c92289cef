import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";

import type { BootView, NodeView, PendingView } from "../../controller/api/rest/schemas.ts";
import { build } from "../../packaging/build.ts";
import { type ControllerProcess, startController } from "./controller-process.ts";
import { makeDebianTree } from "./debian-image.ts";
import { type DemoMachine, planDemoMachines } from "./demo-cluster.ts";
import { gainLabPrivileges } from "./gain-lab-privileges.ts";
import { type Lab, openLab } from "./open-lab.ts";
import {
  type Progress,
  planProgress,
  renderChanges,
  renderLiveView,
  type SiteView,
} from "./render-live-view.ts";

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const DIST = join(PROJECT, "dist");
const IMAGE = "debian12";
const POLL_MS = 500;
const MAX_NODES = 64;
/** Software emulation of a boot costs up to 35 CPU seconds a node; a machine that is busy takes its time. */
const deadlineMsFor = (nodes: number): number => 300_000 + nodes * 60_000;

const USAGE = "usage: npm run demo [-- --nodes N] [--exit]";

/** Why the demo ends early, with the status a shell expects. */
class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: string, exitCode: number) {
    super(`ended by ${signal}`);
    this.exitCode = exitCode;
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function readOptions(): { readonly nodes: number; readonly exit: boolean } {
  const values = parseWords();
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES) {
    throw new MusterError({
      code: "argument-invalid",
      what: `--nodes ${values.nodes} is not a number from 1 to ${MAX_NODES}`,
      fix: USAGE,
    });
  }
  return { nodes, exit: values.exit };
}

function parseWords(): { readonly nodes: string; readonly exit: boolean } {
  try {
    return parseArgs({
      options: { nodes: { type: "string", default: "2" }, exit: { type: "boolean", default: false } },
    }).values;
  } catch (cause) {
    throw new MusterError({ code: "argument-invalid", what: errorSentence(cause), fix: USAGE });
  }
}

async function main(interrupt: AbortSignal): Promise<void> {
  const options = readOptions();
  await gainLabPrivileges();
  const started = Date.now();
  const step = (what: string): void => {
    interrupt.throwIfAborted();
    say(`${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s  ${what}`);
  };
  await build(step);
  const tree = await makeDebianTree(PROJECT, { onStep: step, signal: interrupt });
  step("open a network namespace with a bridge, and start musterd in it");
  await using lab = await openLab({ name: "demo" });
  const controller = await startController(lab, { dist: DIST });
  step(`import ${relative(PROJECT, tree)} as image ${IMAGE}`);
  await controller.mustMuster(["image", "import", tree, "--name", IMAGE], { signal: interrupt });
  const machines = planDemoMachines(options.nodes);
  for (const { name, mac, known } of machines) {
    if (!known) continue;
    step(`muster node add ${name} --mac ${mac}`);
    await controller.mustMuster(["node", "add", name, "--mac", mac, "--image", IMAGE]);
  }
  step(`power on ${machines.map(({ name }) => name).join(" ")}: no disk, nothing but their network cards`);
  const poweredOn = await powerOn(lab, machines);
  await watchBoots(lab, controller, machines, poweredOn, interrupt);
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  await showResult(controller, lab, machines, interrupt);
  say(`\n${machines.length} nodes ready, ${seconds} s from the start of the demo.`);
  if (options.exit) return;
  say("Ctrl-C ends the demo and leaves nothing behind.");
  await delay(2 ** 31 - 1, undefined, { signal: interrupt }).catch(() => undefined);
}

async function powerOn(lab: Lab, machines: readonly DemoMachine[]): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  for (const { name, mac, firmware, sockets, cores, threads } of machines) {
    const machine = await lab.addMachine({ name, mac, firmware, sockets, cores, threads });
    await machine.powerOn();
    times.set(name, Date.now());
  }
  return times;
}

/** Shows how far each machine is until all are ready; approves strangers. Throws when one fails or time is up. */
async function watchBoots(
  lab: Lab,
  controller: ControllerProcess,
  machines: readonly DemoMachine[],
  poweredOn: ReadonlyMap<string, number>,
  interrupt: AbortSignal,
): Promise<void> {
  const view = openLiveView();
  const approved = new Set<string>();
  const deadline = Date.now() + deadlineMsFor(machines.length);
  for (;;) {
    interrupt.throwIfAborted();
    const site = await readSite(controller);
    const progress = machines.map((machine) =>
      planProgress(
        { name: machine.name, mac: machine.mac, about: describe(machine) },
        site,
        poweredOn.get(machine.name) ?? 0,
        Date.now(),
      ),
    );
    view.show(progress);
    for (const machine of machines) {
      const pending = site.pending.find(({ bootMac }) => bootMac === machine.mac);
      if (pending === undefined || approved.has(pending.claimCode)) continue;
      approved.add(pending.claimCode);
      view.interject(
        `a machine nobody knows waits: muster node approve ${pending.claimCode} --name ${machine.name}`,
      );
      await controller.mustMuster(["node", "approve", pending.claimCode, "--name", machine.name]);
    }
    if (progress.every(({ state }) => state === "ready")) return;
    const failure = findFailure(lab, controller, progress, Date.now() > deadline);
    if (failure !== undefined) {
      throw new MusterError({ code: "command-failed", what: await explainFailure(lab, controller, failure) });
    }
    await delay(POLL_MS, undefined, { signal: interrupt });
  }
}

async function readSite(controller: ControllerProcess): Promise<SiteView> {
  const [{ nodes }, { boots }, { pending }] = await Promise.all([
    controller.get<{ nodes: readonly NodeView[] }>("/api/v1/nodes"),
    controller.get<{ boots: readonly BootView[] }>("/api/v1/boots?limit=200"),
    controller.get<{ pending: readonly PendingView[] }>("/api/v1/pending"),
  ]);
  return { nodes, boots, pending };
}

/** Redraws its lines on a terminal; elsewhere a line for each step that a machine makes. */
function openLiveView(): { show(progress: readonly Progress[]): void; interject(line: string): void } {
  let drawn = 0;
  let before: readonly Progress[] = [];
  const wipe = (): void => {
    if (drawn > 0) process.stderr.write(`\u001b[${drawn}A\u001b[0J`);
    drawn = 0;
  };
  const draw = (): void => {
    const lines = renderLiveView(before, (process.stderr.columns || 120) - 1);
    process.stderr.write(lines.map((line) => `${line}\n`).join(""));
    drawn = lines.length;
  };
  return {
    show: (progress) => {
      if (!process.stderr.isTTY) for (const line of renderChanges(before, progress)) say(line);
      before = progress;
      if (!process.stderr.isTTY) return;
      wipe();
      draw();
    },
    interject: (line) => {
      wipe();
      say(`          ${line}`);
      if (process.stderr.isTTY) draw();
    },
  };
}

function describe({ firmware, sockets, cores, threads }: DemoMachine): string {
  return `${firmware}, ${sockets} socket${sockets > 1 ? "s" : ""} x ${cores} core${cores > 1 ? "s" : ""} x ${threads}`;
}

/** Why it makes no sense to wait any longer. */
function findFailure(
  lab: Lab,
  controller: ControllerProcess,
  progress: readonly Progress[],
  isLate: boolean,
): string | undefined {
  const failed = progress.find(({ state }) => state === "failed");
  if (failed !== undefined) return `${failed.machine.name} failed to boot: ${failed.detail}`;
  const off = lab.machines.find(({ isRunning }) => !isRunning);
  if (off !== undefined) return `${off.spec.name} switched itself off`;
  if (!controller.isRunning) return "musterd ended";
  return isLate ? "not all nodes became ready in time" : undefined;
}

const CONSOLE_LINES = 15;
const LOG_LINES = 20;

/** The failure with what there is to see of it: the ends of the consoles and of musterd's log. */
async function explainFailure(lab: Lab, controller: ControllerProcess, failure: string): Promise<string> {
  const consoles = await Promise.all(
    lab.machines.map(async (machine) => {
      const lines = (await machine.readConsole()).trimEnd().split("\n").slice(-CONSOLE_LINES);
      return [`--- console of ${machine.spec.name}`, ...lines];
    }),
  );
  const log = controller.log.split("\n").slice(-LOG_LINES);
  return [failure, ...consoles.flat(), "--- musterd", ...log].join("\n");
}

async function showResult(
  controller: ControllerProcess,
  lab: Lab,
  machines: readonly DemoMachine[],
  interrupt: AbortSignal,
): Promise<void> {
  const first = machines[0]?.name ?? "";
  const muster = relative(process.cwd(), join(DIST, "muster"));
  for (const args of [
    ["node", "list"],
    ["node", "boots", first],
  ]) {
    say(`\n$ muster ${args.join(" ")}`);
    process.stdout.write(await controller.mustMuster(args, { signal: interrupt }));
  }
  say(`
Type next, in another terminal:
  export MUSTER_SOCKET=${controller.socketPath}
  ${muster} node show ${first}
  ${muster} events
  ${muster} doctor
  less -R ${lab.machines[0]?.consoleLog ?? ""}`);
}

const interruption = new AbortController();
for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => {
    if (!interruption.signal.aborted) say(`\n${signal}: taking the lab down`);
    interruption.abort(new Interrupted(signal, exitCode));
  });
}
try {
  await main(interruption.signal);
} catch (error) {
  const reason: unknown = interruption.signal.aborted ? interruption.signal.reason : error;
  if (reason instanceof Interrupted) {
    process.exitCode = reason.exitCode;
  } else {
    say(`demo: ${errorSentence(error)}`);
    if (error instanceof MusterError && error.fix !== undefined) say(`      ${error.fix}`);
    process.exitCode = 1;
  }
}
