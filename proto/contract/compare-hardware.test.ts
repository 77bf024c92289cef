import { expect, test } from "vitest";

import { compareHardware, renderHardwareChange } from "./compare-hardware.ts";
import type { HardwareReport } from "./hardware-report.ts";

const GIB = 1024 ** 3;

/** A server with one of everything. */
const SERVER: HardwareReport = {
  schema: 1,
  slurm: {
    ...{ cpus: 128, boards: 1, socketsPerBoard: 2, coresPerSocket: 32, threadsPerCore: 2 },
    realMemoryMib: 515000,
    gres: [],
  },
  system: { vendor: "Dell Inc.", product: "PowerEdge R650", serial: "ABC1234" },
  board: { product: "0FGR9D", serial: "B1" },
  firmware: { type: "efi", vendor: "Dell Inc.", version: "1.9.2", date: "11/17/2022" },
  cpu: {
    architecture: "x86_64",
    model: "Xeon",
    stepping: 6,
    microcode: "0xd000389",
    flags: ["avx2", "avx512f", "ht"],
    caches: [{ level: 3, type: "unified", sizeBytes: 49152 * 1024, count: 2 }],
  },
  numa: [
    { id: 0, cpus: "0-63", memoryBytes: 250 * GIB, distances: [10, 20] },
    { id: 1, cpus: "64-127", memoryBytes: 251 * GIB, distances: [20, 10] },
  ],
  memory: {
    totalBytes: 503 * GIB,
    modules: [
      { slot: "A1", sizeBytes: 256 * GIB, speedMts: 3200 },
      { slot: "A2", sizeBytes: 224 * GIB, speedMts: 3200 },
      { slot: "A3", sizeBytes: 32 * GIB, speedMts: 3200 },
    ],
  },
  networks: [
    {
      ...{ name: "eno1", mac: "00:00:5e:00:53:01", driver: "mlx5_core", firmware: "16.35" },
      ...{ speedMbps: 25_000, isUp: true, pciAddress: "0000:17:00.0" },
    },
    { name: "eno2", mac: "00:00:5e:00:53:02", driver: "mlx5_core", isUp: false, pciAddress: "0000:17:00.1" },
  ],
  infiniband: [
    {
      ...{ name: "mlx5_0", type: "MT4123", guid: "b8ce:f603:00a1:b2c3", firmware: "20.31.1014" },
      ports: [{ port: 1, state: "Active", rateGbps: 200, linkLayer: "InfiniBand" }],
    },
  ],
  disks: [
    { name: "nvme0n1", sizeBytes: 1.92e12, model: "PM9A3", serial: "S1", isRotational: false },
    { name: "nvme1n1", sizeBytes: 1.92e12, model: "PM9A3", serial: "S2", isRotational: false },
  ],
  gpus: [
    { vendor: "nvidia", model: "NVIDIA A100", uuid: "GPU-1", driver: "570.1", pciAddress: "0000:31:00.0" },
  ],
  pci: [
    { address: "0000:00:1f.0", class: "060100", vendor: "8086", device: "a1c1" },
    {
      ...{ address: "0000:17:00.0", class: "020000", vendor: "15b3", device: "1017" },
      link: { speedGts: 8, width: 8, maxSpeedGts: 8, maxWidth: 8 },
    },
    { address: "0000:31:00.0", class: "030200", vendor: "10de", device: "20b2" },
    { address: "0000:65:00.0", class: "010802", vendor: "144d", device: "a80a" },
  ],
  bmc: { address: "10.0.0.9", mac: "00:00:5e:00:53:99", firmware: "5.10" },
  kernel: "6.1.0-30",
};

function lines(after: Partial<HardwareReport>): readonly string[] {
  return compareHardware(SERVER, { ...SERVER, ...after }).map(renderHardwareChange);
}

test("a machine is as it was, also with another kernel that leaves a few MiB less", () => {
  const memory = { ...SERVER.memory, totalBytes: SERVER.memory.totalBytes - 63 * 1024 ** 2 };
  expect(lines({ kernel: "6.12.0", memory })).toEqual([]);
});

