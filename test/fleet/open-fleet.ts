import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";

import { Client } from "undici";

import { type Daemon, runCommand } from "#proto/host/run-command.ts";

import type { ControllerProcess } from "../lab/controller-process.ts";
import { LAB_NETWORK, type Lab, stopDaemon } from "../lab/open-lab.ts";
import { waitFor } from "../lab/wait-for.ts";
import { FLEET_NETWORK, type FleetReport, type FleetTask, fleetNode } from "./fleet-task.ts";

/** Thousands of nodes without machines: the agent's own code, an address, a certificate and a session each. */
export interface Fleet extends AsyncDisposable {
  readonly names: readonly string[];
  /** Sums over its processes; times are the earliest of the first and the latest of the last. */
  readonly report: FleetReport;
  readonly pids: readonly number[];
  /** DIRECTORY/NAME is the root directory of a node. */
  readonly directory: string;
  /** Waits until something holds of the fleet; a failure shows the report. */
  until(what: string, holds: (report: FleetReport) => boolean, deadlineMs: number): Promise<FleetReport>;
}

const PROGRAM = join(import.meta.dirname, "run-fleet.ts");
/** One process has the CPU time of one core; the agents of a test must not starve the controller of it. */
const NODES_PER_PROCESS = 2500;
/** Boots under way at a time in all: what a rack or two that was powered on does to a controller. */
const AT_ONCE = 64;
const HTTP_PORT = 9880;

/**
 * Adds `count` nodes f00001, f00002, ... to a lab's controller, which has an image, and boots them all. Returns while
 * they boot: wait with {@link Fleet.until}.
 */
export async function openFleet(
  { lab, controller }: { readonly lab: Lab; readonly controller: ControllerProcess },
  count: number,
  options: {
    readonly atOnce?: number;
    readonly runtimeOverlays?: readonly string[];
    /** Default true. */
    readonly sessions?: boolean;
  } = {},
): Promise<Fleet> {
  const indexes = Array.from({ length: count }, (_, index) => index + 1);
  await addNodes(controller, indexes, options.runtimeOverlays ?? []);
  await lab.run({ program: "ip", args: ["route", "replace", "local", FLEET_NETWORK, "dev", "lo"] });
  await using undo = new AsyncDisposableStack();
  const directory = await mountMemory(lab);
  undo.defer(() => unmount(directory));
  const processes = Math.ceil(count / NODES_PER_PROCESS);
  const reports = new Map<number, FleetReport>();
  const daemons: Daemon[] = [];
  const errors: string[] = [];
  for (let at = 0; at < processes; at++) {
    const task: FleetTask = {
      bootUrl: `http://${LAB_NETWORK.address}:${HTTP_PORT}`,
      directory,
      first: Math.floor((count * at) / processes) + 1,
      last: Math.floor((count * (at + 1)) / processes),
      atOnce: Math.ceil((options.atOnce ?? AT_ONCE) / processes),
      sessions: options.sessions ?? true,
    };
    const daemon = await lab.start({
      program: process.execPath,
      args: ["--no-warnings", "--max-old-space-size=6144", PROGRAM, JSON.stringify(task)],
      onLine: (line, stream) => {
        if (stream === "stdout") reports.set(at, JSON.parse(line) as FleetReport);
        else errors.push(line);
      },
    });
    daemons.push(daemon);
    undo.defer(() => stopDaemon(daemon));
  }
  const resources = undo.move();
  const sum = (): FleetReport => addReports([...reports.values()]);
  return {
    directory,
    names: indexes.map((index) => fleetNode(index).name),
    pids: daemons.map(({ pid }) => pid),
    get report() {
      return sum();
    },
    until: (what, holds, deadlineMs) =>
      waitFor(() => (holds(sum()) ? sum() : undefined), {
        what,
        deadlineMs,
        intervalMs: 20,
        instead: () => [JSON.stringify(sum()), ...errors.slice(-20)].join("\n"),
      }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** In the lab's directory: when this process is killed the next lab sweeps it away with that. */
async function mountMemory({ directory }: Lab): Promise<string> {
  const place = await mkdtemp(join(directory, "fleet-"));
  await runCommand({ program: "mount", args: ["-t", "tmpfs", "-o", "mode=755,size=50%", "fleet", place] });
  return place;
}

/** Lazily: agents that were killed may still have files of it open. */
async function unmount(place: string): Promise<void> {
  await runCommand({ program: "umount", args: ["--lazy", place] });
}

async function addNodes(
  controller: ControllerProcess,
  indexes: readonly number[],
  runtimeOverlays: readonly string[],
): Promise<void> {
  const nodes = indexes.map((index) => {
    const { name, mac } = fleetNode(index);
    return { name, fields: { runtimeOverlays, devices: [{ name: "eth0", type: "ethernet", mac }] } };
  });
  const client = new Client("http://musterd", { socketPath: controller.socketPath });
  try {
    const { statusCode, body } = await client.request({
      method: "POST",
      path: "/api/v1/nodes",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ nodes }),
    });
    const text = await body.text();
    if (statusCode !== 201) throw new Error(`adding the nodes was answered with ${statusCode}: ${text}`);
  } finally {
    await client.close();
  }
}

function addReports(reports: readonly FleetReport[]): FleetReport {
  const sum = (field: "enrolled" | "sessions" | "welcomes" | "hardware" | "updates" | "failures"): number =>
    reports.reduce((total, report) => total + report[field], 0);
  const times = reports.map(({ firstEnrolledAtMs }) => firstEnrolledAtMs).filter((time) => time > 0);
  return {
    enrolled: sum("enrolled"),
    sessions: sum("sessions"),
    welcomes: sum("welcomes"),
    hardware: sum("hardware"),
    overlays: addCounts(reports.map(({ overlays }) => overlays)),
    updates: sum("updates"),
    failures: sum("failures"),
    trouble: reports.map(({ trouble }) => trouble).find((text) => text !== "") ?? "",
    firstEnrolledAtMs: Math.min(...times),
    lastEnrolledAtMs: Math.max(0, ...reports.map(({ lastEnrolledAtMs }) => lastEnrolledAtMs)),
    lastWelcomeAtMs: Math.max(0, ...reports.map(({ lastWelcomeAtMs }) => lastWelcomeAtMs)),
    lastUpdateAtMs: Math.max(0, ...reports.map(({ lastUpdateAtMs }) => lastUpdateAtMs)),
    lastAppliedAtMs: Math.max(0, ...reports.map(({ lastAppliedAtMs }) => lastAppliedAtMs)),
  };
}

function addCounts(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const [key, count] of all.flatMap(Object.entries<number>)) sums[key] = (sums[key] ?? 0) + count;
  return sums;
}
