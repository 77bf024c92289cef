import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { runCommand } from "#proto/host/run-command.ts";

import { DIST } from "../e2e/cluster.ts";
import { type ControllerProcess, startController } from "../lab/controller-process.ts";
import { listProcessesIn } from "../lab/network-namespace.ts";
import { type Lab, openLab } from "../lab/open-lab.ts";
import { benchNodeSets } from "./node-sets.ts";
import { readCpuMilliseconds, readMemory } from "./read-process-cost.ts";
import { type Bench, median, renderMegabytes, renderSpread, renderTable } from "./render-table.ts";
import { renderBenchInventory } from "./render-bench-inventory.ts";
import { watchAnswers } from "./watch-answers.ts";

const NODES = 10_000;
const RUNS = 7;

/** What people wait for when they have 10,000 nodes in profiles; and the node sets that all of it takes. */
export const benchInventory: Bench = async (say) => {
  const sets = await benchNodeSets(say);
  await using lab = await openLab({ name: "inventory" });
  const controller = await startController(lab, { dist: DIST });
  const empty = await readController(lab);
  const text = join(lab.directory, "site.yaml");
  await writeFile(text, renderBenchInventory(NODES));
  const commands = await timeCommands({ lab, controller, text, say });
  const full = await readController(lab);
  say("start musterd");
  const starts = await timeStarts(controller);
  const fresh = await readController(lab);
  return [
    renderTable(
      [
        `${NODES} nodes, whole process`,
        ...["ms", "aim, ms", "its CPU, ms", "CPU of musterd, ms", "longest wait of others, ms"],
      ],
      commands,
    ),
    renderTable(
      ["musterd", "without nodes", `${NODES} nodes, just started`, "after the commands above"],
      [
        ["resident, MB", ...[empty, fresh, full].map((one) => renderMegabytes(one.residentBytes))],
        ["of which anonymous, MB", ...[empty, fresh, full].map((one) => renderMegabytes(one.anonymousBytes))],
        ["from its start until it answers, ms", "", renderSpread(starts, 0), ""],
      ],
    ),
    sets,
  ].join("\n");
};

interface Site {
  readonly lab: Lab;
  readonly controller: ControllerProcess;
  /** A file with the whole inventory. */
  readonly text: string;
  readonly say: (line: string) => void;
}

/** A command, and what has to be so before each run of it. */
interface Timed {
  readonly what: string;
  readonly args: readonly string[];
  readonly aimMs?: number;
  readonly runs?: number;
  readonly before?: (run: number) => Promise<void>;
  /** Refuses an answer that is not the one that was to be timed. */
  readonly check?: (shown: string) => boolean;
}

async function timeCommands(site: Site): Promise<readonly (readonly string[])[]> {
  const { text, lab } = site;
  const exported = join(lab.directory, "exported.yaml");
  const oneField = async (run: number): Promise<void> => {
    const whole = await readFile(exported, "utf8");
    await writeFile(text, whole.replace(/rack: "?100"?.*/, `rack: "100-${run}"`));
  };
  const profileField = async (run: number): Promise<void> => {
    const whole = await readFile(exported, "utf8");
    await writeFile(text, whole.replace(/- quiet.*/, `- quiet\n      - run=${run}`));
  };
  const apply = ["apply", "-f", text, "--yes"];
  const nodes = (count: number) => (shown: string) => shown.split("\n").length >= count;
  const timed: readonly Timed[] = [
    { what: "apply to an empty inventory", args: apply, runs: 1 },
    { what: "version: starts, and asks nobody", args: ["version"] },
    { what: "node list", args: ["node", "list"], aimMs: 300, check: nodes(NODES) },
    { what: "node list -o nodeset", args: ["node", "list", "-o", "nodeset"] },
    { what: "node list -o json", args: ["node", "list", "-o", "json"], check: nodes(NODES) },
    { what: "node list @profile:rack7", args: ["node", "list", "@profile:rack7"], check: nodes(100) },
    { what: "node show c00001", args: ["node", "show", "c00001"] },
    { what: "export", args: ["export", exported] },
    { what: "apply what was exported", args: ["apply", "-f", exported, "--yes"] },
    { what: "apply with one field changed", args: apply, aimMs: 1000, before: oneField },
    { what: "apply with a profile of all changed", args: apply, before: profileField },
    { what: "node set of one", args: ["node", "set", "c00001", "--yes", "--comment"] },
    { what: "node set of all", args: ["node", "set", "@all", "--yes", "--comment"] },
    { what: "profile set that reaches all", args: ["profile", "set", "base", "--yes", "--comment"] },
  ];
  const rows: string[][] = [];
  for (const one of timed) rows.push(await timeCommand(site, one));
  return rows;
}

/** The command, then what its process took: times(1p) of the shell, whose second line is of its children. */
const WITH_TIMES = '"$0" "$@"; status=$?; times >&2; exit "$status"';

/** CPU milliseconds of the last line: "0m0.170000s 0m0.040000s", user and system. */
function readTimes(text: string): number {
  const [last = ""] = text.trimEnd().split("\n").slice(-1);
  const parts = [...last.matchAll(/(\d+)m([\d.]+)s/g)];
  if (parts.length !== 2) throw new Error(`the shell's times are not understood: ${last}`);
  return parts.reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1000,
    0,
  );
}

async function timeCommand({ lab, controller, say }: Site, timed: Timed): Promise<string[]> {
  const { what, args, aimMs, before: prepare, runs = RUNS } = timed;
  say(what);
  const times: number[] = [];
  const [cpu, serverCpu, waits]: [number[], number[], number[]] = [[], [], []];
  const pid = await findController(lab);
  for (let run = 0; run < runs; run += 1) {
    await prepare?.(run);
    const isChange = args.at(-1) === "--comment";
    await using answers = watchAnswers(controller.socketPath);
    const before = await readCpuMilliseconds(pid);
    const started = performance.now();
    const { stdout, stderr } = await runCommand({
      program: "sh",
      args: ["-c", WITH_TIMES, join(DIST, "muster"), ...(isChange ? [...args, `run ${run}`] : args)],
      env: { PATH: process.env["PATH"] ?? "", MUSTER_SOCKET: controller.socketPath },
      deadlineMs: 120_000,
    });
    times.push(performance.now() - started);
    waits.push(answers.longestMs());
    cpu.push(readTimes(stderr));
    serverCpu.push((await readCpuMilliseconds(pid)) - before);
    if (timed.check?.(stdout) === false)
      throw new Error(`muster ${args.join(" ")} printed:\n${stdout.slice(0, 500)}`);
  }
  return [
    `muster ${what}`,
    renderSpread(times, 0),
    aimMs === undefined ? "" : String(aimMs),
    median(cpu).toFixed(0),
    median(serverCpu).toFixed(0),
    median(waits).toFixed(0),
  ];
}

async function readController(lab: Lab): ReturnType<typeof readMemory> {
  return readMemory(await findController(lab));
}

async function findController(lab: Lab): Promise<number> {
  for (const pid of await listProcessesIn(lab.namespacePath)) {
    if ((await readMemory(pid)).name.endsWith("musterd.mjs")) return pid;
  }
  throw new Error("musterd does not run");
}

async function timeStarts(controller: ControllerProcess): Promise<readonly number[]> {
  const times: number[] = [];
  for (let run = 0; run < 3; run += 1) {
    await controller.stop();
    const started = performance.now();
    await controller.start();
    times.push(performance.now() - started);
  }
  return times;
}
