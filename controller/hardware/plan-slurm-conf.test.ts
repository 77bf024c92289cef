import { expect, test } from "vitest";

import type { SlurmHardware } from "#proto/contract/hardware-report.ts";
import { makeTestReport } from "./make-test-report.ts";
import { planSlurmConf, renderSlurmConf } from "./plan-slurm-conf.ts";

const { slurm } = makeTestReport();

function machine(
  node: string,
  given: Partial<SlurmHardware> = {},
): { readonly node: string; readonly report: { readonly slurm: SlurmHardware } } {
  return { node, report: { slurm: { ...slurm, ...given } } };
}

const A100 = { name: "gpu", type: "nvidia_a100-sxm4-40gb", count: 4, files: "/dev/nvidia[0-3]" } as const;

test("nodes of the same hardware share a line, in the order of their names", () => {
  const groups = planSlurmConf(
    [machine("c010"), machine("login", { cpus: 8 }), machine("c002"), machine("c001")],
    1,
  );
  const { gres, ...hardware } = slurm;
  expect(groups).toEqual([
    { nodes: "c[001-002,010]", hardware, gres },
    { nodes: "login", hardware: { ...hardware, cpus: 8 }, gres },
  ]);
});

test("lines can be pasted into slurm.conf and gres.conf", () => {
  const groups = planSlurmConf(
    [
      machine("c001"),
      machine("c002"),
      machine("g1", { gres: [A100] }),
      machine("g2", { gres: [A100] }),
      machine("g3", {
        gres: [A100, { ...A100, type: "tesla_v100-pcie-16gb", count: 1, files: "/dev/nvidia4" }],
      }),
      machine("g4", { gres: [{ name: "gpu", count: 2, files: "" }] }),
    ],
    1,
  );
  expect(renderSlurmConf(groups)).toBe(`# slurm.conf
# missing here: PartitionName lines; NodeAddr, where Slurm cannot resolve a node's name; Weight, Feature
GresTypes=gpu
NodeName=c[001-002] CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515838
NodeName=g[1-2] CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515838 Gres=gpu:nvidia_a100-sxm4-40gb:4
NodeName=g3 CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515838 Gres=gpu:nvidia_a100-sxm4-40gb:4,gpu:tesla_v100-pcie-16gb:1
NodeName=g4 CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515838 Gres=gpu:2

# gres.conf
# missing here: Cores and Links; AutoDetect=nvml (or rsmi) finds them and takes the place of these lines
NodeName=g[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia[0-3]
NodeName=g3 Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia[0-3]
NodeName=g3 Name=gpu Type=tesla_v100-pcie-16gb File=/dev/nvidia4
NodeName=g4 Name=gpu Count=2
`);
});

test.each([
  [["c001", "c002"], "c[001-002]"],
  [["c8", "c9", "c10", "c100"], "c[8-10,100]"],
  [["unit1rack7", "unit2rack7", "login1"], "login1,unit[1-2]rack[7]"],
  [["r1n01", "r2n01", "r1n02", "r2n02"], "r[1-2]n[01-02]"],
  [["gpu1a", "gpu2a", "gpu1", "gpu2"], "gpu[1-2],gpu1a,gpu2a"],
  [["login"], "login"],
])("%j are one host list that slurmd reads", (names, list) => {
  expect(
    planSlurmConf(
      names.map((name) => machine(name)),
      1,
    ).map(({ nodes }) => nodes),
  ).toEqual([list]);
});

test("without GPUs there is no gres.conf", () => {
  expect(renderSlurmConf(planSlurmConf([machine("c1")], 1))).toBe(`# slurm.conf
# missing here: PartitionName lines; NodeAddr, where Slurm cannot resolve a node's name; Weight, Feature
NodeName=c1 CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515838
`);
});

test.each([
  [1, ["c1 515838", "c2 515840"]],
  [1024, ["c[1-2] 515072"]],
])("a step of %i MiB rounds RealMemory down", (step, lines) => {
  const machines = [machine("c1"), machine("c2", { realMemoryMib: 515_840 })];
  const groups = planSlurmConf(machines, step);
  expect(groups.map(({ nodes, hardware }) => `${nodes} ${hardware.realMemoryMib}`)).toEqual(lines);
});
