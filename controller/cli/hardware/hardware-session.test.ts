import { afterEach, beforeEach, expect, it } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import { TEST_NOW } from "../../api/rest/api-test-site.ts";
import { makeTestReport } from "../../hardware/make-test-report.ts";
import { type CliSite, openCliSite } from "../cli-test-site.ts";

let cli: CliSite;
let site: CliSite["site"];

const GPU = { vendor: "nvidia", model: "NVIDIA A100-SXM4-40GB", driver: "550.54" } as const;
const WITH_GPUS: Partial<HardwareReport> = {
  slurm: {
    ...makeTestReport().slurm,
    gres: [{ name: "gpu", type: "nvidia_a100-sxm4-40gb", count: 2, files: "/dev/nvidia[0-1]" }],
  },
  gpus: [
    { ...GPU, pciAddress: "0000:41:00.0", device: "/dev/nvidia0", memoryBytes: 40 * 2 ** 30 },
    { ...GPU, pciAddress: "0000:c1:00.0", device: "/dev/nvidia1", memoryBytes: 40 * 2 ** 30 },
  ],
  infiniband: [
    {
      name: "mlx5_0",
      type: "MT4123",
      firmware: "20.38.1002",
      guid: "0xb83fd20300a1b2c4",
      ports: [{ port: 1, state: "Active", rateGbps: 200, linkLayer: "InfiniBand" }],
    },
  ],
};
const MODULE = { sizeBytes: 32 * 2 ** 30, type: "DDR4", speedMts: 3200 };

beforeEach(async () => {
  cli = await openCliSite();
  ({ site } = cli);
  const fields = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  await site.deps.inventory.addNodes(
    ["c001", "c002", "c003", "c004", "g001"].map((name) => ({ name: parseNodeName(name), fields })),
    { user: "root" },
  );
  site.statuses.set("c004", { node: parseNodeName("c004"), state: "booting" });
  await reports("boot-1", { c001: {}, c002: {}, g001: WITH_GPUS });
});

afterEach(async () => {
  await cli[Symbol.asyncDispose]();
});

async function reports(bootId: string, given: Record<string, Partial<HardwareReport>>): Promise<void> {
  const stored = Object.entries(given).map(([node, parts]) => {
    const report = makeTestReport(parts);
    const digest = digestOfHex(Buffer.from(`${bootId}${node}`).toString("hex").padEnd(64, "0").slice(0, 64));
    return {
      ...{ node: parseNodeName(node), bootId, digest, report },
      reportedAt: new Date(TEST_NOW.getTime() - 240_000),
    };
  });
  await site.deps.inventory.recordHardware(stored);
}

const muster = (line: string): Promise<string> => cli.type(line);

it("hardware list has a line for each machine, and says why others have none", async () => {
  expect(await muster("hardware list")).toBe(`$ muster hardware list
NAME  CPUS  SOCKETS  CORES  THREADS   MEMORY  GPUS                       NETWORK       DISKS    MACHINE
c001    64        2     16        2  504 GiB  -                          25G           1.92 TB  Dell Inc. PowerEdge R650
c002    64        2     16        2  504 GiB  -                          25G           1.92 TB  Dell Inc. PowerEdge R650
g001    64        2     16        2  504 GiB  2 x NVIDIA A100-SXM4-40GB  25G, IB 200G  1.92 TB  Dell Inc. PowerEdge R650
2> no report yet of c003: never booted
2> no report yet of c004: booting: it reports once it is up
[0]
`);
  expect(await muster("hardware list c003")).toBe(`$ muster hardware list c003
2> no report yet of c003: never booted
[0]
`);
  expect(await muster("hardware list c009")).toBe(`$ muster hardware list c009
2> muster: there is no node "c009"
2>   fix: did you mean c001 or c002 or c003?
[4]
`);
});

