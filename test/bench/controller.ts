import { join } from "node:path";

import { type Cluster, DIST, IMAGE, openCluster, waitForReady } from "../e2e/cluster.ts";
import { listProcessesIn } from "../lab/network-namespace.ts";
import { startDaemon } from "#proto/host/run-command.ts";
import { addDirectMachine } from "./direct-boot.ts";
import { readMemory } from "./read-process-cost.ts";
import { renderMegabytes, renderSpread, renderTable } from "./render-table.ts";

const NODES = [
  { name: "c001", mac: "52:54:00:77:22:01", address: "10.77.0.41" },
  { name: "c002", mac: "52:54:00:77:22:02", address: "10.77.0.42" },
] as const;
const COMMAND_RUNS = 11;

/** What a controller with two ready nodes takes, and how long its commands take. */
export async function benchController(say: (line: string) => void): Promise<string> {
  await using cluster = await openCluster();
  say("import the image again");
  const steps = await timeImport(cluster);
  for (const { name, mac, address } of NODES) {
    say(`boot ${name}`);
    await cluster.controller.mustMuster([
      "node",
      "add",
      name,
      "--mac",
      mac,
      "--address",
      address,
      "--image",
      IMAGE,
    ]);
    const machine = await addDirectMachine(cluster, { name, mac }, address);
    await machine.powerOn();
    await waitForReady(cluster, name, machine);
  }
  const memory = await readProcesses(cluster);
  for (const machine of cluster.lab.machines) await machine.powerOff();
  return [
    renderTable(
      ["process, two nodes ready", "resident, MB", "of which anonymous, MB"],
      memory.map(({ name, residentBytes, anonymousBytes }) => [
        name,
        renderMegabytes(residentBytes),
        renderMegabytes(anonymousBytes),
      ]),
    ),
    renderTable(
      ["step of `muster image import`", "seconds"],
      steps.map(([step, seconds]) => [step, seconds.toFixed(1)]),
    ),
    renderTable(["command, whole process", "ms"], await timeCommands(cluster, say)),
  ].join("\n");
}

/** The processes of the controller: all in the lab's network but the machines. */
async function readProcesses({ lab }: Cluster): Promise<readonly Awaited<ReturnType<typeof readMemory>>[]> {
  const found = await Promise.all((await listProcessesIn(lab.namespacePath)).map(readMemory));
  return found
    .map((one) => ({ ...one, name: one.name.slice(one.name.lastIndexOf("/") + 1).replace(/\.mjs$/, "") }))
    .filter(({ name }) => !name.startsWith("qemu"))
    .toSorted((a, b) => b.residentBytes - a.residentBytes);
}

/** Seconds from one line of `muster image import` to the next. */
async function timeImport({ controller, tree }: Cluster): Promise<readonly (readonly [string, number])[]> {
  const lines: { readonly text: string; readonly at: number }[] = [];
  const started = performance.now();
  const command = await startDaemon({
    program: join(DIST, "muster"),
    args: ["image", "import", tree, "--name", IMAGE],
    env: { PATH: process.env["PATH"] ?? "", MUSTER_SOCKET: controller.socketPath },
    onLine: (text) => lines.push({ text, at: performance.now() }),
  });
  const { code } = await command.exited;
  const ended = performance.now();
  if (code !== 0) throw new Error(`muster image import failed:\n${lines.map(({ text }) => text).join("\n")}`);
  const steps = lines.slice(0, -1);
  return [
    ["start, look at the tree", ((steps[0]?.at ?? ended) - started) / 1000],
    ...steps.map(({ text, at }, index) => [text, ((steps[index + 1]?.at ?? ended) - at) / 1000] as const),
    ["all", (ended - started) / 1000],
  ];
}

async function timeCommands(
  { controller }: Cluster,
  say: (line: string) => void,
): Promise<readonly (readonly string[])[]> {
  const rows: string[][] = [];
  for (const args of [["version"], ["node", "list"]]) {
    say(`muster ${args.join(" ")}`);
    const times: number[] = [];
    for (let run = 0; run < COMMAND_RUNS; run++) {
      const started = performance.now();
      await controller.mustMuster(args);
      times.push(performance.now() - started);
    }
    rows.push([`muster ${args.join(" ")}`, renderSpread(times, 0)]);
  }
  return rows;
}