test("a lost memory module is told by its size and slot, and not again as what the kernel has", () => {
  const memory = { totalBytes: 472 * GIB, modules: SERVER.memory.modules?.slice(0, 2) ?? [] };
  expect(compareHardware(SERVER, { ...SERVER, memory })).toEqual([
    { field: "memory", before: "512 GiB", after: "480 GiB" },
    { field: "DIMM A3", before: "32 GiB" },
  ]);
  expect(lines({ memory })).toEqual(["memory 512 -> 480 GiB", "DIMM A3 gone (32 GiB)"]);
});

test("memory is compared as the kernel has it when firmware does not tell, or tells no change", () => {
  expect(lines({ memory: { totalBytes: 471 * GIB } })).toEqual(["memory 503 -> 471 GiB"]);
  expect(lines({ memory: { ...SERVER.memory, totalBytes: 471 * GIB } })).toEqual([
    "usable memory 503 -> 471 GiB",
  ]);
  expect(
    lines({ memory: { ...SERVER.memory, totalBytes: SERVER.memory.totalBytes - 100 * 1024 ** 2 } }),
  ).toEqual(["usable memory 515072 -> 514972 MiB"]);
});

test("modules that were exchanged or run slower are told", () => {
  const [first, second, third] = SERVER.memory.modules ?? [];
  if (first === undefined || second === undefined || third === undefined) throw new Error("no modules");
  const modules = [
    { ...first, speedMts: 2933 },
    { ...second, sizeBytes: 256 * GIB },
    { ...third, slot: "B1" },
  ];
  expect(lines({ memory: { ...SERVER.memory, modules } })).toEqual([
    "memory 512 -> 544 GiB",
    "DIMM A1 speed 3200 -> 2933 MT/s",
    "DIMM A2 size 224 -> 256 GiB",
    "DIMM A3 gone (32 GiB)",
    "DIMM B1 new (32 GiB)",
  ]);
});

test("a socket that went, SMT that was switched off, and flags that a hypervisor hides are told", () => {
  const slurm = { ...SERVER.slurm, cpus: 32, socketsPerBoard: 1, threadsPerCore: 1 };
  const cpu = {
    ...SERVER.cpu,
    microcode: "0xd0003d1",
    flags: ["avx2", "ht", "amx"],
    offline: "32-63",
    caches: [],
  };
  expect(lines({ slurm, cpu, numa: SERVER.numa.slice(0, 1) })).toEqual([
    "CPUs 128 -> 32",
    "sockets 2 -> 1",
    "threads per core 2 -> 1",
    "CPUs offline none -> 32-63",
    "CPU microcode 0xd000389 -> 0xd0003d1",
    "CPU flags gone (avx512f)",
    "CPU flags new (amx)",
    "CPU cache L3 gone (2 x 49152 KiB)",
    "NUMA nodes 2 -> 1",
  ]);
  const many = { ...SERVER.cpu, flags: Array.from({ length: 20 }, (_, index) => `avx_${index}`) };
  expect(lines({ cpu: many })).toEqual(["CPU flags gone (avx2 avx512f ht)", "CPU flags new (20 flags)"]);
});

test("NUMA nodes are compared one by one while there are as many", () => {
  const [first, second] = SERVER.numa;
  if (first === undefined || second === undefined) throw new Error("no nodes");
  const numa = [
    { ...first, memoryBytes: 218 * GIB },
    { ...second, cpus: "64-126" },
  ];
  expect(lines({ numa })).toEqual(["NUMA node 0 memory 250 -> 218 GiB", "NUMA node 1 CPUs 64-127 -> 64-126"]);
});

