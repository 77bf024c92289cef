import { type CpuSet, firstOf, hasCpu, NO_CPUS, parseCpuMask } from "./parse-cpu-set.ts";
import { type Level, planLevels } from "./plan-levels.ts";
import { planMemoryNodes } from "./plan-memory-nodes.ts";
import type { CpuFiles, TopologyFiles } from "./topology-files.ts";
import { insertObject, makeObject, type TopologyObject } from "./topology-tree.ts";

/** A machine as hwloc shows it to Slurm. */
export interface Topology {
  readonly machine: TopologyObject;
  /** From the machine to its CPUs. */
  readonly levels: readonly Level[];
}

export interface TopologyOptions {
  /** Whether memory nodes that are memory of NVIDIA GPUs count (hwloc 2.11 and newer). */
  readonly keepsGpuMemory: boolean;
}

/**
 * The tree hwloc builds from sysfs with the settings Slurm gives it: of caches only level 3, forbidden CPUs
 * included, no devices (look_sysfscpu of topology-linux.c, hwloc 2.9 to 2.14, and xcpuinfo.c of Slurm).
 * Not done: hwloc's second look through CPUID, and its quirk for clusters inside Intel Knights Landing.
 */
export function planTopology(files: TopologyFiles, options: TopologyOptions): Topology {
  const machine = makeObject("machine", NO_CPUS);
  const online = files.cpus.reduce((all, { cpu }) => all | (1n << BigInt(cpu)), NO_CPUS);
  const quirks = planQuirks(files);
  for (const cpu of files.cpus) insertCpu(machine, cpu, online, quirks);
  planMemoryNodes(machine, files.nodes, options.keepsGpuMemory);
  restrictTo(machine, machine.cpus);
  return { machine, levels: planLevels(machine) };
}

/** The same machine with no CPUs but these (hwloc_topology_restrict). */
export function restrictTopology({ machine }: Topology, cpus: CpuSet): Topology {
  restrictTo(machine, cpus);
  return { machine, levels: planLevels(machine) };
}

/** Nothing has CPUs that its parent has not. */
function restrictTo(object: TopologyObject, cpus: CpuSet): void {
  object.cpus &= cpus;
  for (const child of object.children) restrictTo(child, object.cpus);
}

/** Whether the first processor is an AMD of family 15h or 16h, whose "threads" can be cores sharing a unit. */
export function hasComputeUnits(cpuInfo: string): boolean {
  return /^vendor_id\s*:\s*AuthenticAMD$/m.test(cpuInfo) && /^cpu family\s*:\s*2[12]$/m.test(cpuInfo);
}

interface Quirks {
  /** Threads that the kernel calls siblings are cores of their own. */
  readonly threadsAreCores: boolean;
  /** Knights Landing and Mill tell of a level 3 cache without a size: it is memory. */
  readonly ignoresEmptyL3: boolean;
}

function planQuirks({ cpus, cpuInfo }: TopologyFiles): Quirks {
  const isKnightsLanding =
    /^vendor_id\s*:\s*GenuineIntel$/m.test(cpuInfo) &&
    /^cpu family\s*:\s*6$/m.test(cpuInfo) &&
    /^model\s*:\s*(?:87|133)$/m.test(cpuInfo);
  return {
    threadsAreCores: hasComputeUnits(cpuInfo) && haveThreadsTheirOwnCores(cpus),
    ignoresEmptyL3: isKnightsLanding,
  };
}

/** Decided by the first CPU that has siblings and the first of those. */
function haveThreadsTheirOwnCores(cpus: readonly CpuFiles[]): boolean {
  for (const { cpu, core, coreId } of cpus) {
    const siblings = cpus.filter((each) => each.cpu !== cpu && hasCpu(parseCpuMask(core ?? "0"), each.cpu));
    const [sibling] = siblings;
    if (sibling !== undefined) return sibling.coreId !== coreId;
  }
  // Not known: then no CPU has siblings, and it makes no difference.
  return false;
}

/** An object is made by the first of its CPUs; whoever is not the first of its core asks no further up. */
function insertCpu(machine: TopologyObject, files: CpuFiles, online: CpuSet, quirks: Quirks): void {
  const self = 1n << BigInt(files.cpu);
  const read = (mask: string | undefined): CpuSet | undefined =>
    mask === undefined ? undefined : parseCpuMask(mask) & online;
  const core = read(files.core);
  const isFirstOfCore = core === undefined || firstOf(core) === self;
  if (core !== undefined && (isFirstOfCore || quirks.threadsAreCores)) {
    insertObject(machine, makeObject("core", quirks.threadsAreCores ? self : core));
  }
  if (isFirstOfCore)
    insertAboveCore(machine, self, read(files.cluster), read(files.die), read(files.package));
  // hwloc looks for drawers only where there are books.
  for (const origin of files.book === undefined ? [] : (["book", "drawer"] as const)) {
    const set = read(files[origin]);
    if (set !== undefined && firstOf(set) === self) insertObject(machine, makeObject("group", set, origin));
  }
  const cpu = insertObject(machine, makeObject("pu", self));
  if (cpu !== undefined) machine.cpus |= self;
  for (const cache of files.l3) {
    const all = parseCpuMask(cache.cpus);
    // Itanium shows empty masks for caches of one core.
    const set = (all === NO_CPUS ? parseCpuMask(files.core ?? "0") : all) & online;
    if (firstOf(set) !== self || (quirks.ignoresEmptyL3 && Number.parseInt(cache.size, 10) === 0)) continue;
    insertObject(machine, makeObject("l3", set));
  }
}

function insertAboveCore(
  machine: TopologyObject,
  self: CpuSet,
  clusterCpus: CpuSet | undefined,
  dieCpus: CpuSet | undefined,
  packageCpus: CpuSet | undefined,
): void {
  // A cluster or die of one CPU is what architectures without them say.
  let cluster = isSingle(clusterCpus) ? undefined : clusterCpus;
  const isFirstOfCluster = cluster === undefined || firstOf(cluster) === self;
  let die = isFirstOfCluster && !isSingle(dieCpus) ? dieCpus : undefined;
  const isFirstOfDie = isFirstOfCluster && (die === undefined || firstOf(die) === self);
  if (!isFirstOfCluster) cluster = undefined;
  if (!isFirstOfDie) die = undefined;
  if (cluster === die) cluster = undefined;
  if (isFirstOfDie && packageCpus !== undefined) {
    if (die === packageCpus) die = undefined;
    if (cluster === packageCpus) cluster = undefined;
    if (firstOf(packageCpus) === self) insertObject(machine, makeObject("package", packageCpus));
  }
  if (cluster !== undefined) insertObject(machine, makeObject("group", cluster, "cluster"));
  if (die !== undefined) insertObject(machine, makeObject("die", die));
}

function isSingle(set: CpuSet | undefined): boolean {
  return set !== undefined && set !== NO_CPUS && set === firstOf(set);
}
