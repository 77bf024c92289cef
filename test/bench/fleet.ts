import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { type Cluster, openCluster, writeOverlay } from "../e2e/cluster.ts";
import { type Fleet, openFleet } from "../fleet/open-fleet.ts";
import { listProcessesIn } from "../lab/network-namespace.ts";
import { readCpuMilliseconds, readCpuSeconds, readMemory } from "./read-process-cost.ts";
import { type Bench, median, renderMegabytes, renderSpread, renderTable } from "./render-table.ts";

/** A heartbeat of every node. */
const IDLE_MS = 30_000;
/** Until musterd has read what all said of a change. */
const SETTLED_MS = 1000;
const DEADLINE_MS = 900_000;

/** What one controller does for 1 and for 2,000 nodes: the agents run on the same machine and take as much again. */
export const benchFleet: Bench = async (say) =>
  renderRuns([
    await measureFleet({ count: 1, changes: 5, isKilled: true }, say),
    await measureFleet({ count: 2000, changes: 5, isKilled: true }, say),
  ]);

/** The sessions of 10,000, and one change: what takes long at that many is the agents. */
export const benchLargeFleet: Bench = async (say) =>
  renderRuns([await measureFleet({ count: 10_000, changes: 1, isKilled: false }, say)]);

interface Wanted {
  readonly count: number;
  /** Of a file in the overlay. */
  readonly changes: number;
  /** The controller, and is started again. */
  readonly isKilled: boolean;
}

interface Run {
  readonly nodes: number;
  readonly rows: readonly (readonly [what: string, measured: string])[];
}

async function measureFleet(wanted: Wanted, say: (line: string) => void): Promise<Run> {
  const { count } = wanted;
  await using cluster = await openCluster();
  const rootfs = await writeOverlay(cluster, "bench", [{ path: "etc/bench/word", text: "0\n" }]);
  const empty = await readController(cluster);
  say(`${count} nodes: boot`);
  const started = Date.now();
  await using fleet = await openFleet(cluster, count, { runtimeOverlays: ["bench"] });
  const connected = await fleet.until("all to connect", ({ sessions }) => sessions === count, DEADLINE_MS);
  const booted = await readController(cluster);
  await fleet.until("their hardware", ({ hardware }) => hardware >= count, DEADLINE_MS);
  await fleet.until("their overlay", ({ overlays }) => isOn(overlays, count), DEADLINE_MS);
  say(`${count} nodes: idle`);
  const idleFrom = await readController(cluster);
  await sleep(IDLE_MS);
  const idleTo = await readController(cluster);
  say(`${count} nodes: change the overlay`);
  const changes = await timeChanges(cluster, fleet, join(rootfs, "etc/bench/word"), wanted);
  if (wanted.isKilled) say(`${count} nodes: kill the controller`);
  const back = wanted.isKilled ? await timeReturn(cluster, fleet, count) : undefined;
  const seconds = (connected.lastWelcomeAtMs - started) / 1000;
  return {
    nodes: count,
    rows: [
      ["from powered on to all connected, s", seconds.toFixed(1)],
      ["enrolments per second", (count / seconds).toFixed(0)],
      ["CPU of musterd per boot, ms", per(booted.cpuSeconds - empty.cpuSeconds, count)],
      ["musterd without nodes: anonymous memory, MB", renderMegabytes(empty.anonymousBytes)],
      ["musterd with all idle: anonymous memory, MB", renderMegabytes(idleTo.anonymousBytes)],
      ["- resident, MB", renderMegabytes(idleTo.residentBytes)],
      ["- per session, kB", ((idleTo.anonymousBytes - empty.anonymousBytes) / count / 1000).toFixed(0)],
      ["musterd idle: CPU ms per second", per(idleTo.cpuSeconds - idleFrom.cpuSeconds, IDLE_MS / 1000)],
      [
        "overlay changed to received by the last node, s",
        renderSpread(
          changes.map(({ receivedMs }) => receivedMs / 1000),
          2,
        ),
      ],
      ["- CPU of musterd until then, s", renderMedian(changes.map(({ sendMs }) => sendMs))],
      [
        "overlay changed to applied on the last node, s",
        renderSpread(
          changes.map(({ appliedMs }) => appliedMs / 1000),
          2,
        ),
      ],
      ["- CPU of musterd in all, s", renderMedian(changes.map(({ controllerMs }) => controllerMs))],
      ["- CPU of the agents, s", renderMedian(changes.map(({ agentsMs }) => agentsMs))],
      ["- CPU of an agent, ms", per(median(changes.map(({ agentsMs }) => agentsMs)) / 1000, count)],
      ...(back === undefined
        ? []
        : ([
            ["musterd killed and started: all sessions back, s", back.seconds.toFixed(1)],
            ["- CPU of musterd per session, ms", per(back.cpuSeconds, count)],
          ] as const)),
    ],
  };
}