it("hardware show has everything, and JSON is the report", async () => {
  await reports("boot-2", {
    g001: {
      ...WITH_GPUS,
      memory: {
        totalBytes: 540_895_322_112,
        modules: [
          { slot: "A1", ...MODULE, vendor: "Samsung", part: "M393", serial: "1" },
          { slot: "A2", ...MODULE },
        ],
      },
      bmc: { address: "10.9.0.1", mac: "52:54:00:00:09:01" },
    },
  });
  expect(await muster("hardware show g001,c003")).toBe(`$ muster hardware show g001,c003
node:      g001
reported:  4 min ago, in boot boot-2
machine:   Dell Inc. PowerEdge R650
serial:    SN1
UUID:      4c4c4544-0043
board:     Dell Inc. 0PYXKY
firmware:  efi Dell Inc. 1.10.2 03/21/2024
BMC:       10.9.0.1 52:54:00:00:09:01
kernel:    6.1.0-49-amd64
CPU:       Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz x86_64
CPUs:      64: 2 sockets of 16 cores of 2 threads
caches:    2 x 24 MiB L3
flags:     avx2 avx512f fpu
memory:    504 GiB for the kernel, 515838 MiB for Slurm
Gres:      gpu:nvidia_a100-sxm4-40gb:2 /dev/nvidia[0-1]
PCI:       1 device; -o json lists them

MEMORY  SIZE    TYPE  SPEED      VENDOR   PART  SERIAL
A1      32 GiB  DDR4  3200 MT/s  Samsung  M393  1
A2      32 GiB  DDR4  3200 MT/s  -        -     -

NUMA  CPUS         MEMORY   DISTANCES
0     0-15,32-47   256 GiB  10 20
1     16-31,48-63  256 GiB  20 10

NIC   LINK  MAC                DRIVER   FIRMWARE  PCI
eno1  25G   52:54:00:00:00:01  bnxt_en  -         0000:31:00.0

INFINIBAND  PORT  STATE   RATE  LAYER       TYPE    FIRMWARE    GUID
mlx5_0      1     Active  200G  InfiniBand  MT4123  20.38.1002  0xb83fd20300a1b2c4

DISK     SIZE     KIND  MODEL             SERIAL  FIRMWARE
nvme0n1  1.92 TB  nvme  SAMSUNG MZQL21T9  S64G    -

GPU                    MEMORY  DRIVER  PCI           DEVICE        UUID
NVIDIA A100-SXM4-40GB  40 GiB  550.54  0000:41:00.0  /dev/nvidia0  -
NVIDIA A100-SXM4-40GB  40 GiB  550.54  0000:c1:00.0  /dev/nvidia1  -
2> no report yet of c003: never booted
[1]
`);
  const json = (await muster("hardware show g001 -o json")).split("\n").slice(1, -2).join("\n");
  const [stored] = await site.deps.inventory.listHardware([parseNodeName("g001")], 1);
  expect(JSON.parse(json)).toEqual({ ...stored, reportedAt: "2026-11-20T11:56:00.000Z" });
});

it("hardware diff of one node is against its boot before", async () => {
  expect(await muster("hardware diff c001")).toBe(`$ muster hardware diff c001
2> c001 has reported in one boot only: there is nothing to compare with
[0]
`);
  await reports("boot-2", { c001: { memory: { totalBytes: 480 * 2 ** 30 }, disks: [] }, c002: {} });
  expect(await muster("hardware diff c001")).toBe(`$ muster hardware diff c001
c001: memory 504 -> 480 GiB
c001: disk nvme0n1 gone (1.92 TB, SAMSUNG MZQL21T9)
2> c001: 2 changes since the boot before, seen last 2026-11-20 11:56:00Z
[3]
`);
  expect(await muster("hardware diff c002")).toBe(`$ muster hardware diff c002
2> c002 is what it was in the boot before, seen last 2026-11-20 11:56:00Z
[0]
`);
  expect(await muster("hardware diff c003")).toBe(`$ muster hardware diff c003
2> no report yet of c003: never booted
[1]
`);
  expect(await muster("hardware diff c002 -o json")).toBe(`$ muster hardware diff c002 -o json
{
  "node": "c002",
  "before": {
    "bootId": "boot-1",
    "reportedAt": "2026-11-20T11:56:00.000Z"
  },
  "after": {
    "bootId": "boot-2",
    "reportedAt": "2026-11-20T11:56:00.000Z"
  },
  "changes": []
}
2> c002 is what it was in the boot before, seen last 2026-11-20 11:56:00Z
[0]
`);
});

