import { expect, test } from "vitest";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { makeTestReport } from "./make-test-report.ts";
import { planHardwareDifferences } from "./plan-hardware-differences.ts";

const base = makeTestReport();

function machines(...given: readonly Partial<HardwareReport>[]) {
  return given.map((parts, index) => ({ node: `c${index + 1}`, report: makeTestReport(parts) }));
}

test("machines that differ in serial numbers and addresses only are alike", () => {
  const [nic] = base.networks;
  const [disk] = base.disks;
  if (nic === undefined || disk === undefined) throw new Error("the test's report has both");
  expect(
    planHardwareDifferences(
      machines(
        {},
        {
          system: { ...base.system, serial: "SN2", uuid: "other" },
          networks: [{ ...nic, mac: "52:54:00:00:00:02" }],
          disks: [{ ...disk, serial: "other" }],
          bmc: { address: "10.0.0.2" },
          kernel: "6.12.0",
        },
      ),
    ),
  ).toEqual([]);
});

test("the nodes that have not what most have are named, by what they have", () => {
  const small = { memory: { totalBytes: 480 * 2 ** 30 } };
  expect(
    planHardwareDifferences(machines({}, small, {}, small, {}, { memory: { totalBytes: 2 ** 38 } })),
  ).toEqual([
    {
      field: "memory",
      common: "504 GiB",
      commonCount: 3,
      others: [
        { value: "480 GiB", nodes: "c[2,4]" },
        { value: "256 GiB", nodes: "c6" },
      ],
    },
  ]);
});

test("of values that are equally frequent the first node's is the common one", () => {
  const [difference] = planHardwareDifferences(machines({ numa: [] }, {}));
  expect(difference).toEqual({
    field: "NUMA nodes",
    common: "0",
    commonCount: 1,
    others: [{ value: "2", nodes: "c2" }],
  });
});

test("CPU flags are told by what is missing and what is more", () => {
  const flags = [...base.cpu.flags.slice(0, 1), "sme"];
  expect(planHardwareDifferences(machines({}, {}, { cpu: { ...base.cpu, flags } }))).toEqual([
    {
      field: "CPU flags",
      common: "3 flags",
      commonCount: 2,
      others: [{ value: "without avx512f fpu; with sme", nodes: "c3" }],
    },
  ]);
});

test("parts that a machine has not are none, and counted parts are counted", () => {
  const module = { slot: "A1", sizeBytes: 2 ** 35, type: "DDR5", speedMts: 4800 };
  const gpu = { vendor: "nvidia", model: "NVIDIA A100", pciAddress: "0000:41:00.0" } as const;
  const full: Partial<HardwareReport> = {
    memory: { totalBytes: 2 ** 36, modules: [module, { ...module, slot: "A2" }] },
    gpus: [gpu, { ...gpu, pciAddress: "0000:42:00.0" }],
    infiniband: [{ name: "mlx5_0", type: "MT4123", ports: [{ port: 1, state: "Active", rateGbps: 200 }] }],
  };
  const half = {
    ...full,
    memory: { totalBytes: 2 ** 36, modules: [module] },
    gpus: [gpu],
    disks: [],
    infiniband: [],
  };
  expect(
    planHardwareDifferences(machines(full, full, half)).map(
      ({ field, common, others }) => `${field}: ${common}; ${others.map((other) => other.value).join()}`,
    ),
  ).toEqual([
    "memory: 64 GiB; 32 GiB",
    "memory modules: 2 x 32 GiB DDR5 4800 MT/s; 1 x 32 GiB DDR5 4800 MT/s",
    "disks: 1 x 1.92 TB SAMSUNG MZQL21T9; none",
    "GPUs: 2 x NVIDIA A100; 1 x NVIDIA A100",
    "InfiniBand mlx5_0: MT4123; none",
    "InfiniBand mlx5_0 port 1: Active 200 Gbit/s; none",
  ]);
});

test("a card in a slot that is too narrow is found, among machines of one model", () => {
  const device = { address: "0000:41:00.0", class: "030200", vendor: "10de", device: "20b0" };
  const link = { width: 16, maxSpeedGts: 16, maxWidth: 16 };
  const other = { ...base.system, product: "PowerEdge C6420" };
  const found = planHardwareDifferences(
    machines(
      { pci: [{ ...device, link }] },
      { pci: [{ ...device, link: { ...link, width: 8 } }] },
      { pci: [{ ...device, link }] },
      { pci: [], system: other },
    ),
  );
  expect(found.map(({ field }) => field)).toEqual(["machine", "PCI 0000:41:00.0 link"]);
  expect(found[1]).toEqual({
    field: "PCI 0000:41:00.0 link",
    common: "x16",
    commonCount: 2,
    others: [{ value: "x8", nodes: "c2" }],
  });
});

test("no machines do not differ", () => {
  expect(planHardwareDifferences([])).toEqual([]);
});