/** What one change of a file costs; times from when it is on the controller's disk. */
interface Change {
  /** The last node has been sent it; what the controller is responsible for. */
  readonly receivedMs: number;
  /** CPU of musterd until then. */
  readonly sendMs: number;
  /** The last node has applied it; thousands of agents share the CPU of one machine for that. */
  readonly appliedMs: number;
  /** CPU of musterd until all have said so, and of all agents until then. */
  readonly controllerMs: number;
  readonly agentsMs: number;
}

async function timeChanges(
  { lab }: Cluster,
  fleet: Fleet,
  path: string,
  { count, changes: times }: Wanted,
): Promise<readonly Change[]> {
  const musterd = await findMusterd(lab);
  const changes: Change[] = [];
  for (let change = 1; change <= times; change++) {
    const before = fleet.report;
    const [controllerMs, agentsMs] = [await readCpuMilliseconds(musterd), await readFleetCpu(fleet)];
    const atMs = Date.now();
    await writeFile(path, `${change}\n`);
    const { lastUpdateAtMs } = await fleet.until(
      "all to receive the change",
      ({ updates }) => updates === before.updates + count,
      DEADLINE_MS,
    );
    const sendMs = (await readCpuMilliseconds(musterd)) - controllerMs;
    const { lastAppliedAtMs } = await fleet.until(
      "all to have the change",
      ({ overlays }) =>
        isOn(overlays, count) && !Object.keys(overlays).some((digest) => digest in before.overlays),
      DEADLINE_MS,
    );
    await sleep(SETTLED_MS);
    changes.push({
      receivedMs: lastUpdateAtMs - atMs,
      sendMs,
      appliedMs: lastAppliedAtMs - atMs,
      controllerMs: (await readCpuMilliseconds(musterd)) - controllerMs,
      agentsMs: (await readFleetCpu(fleet)) - agentsMs,
    });
  }
  return changes;
}

async function readFleetCpu({ pids }: Fleet): Promise<number> {
  const times = await Promise.all(pids.map(readCpuMilliseconds));
  return times.reduce((sum, time) => sum + time, 0);
}

async function timeReturn(
  { lab, controller }: Cluster,
  fleet: Fleet,
  count: number,
): Promise<{ readonly seconds: number; readonly cpuSeconds: number }> {
  const { welcomes } = fleet.report;
  await controller.kill9();
  await fleet.until("the sessions to end", ({ sessions }) => sessions === 0, DEADLINE_MS);
  const started = Date.now();
  await controller.start();
  const back = await fleet.until(
    "all to be back",
    (report) => report.sessions === count && report.welcomes >= welcomes + count,
    DEADLINE_MS,
  );
  const { cpuSeconds } = await readController({ lab });
  return { seconds: (back.lastWelcomeAtMs - started) / 1000, cpuSeconds };
}

async function readController({
  lab,
}: Pick<Cluster, "lab">): Promise<Awaited<ReturnType<typeof readMemory>> & { readonly cpuSeconds: number }> {
  return {
    ...(await readMemory(await findMusterd(lab))),
    cpuSeconds: await readCpuSeconds([await findMusterd(lab)]),
  };
}

/** The process of a lab's controller that has the sessions. */
export async function findMusterd({ namespacePath }: Cluster["lab"]): Promise<number> {
  for (const pid of await listProcessesIn(namespacePath)) {
    const { name } = await readMemory(pid).catch(() => ({ name: "" }));
    if (name.endsWith("/musterd.mjs")) return pid;
  }
  throw new Error("no musterd runs in the lab");
}

function isOn(overlays: Readonly<Record<string, number>>, count: number): boolean {
  const [all, ...others] = Object.values(overlays);
  return all === count && others.length === 0;
}

function per(seconds: number, count: number): string {
  return ((seconds * 1000) / count).toFixed(2);
}

/** Of milliseconds, in seconds. */
function renderMedian(values: readonly number[]): string {
  return (median(values) / 1000).toFixed(2);
}

function renderRuns(runs: readonly Run[]): string {
  const [first] = runs;
  return renderTable(
    ["one controller", ...runs.map(({ nodes }) => (nodes === 1 ? "1 node" : `${nodes} nodes`))],
    (first?.rows ?? []).map(([what], index) => [what, ...runs.map(({ rows }) => rows[index]?.[1] ?? "")]),
  );
}