it("hardware diff of several nodes says which are not like most", async () => {
  expect(await muster("hardware diff c[001-002]")).toBe(`$ muster hardware diff c[001-002]
2> c[001-002] are of the same hardware
[0]
`);
  await reports("boot-2", { c002: { memory: { totalBytes: 480 * 2 ** 30 } } });
  await reports("boot-1", { c003: {} });
  expect(await muster("hardware diff c[001-003]")).toBe(`$ muster hardware diff c[001-003]
memory: 504 GiB (2 nodes)
  c002: 480 GiB
[3]
`);
  expect(
    await muster("hardware diff c[001-002,004] -o yaml"),
  ).toBe(`$ muster hardware diff c[001-002,004] -o yaml
2> no report yet of c004: booting: it reports once it is up
nodes: c[001-002]
differences:
  - field: memory
    common: 504 GiB
    commonCount: 1
    others:
      - value: 480 GiB
        nodes: c002
[1]
`);
});

it("hardware slurm-conf can be pasted; nodes without a report are on standard error", async () => {
  expect(
    await muster("hardware slurm-conf c[001-002],g001"),
  ).toBe(`$ muster hardware slurm-conf c[001-002],g001
# slurm.conf
# missing here: PartitionName lines; NodeAddr, where Slurm cannot resolve a node's name; Weight, Feature
GresTypes=gpu
NodeName=c[001-002] CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515838
NodeName=g001 CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515838 Gres=gpu:nvidia_a100-sxm4-40gb:2

# gres.conf
# missing here: Cores and Links; AutoDetect=nvml (or rsmi) finds them and takes the place of these lines
NodeName=g001 Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia[0-1]
[0]
`);
  expect(
    await muster("hardware slurm-conf c[001-004] --round-memory 1024"),
  ).toBe(`$ muster hardware slurm-conf c[001-004] --round-memory 1024
# slurm.conf
# missing here: PartitionName lines; NodeAddr, where Slurm cannot resolve a node's name; Weight, Feature
NodeName=c[001-002] CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=2 RealMemory=515072
2> no report yet of c003: never booted
2> no report yet of c004: booting: it reports once it is up
[1]
`);
  expect(await muster("hardware slurm-conf c003")).toBe(`$ muster hardware slurm-conf c003
2> no report yet of c003: never booted
[1]
`);
  expect(
    await muster("hardware slurm-conf c001 --round-memory 1G"),
  ).toBe(`$ muster hardware slurm-conf c001 --round-memory 1G
2> muster: --round-memory 1G is not a number of MiB
2>   fix: for example --round-memory 1024
[2]
`);
});

it("more nodes than one request takes are asked for in several", async () => {
  const fields = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  const names = Array.from({ length: 230 }, (_, n) => `n${n}`);
  await site.deps.inventory.addNodes(
    names.map((name) => ({ name: parseNodeName(name), fields })),
    { user: "root" },
  );
  await reports("boot-1", Object.fromEntries(names.map((name) => [name, {}])));
  expect(await muster("hardware slurm-conf n[0-229]")).toContain("\nNodeName=n[0-229] CPUs=64 ");
  const { statusCode } = await cli.api.inject("/api/v1/hardware/reports?names=n[0-229]");
  expect(statusCode).toBe(400);
});

it("several machines in JSON are a list, also when none has reported", async () => {
  for (const command of ["show", "slurm-conf"]) {
    expect(
      await muster(`hardware ${command} c[003-004] -o json`),
    ).toBe(`$ muster hardware ${command} c[003-004] -o json
[]
2> no report yet of c003: never booted
2> no report yet of c004: booting: it reports once it is up
[1]
`);
  }
});

it("a set of thousands of names that do not fold is asked for whole", async () => {
  const names = Array.from({ length: 10_000 }, (_, n) => `n${(n * 7919).toString(36)}x`);
  expect(await muster(`hardware list ${names.join(",")}`)).toMatch(
    /\n2> muster: there is no node "n0x" \(and 9999 more of that set\)\n[^]*\[4\]\n$/,
  );
});
