import type { MachineDescription } from "./render-sysfs-tree.ts";

/** A machine, and what slurmd 22.05 (hwloc 2.9) counts on it: CPUs, boards, sockets, cores, threads. */
export interface OddMachine extends MachineDescription {
  readonly counts: string;
  readonly warnings?: readonly string[];
}

const grid = (
  size: number,
  distance: (one: number, other: number) => number,
): readonly (readonly number[])[] =>
  Array.from({ length: size }, (_, one) =>
    Array.from({ length: size }, (_other, other) => (one === other ? 10 : distance(one, other))),
  );

/** Machines on which the obvious way of counting is wrong. All counts were seen from slurmd itself. */
export const ODD_MACHINES: Readonly<Record<string, OddMachine>> = {
  threads: { levels: "package:4 core:2 pu:2", threadsLast: true, counts: "16,1,4,2,2" },
  "uneven after CPUs went offline": {
    levels: "package:4 core:2 pu:2",
    offline: "5,7,14,15",
    counts: "12,1,4,1,1",
    warnings: [
      "Thread count (12) not multiple of core count (7)",
      "Core count (7) not multiple of socket count (4)",
    ],
  },
  "one core offline": {
    levels: "package:8 numa:1 core:2 pu:1",
    offline: "4",
    counts: "15,1,8,1,1",
    warnings: ["Core count (15) not multiple of socket count (8)"],
  },
  "CPU 0 offline": {
    levels: "package:2 numa:1 core:9 pu:1",
    offline: "0",
    counts: "17,1,2,8,1",
    warnings: ["Core count (17) not multiple of socket count (2)"],
  },
  "a whole package offline": { levels: "package:2 numa:1 core:2 pu:1", offline: "2-3", counts: "2,1,1,2,1" },
  "memory nodes inside packages": { levels: "package:4 numa:2 core:6 pu:1", counts: "48,1,4,12,1" },
  "clusters of cores": { levels: "package:2 numa:1 cluster:16 core:4 pu:1", counts: "128,1,2,64,1" },
  dies: { levels: "package:4 die:2 numa:2 core:2 pu:2", counts: "64,1,4,8,2" },
  "memory nodes of several packages": { levels: "numa:4 package:4 l3:3 core:2 pu:1", counts: "96,4,4,6,1" },
  "memory nodes of several packages with threads": {
    levels: "numa:4 package:2 l3:2 core:2 pu:2",
    counts: "64,4,2,4,2",
  },
  "close memory nodes": {
    levels: "numa:8 package:2 core:1 pu:1",
    distances: grid(8, (one, other) => (one >> 2 === other >> 2 ? 21 : 22)),
    counts: "16,2,8,1,1",
  },
  "close memory nodes in two steps": {
    levels: "numa:8 package:1 core:2 pu:1",
    distances: grid(8, (one, other) => (one >> 1 === other >> 1 ? 15 : one >> 2 === other >> 2 ? 20 : 30)),
    counts: "16,2,4,2,1",
  },
  "distances that differ by direction": {
    levels: "numa:4 package:1 core:2 pu:1",
    distances: grid(4, (one, other) => (one === 0 && other === 1 ? 15 : 20)),
    counts: "8,1,4,2,1",
  },
  "memory without CPUs, close to some": {
    levels: "package:4 core:2 pu:1",
    nodes: ["0-3", "4-7", "", ""],
    distances: [
      [10, 20, 17, 28],
      [20, 10, 28, 17],
      [17, 28, 10, 28],
      [28, 17, 28, 10],
    ],
    counts: "8,2,2,2,1",
  },
  "memory without CPUs, close to none": {
    levels: "package:4 core:2 pu:1",
    nodes: ["0-3", "4-7", ""],
    counts: "8,3,1,2,1",
  },
  "memory without CPUs, with initiators": {
    levels: "package:2 core:2 pu:1",
    nodes: ["0-1", "2-3", ""],
    initiators: { 2: [0, 1] },
    counts: "4,1,2,2,1",
  },
  "memory nodes that share CPUs": {
    levels: "package:2 core:2 pu:1",
    nodes: ["0-3", "2-3"],
    counts: "4,1,2,2,1",
  },
  "a memory node that cuts through packages": {
    levels: "package:2 core:4 pu:1",
    nodes: ["0-1,4-5", "2-3,6-7"],
    counts: "8,1,2,4,1",
  },
  "books and packages": {
    levels: "book:2 package:2 core:5 pu:1",
    offline: "4",
    architecture: "s390x",
    counts: "19,2,2,4,1",
    warnings: ["Core count (19) not multiple of socket count (4)"],
  },
  "drawers and books": {
    levels: "drawer:2 book:3 package:1 core:2 pu:1",
    architecture: "s390x",
    counts: "12,2,3,2,1",
  },
  "no package": { levels: "core:1 pu:2", hasOldNames: true, counts: "2,1,1,1,2" },
  "memory nodes and no package": { levels: "numa:2 core:4 pu:2", counts: "16,2,0,8,2" },
  "old names of files": { levels: "package:2 numa:1 core:4 pu:2", hasOldNames: true, counts: "16,1,2,4,2" },
  "no list of CPUs that are online": {
    levels: "package:2 core:2 pu:2",
    lacksOnlineList: true,
    offline: "1,3",
    counts: "6,1,2,2,1",
    warnings: ["Thread count (6) not multiple of core count (4)"],
  },
  "two packages with one number": {
    levels: "package:4 numa:1 core:10 pu:1",
    masks: Object.fromEntries(Array.from({ length: 20 }, (_, cpu) => [cpu, { package: "0-19" }])),
    counts: "40,1,3,13,1",
    warnings: ["Core count (40) not multiple of socket count (3)"],
  },
  "a package that cuts through another": {
    levels: "package:2 core:4 pu:1",
    masks: { 0: { package: "0-4" } },
    counts: "8,1,1,8,1",
  },
  "compute units of AMD": {
    levels: "package:2 core:4 pu:2",
    cpuInfo: "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 21\nmodel\t\t: 2",
    architecture: "x86_64",
    coreIds: Array.from({ length: 16 }, (_, cpu) => cpu % 8),
    counts: "16,1,2,8,1",
  },
  "threads of AMD of the same family": {
    levels: "package:2 core:4 pu:2",
    cpuInfo: "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 21\nmodel\t\t: 2",
    architecture: "x86_64",
    counts: "16,1,2,4,2",
  },
  "level 3 caches in place of packages": { levels: "numa:2 l3:2 core:2 pu:1", counts: "8,2,0,8,1" },
  "a single CPU": { levels: "package:1 numa:1 core:1 pu:1", counts: "1,1,1,1,1" },
  "more CPUs than a number has bits": {
    levels: "package:2 numa:4 l3:2 core:6 pu:2",
    threadsLast: true,
    counts: "192,1,2,48,2",
  },
};
