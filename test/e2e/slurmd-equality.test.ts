import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { gatherBusybox, gatherLibraries } from "../../initramfs/gather-programs.ts";
import { type CpioEntry, withParents, writeCpio } from "../../initramfs/write-cpio.ts";
import { makeDebianTree } from "../lab/debian-image.ts";
import { type Lab, openLab } from "../lab/open-lab.ts";
import type { MachineSpec } from "../lab/virtual-machine.ts";
import { DIST } from "./cluster.ts";

/** A machine, its states one after the other, and what slurmd counts: CPUs, boards, sockets, cores, threads. */
interface Case {
  readonly name: string;
  readonly spec: Pick<MachineSpec, "smp" | "moreArguments">;
  readonly append?: string;
  /** By state: what is typed before the two programs run. */
  readonly states: readonly { readonly command: string; readonly counts: string }[];
}

const SLURMD = "/usr/sbin/slurmd";
const cpu = (id: number, value: 0 | 1): string => `echo ${value} > /sys/devices/system/cpu/cpu${id}/online`;
const asIs = (counts: string): Case["states"] => [{ command: "true", counts }];

/** Memory nodes of 192 MiB with these CPUs, and distances from one to another. */
function memoryNodes(cpus: readonly string[], distances: readonly string[] = []): readonly string[] {
  return [
    ...cpus.flatMap((list, id) => [
      ...["-object", `memory-backend-ram,id=m${id},size=${MEMORY_MIB / cpus.length}M`],
      "-numa",
      [
        "node",
        `nodeid=${id}`,
        ...(list === "" ? [] : list.split(" ").map((each) => `cpus=${each}`)),
        `memdev=m${id}`,
      ].join(","),
    ]),
    ...distances.flatMap((each) => {
      const [from, to, value] = each.split(" ");
      return ["-numa", `dist,src=${from},dst=${to},val=${value}`];
    }),
  ];
}

const MEMORY_MIB = 768;

/** The lab's usual CPU is an AMD without topology leaves: Linux takes its threads for cores, and keeps CPU 0 online. */
const INTEL = ["-cpu", "Westmere"];

const CASES: readonly Case[] = [
  {
    name: "threads, and CPUs that go offline while it is up",
    spec: { smp: "8,sockets=2,cores=2,threads=2", moreArguments: INTEL },
    append: "cpu0_hotplug",
    states: [
      { command: "hostname C017.cluster.example", counts: "8,1,2,2,2" },
      { command: cpu(3, 0), counts: "7,1,2,2,1" },
      { command: cpu(2, 0), counts: "6,1,2,1,2" },
      { command: `${cpu(2, 1)}; ${cpu(3, 1)}; ${cpu(0, 0)}; hostname 10.0.0.1`, counts: "7,1,2,2,1" },
      { command: cpu(1, 0), counts: "6,1,2,1,2" },
      { command: `${cpu(2, 0)}; ${cpu(3, 0)}; hostname c017`, counts: "4,1,1,2,2" },
    ],
  },
  {
    name: "odd numbers",
    spec: { smp: "30,sockets=3,cores=5,threads=2", moreArguments: INTEL },
    states: asIs("30,1,3,5,2"),
  },
  {
    name: "threads that the CPU does not tell of",
    spec: { smp: "4,sockets=1,cores=2,threads=2" },
    states: asIs("4,1,1,4,1"),
  },
  { name: "dies", spec: { smp: "8,sockets=2,dies=2,cores=2,threads=1" }, states: asIs("8,1,2,4,1") },
  {
    name: "memory nodes of two packages each",
    spec: { smp: "8,sockets=4,cores=2,threads=1", moreArguments: memoryNodes(["0-3", "4-7"]) },
    states: asIs("8,2,2,2,1"),
  },
  {
    name: "memory nodes inside a package",
    spec: { smp: "4,sockets=1,cores=4,threads=1", moreArguments: memoryNodes(["0-1", "2-3"]) },
    states: asIs("4,1,1,4,1"),
  },
  {
    name: "a memory node without CPUs",
    spec: { smp: "4,sockets=2,cores=2,threads=1", moreArguments: memoryNodes(["0-1", "2-3", ""]) },
    states: asIs("4,1,2,2,1"),
  },
  {
    name: "memory nodes that are close in pairs",
    spec: {
      smp: "4,sockets=4,cores=1,threads=1",
      moreArguments: memoryNodes(
        ["0", "1", "2", "3"],
        ["0 1 16", "0 2 22", "0 3 22", "1 2 22", "1 3 22", "2 3 16"],
      ),
    },
    states: asIs("4,2,2,1,1"),
  },
  {
    name: "nosmt",
    spec: { smp: "8,sockets=2,cores=2,threads=2", moreArguments: INTEL },
    append: "nosmt",
    states: [
      { command: "true", counts: "4,1,2,2,1" },
      { command: "echo on > /sys/devices/system/cpu/smt/control", counts: "8,1,2,2,2" },
      { command: "echo off > /sys/devices/system/cpu/smt/control", counts: "4,1,2,2,1" },
    ],
  },
  {
    name: "maxcpus, and room for more",
    spec: { smp: "4,maxcpus=8,sockets=2,cores=4,threads=1" },
    append: "maxcpus=3",
    states: asIs("3,1,1,3,1"),
  },
];