test("links that run slower or went down are told", () => {
  const [eno1, eno2] = SERVER.networks;
  const [mlx] = SERVER.infiniband;
  if (eno1 === undefined || eno2 === undefined || mlx === undefined) throw new Error("no networks");
  expect(lines({ networks: [{ ...eno1, speedMbps: 10_000, firmware: "16.36" }, eno2] })).toEqual([
    "NIC eno1 firmware 16.35 -> 16.36",
    "NIC eno1 link 25 -> 10 Gbit/s",
  ]);
  const { speedMbps, ...down } = { ...eno1, isUp: false };
  expect(speedMbps).toBe(25_000);
  expect(lines({ networks: [down] })).toEqual([
    "NIC eno1 link up -> down",
    "NIC eno2 gone (00:00:5e:00:53:02, mlx5_core)",
  ]);
  expect(lines({ networks: [{ ...eno1, speedMbps: 100, name: "enp23s0" }, eno2] })).toEqual([
    "NIC eno1 name eno1 -> enp23s0",
    "NIC eno1 link 25 Gbit/s -> 100 Mbit/s",
  ]);
  const port = { port: 1, state: "Active", rateGbps: 100, linkLayer: "InfiniBand" };
  expect(
    lines({ infiniband: [{ ...mlx, ports: [port, { port: 2, state: "Down" }], firmware: "20.32" }] }),
  ).toEqual([
    "InfiniBand mlx5_0 firmware 20.31.1014 -> 20.32",
    "InfiniBand mlx5_0 port 1 rate 200 -> 100 Gbit/s",
    "InfiniBand mlx5_0 port 2 new (Down)",
  ]);
  expect(lines({ infiniband: [] })).toEqual(["InfiniBand mlx5_0 gone (MT4123)"]);
});

test("disks that the kernel counts in another order are the same disks; one that is gone is told by its own name", () => {
  const [first, second] = SERVER.disks;
  if (first === undefined || second === undefined) throw new Error("no disks");
  const swapped = [
    { ...second, name: "nvme0n1" },
    { ...first, name: "nvme1n1" },
  ];
  expect(lines({ disks: swapped })).toEqual([]);
  expect(lines({ disks: [{ ...second, name: "nvme0n1" }] })).toEqual(["disk nvme0n1 gone (1.92 TB, PM9A3)"]);
  expect(lines({ disks: [first] })).toEqual(["disk nvme1n1 gone (1.92 TB, PM9A3)"]);
  // A new disk in the old place.
  expect(lines({ disks: [first, { ...second, serial: "S9", sizeBytes: 960e9 }] })).toEqual([
    "disk nvme1n1 size 1.92 TB -> 960 GB",
    "disk nvme1n1 serial S2 -> S9",
  ]);
});

test("cards are told once: a GPU or NIC by its own list, other cards as PCI devices, bridges not at all", () => {
  expect(lines({ gpus: [], pci: SERVER.pci.slice(1, 2) })).toEqual([
    "GPU 0000:31:00.0 gone (NVIDIA A100)",
    "PCI device 0000:65:00.0 gone (144d:a80a)",
  ]);
  const narrow = SERVER.pci.map((device) =>
    device.address === "0000:17:00.0"
      ? { ...device, link: { speedGts: 5, width: 4, maxSpeedGts: 8, maxWidth: 8 } }
      : device,
  );
  expect(lines({ pci: narrow })).toEqual([
    "PCI device 0000:17:00.0 link width x8 -> x4",
    "PCI device 0000:17:00.0 link speed 8 -> 5 GT/s",
  ]);
});

test("firmware, board and BMC are told; what a tool could not read this time is no change", () => {
  expect(
    lines({
      firmware: { ...SERVER.firmware, version: "1.11.2", date: "06/12/2023" },
      board: { product: "0FGR9D", serial: "B2" },
      bmc: { address: "10.0.0.10" },
    }),
  ).toEqual([
    "board serial B1 -> B2",
    "firmware version 1.9.2 -> 1.11.2",
    "firmware date 11/17/2022 -> 06/12/2023",
    "BMC address 10.0.0.9 -> 10.0.0.10",
  ]);
  const { bmc, ...rest } = SERVER;
  expect(bmc).toBeDefined();
  expect(compareHardware(SERVER, rest)).toEqual([]);
});
