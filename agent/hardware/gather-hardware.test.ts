import { expect, test } from "vitest";

import type { CommandResult } from "#proto/host/run-command.ts";

import { makeHardwareTree } from "../testing/make-hardware-tree.ts";
import { encodeReport, gatherHardware } from "./gather-hardware.ts";
import { gatherSlurmGpus } from "./gather-slurm-gpus.ts";

const signal = new AbortController().signal;

test("a machine with firmware is told whole, and twice the same", async () => {
  await using tree = await makeHardwareTree("qemu-q35");
  const report = await gatherHardware({ root: tree.root }, signal);
  const { flags, ...cpu } = report.cpu;
  expect([flags.length, flags.slice(0, 3), flags.at(-1)]).toEqual([
    40,
    ["3dnowprefetch", "apic", "clflush"],
    "vmmcall",
  ]);
  expect({ ...report, cpu }).toEqual({
    cpu: {
      architecture: "x86_64",
      vendor: "AuthenticAMD",
      model: "QEMU Virtual CPU version 2.5+",
      family: 15,
      modelNumber: 107,
      stepping: 1,
      microcode: "0x1000065",
      caches: [
        { level: 1, type: "data", sizeBytes: 65536, count: 4 },
        { level: 1, type: "instruction", sizeBytes: 65536, count: 4 },
        { level: 2, type: "unified", sizeBytes: 524288, count: 4 },
        { level: 3, type: "unified", sizeBytes: 16777216, count: 2 },
      ],
    },
    schema: 1,
    slurm: {
      cpus: 4,
      boards: 1,
      socketsPerBoard: 2,
      coresPerSocket: 2,
      threadsPerCore: 1,
      realMemoryMib: 973,
      gres: [],
    },
    system: {
      vendor: "QEMU",
      product: "Standard PC (Q35 + ICH9, 2009)",
      version: "pc-q35-7.2",
      serial: "LAB-C001",
    },
    board: {},
    firmware: { type: "bios", vendor: "SeaBIOS", version: "1.16.2-debian-1.16.2-1", date: "04/01/2014" },
    numa: [
      { id: 0, cpus: "0-1", memoryBytes: 502 * 1024 ** 2, distances: [10, 20] },
      { id: 1, cpus: "2-3", memoryBytes: 471 * 1024 ** 2, distances: [20, 10] },
    ],
    memory: {
      totalBytes: 973 * 1024 ** 2,
      modules: [
        {
          slot: "DIMM 0",
          sizeBytes: 1073741824,
          type: "RAM",
          speedMts: 3200,
          vendor: "Micron",
          part: "MTA9",
          serial: "SN17",
        },
      ],
    },
    networks: [
      {
        name: "eth0",
        mac: "52:54:00:12:34:56",
        driver: "virtio_net",
        isUp: true,
        pciAddress: "0000:01:00.0",
      },
    ],
    infiniband: [],
    disks: [
      {
        name: "nvme0n1",
        sizeBytes: 67108864,
        model: "QEMU NVMe Ctrl",
        serial: "NVME0001",
        firmware: "7.2.22",
        isRotational: false,
        transport: "nvme",
      },
      { name: "vda", sizeBytes: 67108864, serial: "VD0001", isRotational: true, transport: "virtio" },
    ],
    gpus: [],
    pci: [
      { address: "0000:00:00.0", class: "060000", vendor: "8086", device: "29c0", subsystem: "1af4:1100" },
      {
        address: "0000:00:01.0",
        class: "060400",
        vendor: "1b36",
        device: "000c",
        subsystem: "1b36:0000",
        driver: "pcieport",
        link: { speedGts: 2.5, width: 1, maxSpeedGts: 16, maxWidth: 32 },
      },
      {
        address: "0000:00:02.0",
        class: "010802",
        vendor: "1b36",
        device: "0010",
        subsystem: "1af4:1100",
        driver: "nvme",
      },
      {
        address: "0000:00:03.0",
        class: "010000",
        vendor: "1af4",
        device: "1001",
        subsystem: "1af4:0002",
        driver: "virtio-pci",
      },
      { address: "0000:00:1f.0", class: "060100", vendor: "8086", device: "2918", subsystem: "1af4:1100" },
      { address: "0000:00:1f.2", class: "010601", vendor: "8086", device: "2922", subsystem: "1af4:1100" },
      { address: "0000:00:1f.3", class: "0c0500", vendor: "8086", device: "2930", subsystem: "1af4:1100" },
      {
        address: "0000:01:00.0",
        class: "020000",
        vendor: "1af4",
        device: "1041",
        subsystem: "1af4:1100",
        driver: "virtio-pci",
        link: { speedGts: 2.5, width: 1, maxSpeedGts: 2.5, maxWidth: 1 },
      },
    ],
    kernel: "6.1.0-56-cloud-amd64",
  });
  const [first, second] = [
    encodeReport(report),
    encodeReport(await gatherHardware({ root: tree.root }, signal)),
  ];
  expect(second).toEqual(first);
  expect(first.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(JSON.parse(first.bytes.toString())).toEqual(report);
});

test("a machine without firmware tables says nothing in their place; what is no disk or interface is left out", async () => {
  await using tree = await makeHardwareTree("firecracker");
  const { cpu, pci, slurm, ...report } = await gatherHardware({ root: tree.root }, signal);
  expect([cpu.model, cpu.family, cpu.caches.length, slurm.cpus, pci.length]).toEqual([
    "AMD EPYC",
    26,
    4,
    2,
    6,
  ]);
  expect(report).toEqual({
    schema: 1,
    system: {},
    board: {},
    firmware: { type: "bios" },
    numa: [{ id: 0, cpus: "0-1", memoryBytes: report.numa[0]?.memoryBytes, distances: [10] }],
    memory: { totalBytes: 24_105 * 1024 ** 2 },
    networks: report.networks.filter(({ name, driver }) => name === "eth0" && driver === "virtio_net"),
    infiniband: [],
    disks: [
      {
        ...{ name: "vda", sizeBytes: report.disks[0]?.sizeBytes, serial: "overlayblk" },
        ...{ isRotational: report.disks[0]?.isRotational, transport: "virtio" },
      },
    ],
    gpus: [],
    kernel: "6.18.44",
  });
});

test("interfaces have their own MAC also in a bond, and the firmware InfiniBand tells; virtual ones are left out", async () => {
  await using tree = await makeHardwareTree("made-by-hand");
  const { networks, infiniband } = await gatherHardware({ root: tree.root }, signal);
  expect(networks).toEqual([
    {
      ...{ name: "eno1np0", mac: "00:00:5e:00:53:01", driver: "mlx5_core", speedMbps: 25_000, isUp: true },
      pciAddress: "0000:18:00.0",
    },
    {
      ...{ name: "eno2np1", mac: "00:00:5e:00:53:02", driver: "mlx5_core", isUp: false },
      pciAddress: "0000:18:00.0",
    },
    {
      ...{ name: "ib0", driver: "mlx5_core", firmware: "20.31.1014", speedMbps: 200_000, isUp: true },
      pciAddress: "0000:17:00.0",
    },
  ]);
  expect(infiniband).toEqual([
    {
      ...{ name: "mlx5_0", type: "MT4123", firmware: "20.31.1014", guid: "b8ce:f603:00a1:b2c3" },
      ports: [{ port: 1, state: "Active", rateGbps: 200, linkLayer: "InfiniBand" }],
    },
  ]);
});

test("disks are counted as people count and say how they are attached; CD drives and hidden paths are none", async () => {
  await using tree = await makeHardwareTree("made-by-hand");
  const { disks } = await gatherHardware({ root: tree.root }, signal);
  const nvme = {
    ...{ sizeBytes: 1_920_383_410_176, model: "SAMSUNG MZQL21T9HCJR-00A07", firmware: "GDC5602Q" },
    ...{ isRotational: false, transport: "nvme" },
  };
  expect(disks).toEqual([
    { name: "nvme2n1", serial: "S64GNE0R2", ...nvme },
    { name: "nvme10n1", serial: "S64GNE0R10", ...nvme },
    {
      ...{ name: "sda", sizeBytes: 8_001_563_222_016, model: "ST8000NM001A", serial: "WKD0ABCD" },
      ...{ firmware: "E002", isRotational: true, transport: "sas" },
    },
    {
      ...{ name: "sdb", sizeBytes: 240_057_409_536, model: "INTEL SSDSC2KB24" },
      ...{ isRotational: false, transport: "sata" },
    },
  ]);
});

test("GPUs are found by PCI class and described by their drivers; the screen of a BMC is none", async () => {
  await using tree = await makeHardwareTree("made-by-hand");
  const { gpus, pci } = await gatherHardware({ root: tree.root }, signal);
  const a100 = { vendor: "nvidia", model: "NVIDIA A100-SXM4-40GB", driver: "nvidia 570.86.15" };
  expect(gpus).toEqual([
    {
      ...{ ...a100, uuid: "GPU-11111111-2222-3333-4444-555555555555" },
      ...{ pciAddress: "0000:31:00.0", device: "/dev/nvidia1" },
    },
    // The driver has not looked at this one yet.
    { ...a100, pciAddress: "0000:4b:00.0", device: "/dev/nvidia0" },
    {
      ...{ ...a100, model: "Tesla V100-PCIE-16GB", uuid: "GPU-99999999-2222-3333-4444-555555555555" },
      ...{ pciAddress: "0000:b1:00.0", device: "/dev/nvidia2" },
    },
    {
      ...{ vendor: "amd", model: "AMD Instinct MI210", uuid: "a1b2c3d4e5f60718" },
      ...{ memoryBytes: 68_702_699_520, driver: "amdgpu" },
      ...{ pciAddress: "0000:c1:00.0", device: "/dev/dri/renderD128" },
    },
  ]);
  expect(pci.map(({ address, link }) => [address, link?.speedGts, link?.width])).toEqual([
    ["0000:00:01.0", 16, 16],
    // Nothing is plugged in behind this port.
    ["0000:00:02.0", undefined, undefined],
    ["0000:00:17.0", undefined, undefined],
    ["0000:02:00.0", undefined, undefined],
    ["0000:05:00.0", undefined, undefined],
    ["0000:17:00.0", 8, 8],
    ["0000:18:00.0", undefined, undefined],
    ["0000:31:00.0", undefined, 16],
    ["0000:4b:00.0", undefined, 16],
    ["0000:65:00.0", 16, 4],
    ["0000:b1:00.0", undefined, 16],
    ["0000:c1:00.0", undefined, 16],
  ]);
});

test("a GPU without a driver is told by its PCI id, and Slurm finds none", async () => {
  await using tree = await makeHardwareTree();
  for (const [file, value] of [
    ["class", "0x030200"],
    ["vendor", "0x10de"],
    ["device", "0x20b0"],
  ] as const) {
    await tree.put(`sys/bus/pci/devices/0000:31:00.0/${file}`, `${value}\n`);
  }
  await tree.put("sys/devices/system/cpu/online", "0\n");
  await tree.put("sys/devices/system/cpu/cpu0/topology/core_id", "0\n");
  await tree.put("proc/meminfo", "MemTotal: 1048576 kB\n");
  const { gpus } = await gatherHardware({ root: tree.root }, signal);
  expect(gpus).toEqual([{ vendor: "nvidia", model: "10de:20b0", pciAddress: "0000:31:00.0" }]);
  expect(gatherSlurmGpus(tree.root)).toEqual([]);
});

test("Slurm's plugins name GPUs by model and count them by type, in the order of their PCI addresses", async () => {
  await using tree = await makeHardwareTree("made-by-hand");
  await tree.put("sys/class/kfd/kfd/topology/nodes/0/gpu_id", "0\n");
  const nvidia = [
    { name: "gpu", type: "nvidia_a100-sxm4-40gb", count: 2, files: "/dev/nvidia[0-1]" },
    { name: "gpu", type: "tesla_v100-pcie-16gb", count: 1, files: "/dev/nvidia2" },
  ];
  const amd = [{ name: "gpu", type: "amd_instinct_mi210", count: 1, files: "/dev/dri/renderD128" }];
  expect(gatherSlurmGpus(tree.root)).toEqual([
    { autodetect: "nvidia", gres: nvidia },
    { autodetect: "rsmi", gres: amd },
  ]);
  await tree.put("usr/lib/x86_64-linux-gnu/slurm-wlm/gpu_nvml.so", "");
  expect(gatherSlurmGpus(tree.root)[0]).toEqual({ autodetect: "nvml", gres: nvidia });
});

test("an arm64 CPU is told by its maker's numbers, with what is offline and the highest frequency of any", async () => {
  await using tree = await makeHardwareTree("made-by-hand");
  const { cpu, system, firmware, memory } = await gatherHardware({ root: tree.root }, signal);
  expect(cpu).toEqual({
    ...{ architecture: "aarch64", vendor: "ARM", family: 8, modelNumber: 0xd0c, stepping: 1 },
    ...{ flags: ["aes", "asimd", "evtstrm", "fp"], maxMhz: 3000, caches: [], offline: "2-3" },
  });
  expect([system, firmware, memory]).toEqual([
    { product: "Example Server" },
    { type: "efi" },
    { totalBytes: 512 * 1024 ** 3 },
  ]);
});

/** What programs would say, by command line; one that is not there is not installed. */
function programs(answers: Readonly<Record<string, string>>) {
  const asked: string[] = [];
  const run = async (command: {
    readonly program: string;
    readonly args: readonly string[];
  }): Promise<CommandResult> => {
    const line = [command.program, ...command.args].join(" ");
    asked.push(line);
    const stdout = answers[line];
    if (stdout === undefined) throw new Error("not installed");
    return { exitCode: 0, stdout, stderr: "" };
  };
  return { asked, run };
}

const QUERY = "nvidia-smi --query-gpu=pci.bus_id,memory.total --format=csv,noheader,nounits";

test("programs are asked only for what they alone know", async () => {
  await using tree = await makeHardwareTree("made-by-hand");
  const { asked, run } = programs({
    "ethtool -i eno1np0":
      "driver: mlx5_core\nversion: 6.8.0\nfirmware-version: 22.36.1010 (MT_0000000359)\nbus-info: 0000:18:00.0\n",
    "ethtool -i eno2np1": "driver: mlx5_core\nfirmware-version: N/A\n",
    [QUERY]: "00000000:31:00.0, 40960\n00000000:4B:00.0, 40960\n00000000:B1:00.0, [N/A]\n",
    "ipmitool lan print 1":
      "Set in Progress         : Set Complete\nIP Address Source       : DHCP Address\nIP Address              : 10.0.0.9\nMAC Address             : 00:00:5E:00:53:99\n",
    "ipmitool mc info": "Device ID                 : 32\nFirmware Revision         : 6.10\n",
  });
  const { networks, gpus, bmc } = await gatherHardware({ root: tree.root, run }, signal);
  expect(networks.map(({ firmware }) => firmware)).toEqual([
    "22.36.1010 (MT_0000000359)",
    undefined,
    "20.31.1014",
  ]);
  expect(gpus.map(({ memoryBytes }) => memoryBytes)).toEqual([
    40 * 1024 ** 3,
    40 * 1024 ** 3,
    undefined,
    68_702_699_520,
  ]);
  expect(bmc).toEqual({ address: "10.0.0.9", mac: "00:00:5e:00:53:99", firmware: "6.10" });
  expect(asked).toEqual([
    "ethtool -i eno1np0",
    "ethtool -i eno2np1",
    QUERY,
    "ipmitool lan print 1",
    "ipmitool mc info",
  ]);
});

test("programs that are not installed cost a field each; a machine without such devices starts none", async () => {
  await using tree = await makeHardwareTree("made-by-hand");
  const missing = programs({});
  const { networks, bmc } = await gatherHardware({ root: tree.root, run: missing.run }, signal);
  expect([networks.map(({ firmware }) => firmware), bmc]).toEqual([[undefined, undefined, "20.31.1014"], {}]);
  await using plain = await makeHardwareTree("qemu-q35");
  const none = programs({});
  await gatherHardware({ root: plain.root, run: none.run }, signal);
  expect(none.asked).toEqual([]);
});

test("a directory that is no machine is refused", async () => {
  await using tree = await makeHardwareTree();
  await expect(gatherHardware({ root: tree.root }, signal)).rejects.toMatchObject({
    code: "hardware-unreadable",
  });
});
