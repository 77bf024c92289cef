import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { gatherTopologyFiles } from "../../agent/hardware/gather-topology-files.ts";
import { planSlurmTopology, type SlurmTopology } from "../../agent/hardware/plan-slurm-hardware.ts";
import { ODD_MACHINES } from "../../agent/hardware/testing/odd-machines.ts";
import type { MachineDescription } from "../../agent/hardware/testing/render-sysfs-tree.ts";
import { writeSysfsTree } from "../../agent/hardware/testing/write-sysfs-tree.ts";

/** Our reading of a tree and that of the real slurmd (22.05 of Debian 12), which hwloc's variables point at the same tree. */

const SLURMD = "/usr/sbin/slurmd";
const RANDOM_MACHINES = 40;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "muster-sysfs-"));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

interface Answer {
  readonly counts: string;
  readonly warnings: readonly string[];
}

describe("slurmd and muster-agent count the same", () => {
  it.each(Object.entries(ODD_MACHINES))(
    "on a machine with: %s",
    async (_name, { counts, warnings = [], ...machine }) => {
      writeSysfsTree(root, machine);
      const slurmd = await askSlurmd({ HWLOC_COMPONENTS: "linux,stop", HWLOC_FSROOT: root });
      expect(slurmd).toEqual({ counts, warnings });
      expect(askUs()).toEqual(slurmd);
    },
  );

  it.each([
    ["pack:2 numa:2 l3:2 core:4 pu:2", "package:2 numa:2 l3:2 core:4 pu:2"],
    ["numa:2 pack:2 core:4 pu:1", "numa:2 package:2 core:4 pu:1"],
    ["numa:2 core:4 pu:2", "numa:2 core:4 pu:2"],
    ["pack:3 numa:1 core:5 pu:2", "package:3 numa:1 core:5 pu:2"],
    ["pack:4 die:2 l3:2 core:3 pu:2", "package:4 die:2 l3:2 core:3 pu:2"],
  ])("on the synthetic machine %s", async (synthetic, levels) => {
    writeSysfsTree(root, { levels });
    expect(askUs()).toEqual(await askSlurmd({ HWLOC_SYNTHETIC: synthetic }));
  });

  it(`on ${RANDOM_MACHINES} machines that nobody would build`, async () => {
    await fc.assert(
      fc.asyncProperty(anyMachine, async (machine) => {
        rmSync(root, { recursive: true, force: true });
        writeSysfsTree(root, machine);
        const slurmd = await askSlurmd({ HWLOC_COMPONENTS: "linux,stop", HWLOC_FSROOT: root });
        expect(askUs()).toEqual(slurmd);
      }),
      { numRuns: RANDOM_MACHINES },
    );
  }, 120_000);
});

/** Levels in any order, CPUs offline, memory nodes that fit nothing. Cores always: without any, slurmd needs CPUID. */
const anyMachine: fc.Arbitrary<MachineDescription> = fc
  .record({
    outer: fc.shuffledSubarray(["numa:2", "package:2", "die:2", "cluster:3", "l3:2"], { maxLength: 4 }),
    cores: fc.integer({ min: 1, max: 3 }),
    threads: fc.integer({ min: 1, max: 2 }),
    threadsLast: fc.boolean(),
    offline: fc.uniqueArray(fc.nat(16), { maxLength: 4 }),
    owners: fc.option(fc.array(fc.nat(4), { minLength: 144, maxLength: 144 }), { nil: undefined }),
    nodes: fc.integer({ min: 1, max: 5 }),
    distances: fc.array(fc.constantFrom(15, 20, 21, 40), { minLength: 25, maxLength: 25 }),
  })
  .map(({ outer, cores, threads, threadsLast, offline, owners, nodes, distances }) => {
    const levels = [...outer, `core:${cores}`, `pu:${threads}`].join(" ");
    const total = [...levels.matchAll(/\d+(?= |$)/g)].reduce(
      (product, [count]) => product * Number(count),
      1,
    );
    const machine = { levels, threadsLast, offline: offline.filter((cpu) => cpu < total - 1).join(",") };
    if (owners === undefined) return machine;
    const ids = Array.from({ length: nodes }, (_, id) => id);
    const cpus = Array.from({ length: total }, (_, cpu) => cpu);
    return {
      ...machine,
      nodes: ids.map((id) => cpus.filter((cpu) => owners[cpu] === id).join(",")),
      distances: ids.map((one) =>
        ids.map((other) =>
          one === other ? 10 : (distances[Math.min(one, other) * 5 + Math.max(one, other)] ?? 20),
        ),
      ),
    };
  });

function askUs(): Answer | undefined {
  const planned = planSlurmTopology(gatherTopologyFiles(root), "22.05");
  return planned && { counts: renderCounts(planned.topology), warnings: planned.warnings };
}

function renderCounts(topology: SlurmTopology): string {
  const { cpus, boards, socketsPerBoard, coresPerSocket, threadsPerCore } = topology;
  return [cpus, boards, socketsPerBoard, coresPerSocket, threadsPerCore].join(",");
}

async function askSlurmd(environment: Readonly<Record<string, string>>): Promise<Answer> {
  const { stdout, stderr } = await runCommandUnchecked({
    program: SLURMD,
    args: ["-C"],
    env: { ...process.env, HWLOC_HIDE_ERRORS: "2", ...environment },
  });
  return {
    counts: [...stdout.matchAll(/(?:CPUs|Boards|SocketsPerBoard|CoresPerSocket|ThreadsPerCore)=(\d+)/g)]
      .map(([, count]) => count)
      .join(","),
    warnings: [...stderr.matchAll(/^slurmd: error: (.*)$/gm)].map(([, text = ""]) => text),
  };
}
