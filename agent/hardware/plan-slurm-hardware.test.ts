import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { gatherTopologyFiles } from "./gather-topology-files.ts";
import { planSlurmTopology, type SlurmTopology } from "./plan-slurm-hardware.ts";
import type { SlurmVersion } from "./slurm-version.ts";
import { ODD_MACHINES } from "./testing/odd-machines.ts";
import type { MachineDescription } from "./testing/render-sysfs-tree.ts";
import { writeSysfsTree } from "./testing/write-sysfs-tree.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "muster-sysfs-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function countOf(
  description: MachineDescription,
  version: SlurmVersion = "22.05",
  parameters?: string,
): { readonly counts: string; readonly warnings: readonly string[] } | undefined {
  writeSysfsTree(root, description);
  const planned = planSlurmTopology(gatherTopologyFiles(root), version, parameters);
  return planned && { counts: renderCounts(planned.topology), warnings: planned.warnings };
}

function renderCounts(topology: SlurmTopology): string {
  const { cpus, boards, socketsPerBoard, coresPerSocket, threadsPerCore } = topology;
  return [cpus, boards, socketsPerBoard, coresPerSocket, threadsPerCore].join(",");
}

describe("a machine is counted as slurmd counts it", () => {
  it.each(Object.entries(ODD_MACHINES))("%s", (_name, { counts, warnings = [], ...description }) => {
    expect(countOf(description)).toEqual({ counts, warnings });
  });

  it("and not at all without a CPU", () => {
    expect(planSlurmTopology(gatherTopologyFiles(root), "22.05")).toBeUndefined();
  });
});

describe("SlurmdParameters", () => {
  const epyc = { levels: "package:2 numa:2 l3:2 core:4 pu:2", threadsLast: true };

  it("l3cache_as_socket counts level 3 caches as sockets", () => {
    expect(countOf(epyc, "25.11", "L3cache_as_socket")?.counts).toBe("64,1,8,4,2");
  });

  it("numa_node_as_socket counts what the first memory node hangs on", () => {
    expect(countOf(epyc, "25.11", "numa_node_as_socket")?.counts).toBe("64,1,4,8,2");
  });

  it("with both, the caches count", () => {
    expect(countOf(epyc, "25.11", "numa_node_as_socket,l3cache_as_socket")?.counts).toBe("64,1,8,4,2");
  });

  it("numa_node_as_socket of a machine with one node makes the machine the socket", () => {
    expect(countOf({ levels: "numa:1 package:2 core:4 pu:1" }, "25.11", "numa_node_as_socket")?.counts).toBe(
      "8,1,1,8,1",
    );
  });

  it("others change nothing", () => {
    expect(countOf(epyc, "25.11", "config_overrides")?.counts).toBe("64,1,2,16,2");
  });
});

describe("Intel machines with several kinds of core", () => {
  /** 2 performance cores with 2 threads, 4 efficient cores. */
  const hybrid: MachineDescription = {
    levels: "package:1 numa:1 l3:1 core:8 pu:1",
    masks: { 0: { core: "0-1" }, 1: { core: "0-1" }, 2: { core: "2-3" }, 3: { core: "2-3" } },
    performanceCores: "0-3",
    efficientCores: "4-7",
  };
  const uneven = ["Thread count (8) not multiple of core count (6)"];

  it("count whole before 23.02", () => {
    expect(countOf(hybrid, "22.05")).toEqual({ counts: "8,1,1,6,1", warnings: uneven });
  });

  it.each(["23.02", "24.11", "25.11"] as const)("count only performance cores in %s", (version) => {
    expect(countOf(hybrid, version)).toEqual({ counts: "4,1,1,2,2", warnings: [] });
  });

  it("count whole with allow_ecores", () => {
    expect(countOf(hybrid, "25.11", "allow_ecores")).toEqual({ counts: "8,1,1,6,1", warnings: uneven });
  });

  /** Performance cores of two speeds, too far apart to be one kind. */
  const twoSpeeds: MachineDescription = {
    ...hybrid,
    frequencies: Object.fromEntries(
      Array.from({ length: 8 }, (_, cpu) => [
        cpu,
        cpu < 2 ? [5000, 3000] : cpu < 4 ? [4000, 3000] : [3000, 2000],
      ]),
    ),
  };

  it.each([
    ["23.02", "2,1,1,1,2"],
    ["24.11", "2,1,1,1,2"],
    ["25.11", "4,1,1,2,2"],
  ] as const)("with performance cores of two speeds count as %s does", (version, counts) => {
    expect(countOf(twoSpeeds, version)?.counts).toBe(counts);
  });

  it("from 24.11 on keep efficient cores as fast as the slowest performance core", () => {
    const frequencies = Object.fromEntries(
      Array.from({ length: 8 }, (_, cpu) => [cpu, [cpu < 2 ? 5000 : 4000, 0] as const]),
    );
    expect(countOf({ ...hybrid, frequencies }, "23.02")?.counts).toBe("2,1,1,1,2");
    expect(countOf({ ...hybrid, frequencies }, "24.11")?.counts).toBe("6,1,1,5,1");
  });

  it("take turbo steps of less than a tenth for one kind", () => {
    const frequencies = Object.fromEntries(
      Array.from(
        { length: 8 },
        (_, cpu) => [cpu, cpu < 2 ? [5000, 3000] : cpu < 4 ? [4900, 3000] : [3000, 2000]] as const,
      ),
    ) as MachineDescription["frequencies"];
    expect(countOf({ ...hybrid, ...(frequencies && { frequencies }) }, "23.02")?.counts).toBe("4,1,1,2,2");
  });
});

describe("memory of NVIDIA GPUs", () => {
  /** Two packages, each with a GPU whose memory is a node. */
  const superchips: MachineDescription = {
    levels: "package:2 core:4 pu:1",
    nodes: ["0-3", "4-7", "", ""],
    distances: [
      [10, 40, 80, 120],
      [40, 10, 120, 80],
      [80, 120, 10, 160],
      [120, 80, 160, 10],
    ],
    gpuMemory: { 2: "0-3", 3: "4-7" },
  };

  it.each(["22.05", "25.11"] as const)("makes no boards in %s", (version) => {
    expect(countOf(superchips, version)?.counts).toBe("8,1,2,4,1");
  });
});