/** The programs side by side: slurmd before and after, since each tells the time it is up. */
const INIT = `#!/bin/sh
export PATH=/bin:/sbin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /tmp
. /states
run() { timeout 60 "$@" 2> /tmp/stderr; }
state() {
  eval "$1"
  before=$(run slurmd -C)
  sed 's/^/slurmd: stderr: /' /tmp/stderr
  ours=$(run muster-agent hardware --slurm-version 22.05)
  sed 's/^/ours: stderr: /' /tmp/stderr
  after=$(run slurmd -C)
  echo "$before" | sed 's/^/before: /'
  echo "$ours" | sed 's/^/ours: /'
  echo "$after" | sed 's/^/after: /'
  echo "end of state"
}
states
echo "all states seen"
poweroff -f
`;

let lab: Lab;
let kernel: string;
let programs: string;

beforeAll(async () => {
  lab = await openLab();
  kernel = join(await makeDebianTree(dirname(DIST)), "vmlinuz");
  const agent = join(DIST, "muster-agent");
  programs = await writeArchive("programs", [
    ...(await gatherBusybox(AbortSignal.timeout(30_000))),
    ...(await gatherLibraries([SLURMD, agent], AbortSignal.timeout(30_000))),
    { kind: "symlink", path: "bin/timeout", target: "busybox" },
    { kind: "file", path: "usr/sbin/slurmd", mode: 0o755, content: await readFile(SLURMD) },
    { kind: "file", path: "bin/muster-agent", mode: 0o755, content: await readFile(agent) },
    { kind: "file", path: "init", mode: 0o755, content: Buffer.from(INIT) },
    { kind: "directory", path: "proc", mode: 0o755 },
    { kind: "directory", path: "sys", mode: 0o755 },
    { kind: "directory", path: "dev", mode: 0o755 },
    { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
  ]);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

test.each(CASES)("both say the same of a machine with $name", async ({ spec, append = "", states }) => {
  const index = CASES.findIndex((each) => each.states === states);
  const script = `states() {\n${states.map(({ command }) => `state '${command}'`).join("\n")}\n}\n`;
  const machine = await lab.addMachine({
    ...spec,
    name: `m${index}`,
    mac: `52:54:00:77:0a:0${index}`,
    firmware: "direct",
    memoryMib: MEMORY_MIB,
    kernel,
    initrds: [
      programs,
      await writeArchive(`states-${index}`, [
        { kind: "file", path: "states", mode: 0o644, content: Buffer.from(script) },
      ]),
    ],
    append: `console=ttyS0 quiet panic=-1 ${append}`,
  });
  await machine.powerOn();
  await machine.waitForConsole("all states seen", { deadlineMs: 120_000 });
  await machine.powerOff();
  const seen = parseStates(await machine.readConsole());
  expect(seen.map(({ ours }) => ours[0]).map(readCounts)).toEqual(states.map(({ counts }) => counts));
  for (const { before, ours, after, slurmdErrors, ourErrors } of seen) {
    expect(ours[0]).toBe(before[0]);
    expect(ours.length).toBe(2);
    // The same second, or one in between.
    expect([before[1], ours[1], after[1]]).toEqual([before[1], ours[1], after[1]].toSorted());
    expect(ours[1]).toMatch(/^UpTime=0-00:\d\d:\d\d$/);
    expect(ourErrors.map((line) => line.replace("muster-agent:", "slurmd:"))).toEqual(slurmdErrors);
  }
});

async function writeArchive(name: string, entries: readonly CpioEntry[]): Promise<string> {
  const path = join(lab.directory, `${name}.cpio`);
  await writeFile(path, writeCpio(withParents(entries)));
  return path;
}

function parseStates(console: string) {
  return console
    .split("end of state")
    .slice(0, -1)
    .map((text) => {
      const linesOf = (mark: string): readonly string[] =>
        text.split("\n").flatMap((line) => (line.startsWith(mark) ? [line.slice(mark.length)] : []));
      return {
        before: linesOf("before: "),
        ours: linesOf("ours: ").filter((line) => !line.startsWith("stderr: ")),
        after: linesOf("after: "),
        slurmdErrors: linesOf("slurmd: stderr: "),
        ourErrors: linesOf("ours: stderr: "),
      };
    });
}

/** "NodeName=c1 CPUs=8 Boards=1 SocketsPerBoard=2 ..." as "8,1,2,2,2"; sockets are those of one board. */
function readCounts(line = ""): string {
  return [...line.matchAll(/(?:CPUs|Boards|SocketsPerBoard|CoresPerSocket|ThreadsPerCore)=(\d+)/g)]
    .map(([, count]) => count)
    .join(",");
}
