import type { SlurmHardware } from "#proto/contract/hardware-report.ts";

import { planPerformanceCores } from "./plan-performance-cores.ts";
import { planTopology, restrictTopology, type Topology } from "./plan-topology.ts";
import { isSlurmAtLeast, type SlurmVersion } from "./slurm-version.ts";
import type { TopologyFiles } from "./topology-files.ts";
import type { ObjectType, TopologyObject } from "./topology-tree.ts";

export type SlurmTopology = Pick<
  SlurmHardware,
  "cpus" | "boards" | "socketsPerBoard" | "coresPerSocket" | "threadsPerCore"
>;

export interface SlurmCounts {
  readonly topology: SlurmTopology;
  /** What slurmd complains about, in its words. */
  readonly warnings: readonly string[];
}

/**
 * How Slurm counts a machine (xcpuinfo_hwloc_topo_get of xcpuinfo.c): whole divisions, and a complaint where they are
 * not even. `parameters` are those of SlurmdParameters that matter here: l3cache_as_socket, numa_node_as_socket
 * and allow_ecores, anywhere in the text and in either case, as Slurm looks for them.
 * undefined where Slurm itself would fail: no CPU at all, or sockets on several levels.
 */
export function planSlurmTopology(
  files: TopologyFiles,
  version: SlurmVersion,
  parameters = "",
): SlurmCounts | undefined {
  const wants = (word: string): boolean => parameters.toLowerCase().includes(word);
  const whole = planTopology(files, { keepsGpuMemory: isSlurmAtLeast(version, "24.11") });
  const kept = wants("allow_ecores") ? undefined : planPerformanceCores(files, version);
  const topology = kept === undefined ? whole : restrictTopology(whole, kept);
  let socketType: ObjectType = "package";
  if (wants("l3cache_as_socket")) socketType = "l3";
  else if (wants("numa_node_as_socket")) socketType = findFirstMemory(topology.machine)?.type ?? "package";
  return count(topology, socketType);
}

function count({ machine, levels }: Topology, socketType: ObjectType): SlurmCounts | undefined {
  const ofType = (type: ObjectType): TopologyObject[] | undefined => {
    const [level = [], ...others] = levels.filter(([first]) => first?.type === type);
    return others.length > 0 ? undefined : [...level];
  };
  const [cpus, cores, sockets] = [ofType("pu"), ofType("core"), ofType(socketType)];
  if (cpus === undefined || cpus.length === 0 || cores === undefined || sockets === undefined) {
    return undefined;
  }
  // Memory without cores is no socket. Where none has cores, Slurm counts them all, and at least one.
  const socketCount = sockets.filter(hasCores).length || sockets.length || 1;
  const coreCount = cores.length || 1;
  const [first] = machine.children;
  const boards = first?.type === "group" ? (levels.find((level) => level.includes(first))?.length ?? 1) : 1;
  return {
    topology: {
      cpus: cpus.length,
      boards,
      socketsPerBoard: Math.floor(socketCount / boards),
      coresPerSocket: Math.floor(coreCount / socketCount),
      threadsPerCore: Math.floor(cpus.length / coreCount),
    },
    warnings: [
      ...(cpus.length % coreCount === 0
        ? []
        : [`Thread count (${cpus.length}) not multiple of core count (${coreCount})`]),
      ...(coreCount % socketCount === 0
        ? []
        : [`Core count (${coreCount}) not multiple of socket count (${socketCount})`]),
    ],
  };
}

function hasCores({ type, children }: TopologyObject): boolean {
  return type === "core" || children.some(hasCores);
}

/** The object that the first memory node is attached to. Nodes are ordered by their ids. */
function findFirstMemory(object: TopologyObject): TopologyObject | undefined {
  let best: { readonly holder: TopologyObject; readonly id: number } | undefined;
  const visit = (each: TopologyObject): void => {
    for (const child of each.children) visit(child);
    for (const id of each.memory) if (best === undefined || id < best.id) best = { holder: each, id };
  };
  visit(object);
  return best?.holder;
}
