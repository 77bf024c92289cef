import type { BootView } from "../../controller/api/rest/schemas.ts";
import { type Cluster, IMAGE, listBoots, openCluster, waitForReady } from "../e2e/cluster.ts";
import type { LabFirmware } from "../lab/plan-qemu-arguments.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { addDirectMachine } from "./direct-boot.ts";
import { median, renderSpread, renderTable } from "./render-table.ts";

const RUNS = 3;
const MACHINES = [
  { firmware: "bios", about: "BIOS PXE", name: "c001", mac: "52:54:00:77:20:01", address: "10.77.0.21" },
  { firmware: "uefi", about: "UEFI PXE", name: "c002", mac: "52:54:00:77:20:02", address: "10.77.0.22" },
  { firmware: "direct", about: "kernel only", name: "c003", mac: "52:54:00:77:20:03", address: "10.77.0.23" },
] as const satisfies readonly { readonly firmware: LabFirmware; [more: string]: string }[];

/** The stages that are muster's own work on the node: all between the kernel and the image's init. */
const OURS = ["init", "network", "connect", "enrol", "plan", "fetch", "mount", "overlay", "switch"] as const;

/** Seconds of one boot: per stage, and what is between them. */
interface Timing {
  readonly stages: ReadonlyMap<string, number>;
  /** From power-on to the start of the kernel: firmware, iPXE and what they fetch. */
  readonly firmware: number;
  readonly ours: number;
  readonly total: number;
}

/** Where the time of a boot goes: a machine at a time, 2 virtual CPUs, from power-on to ready. */
export async function benchBoot(say: (line: string) => void): Promise<string> {
  await using cluster = await openCluster();
  const results: (readonly Timing[])[] = [];
  for (const machine of MACHINES) {
    await cluster.controller.mustMuster([
      "node",
      "add",
      machine.name,
      "--mac",
      machine.mac,
      "--address",
      machine.address,
      "--image",
      IMAGE,
    ]);
    const timings: Timing[] = [];
    for (let run = 0; run < RUNS; run++) {
      const timing = await bootOnce(cluster, machine);
      say(`${machine.about}: ready after ${timing.total.toFixed(1)} s, ours ${timing.ours.toFixed(1)} s`);
      timings.push(timing);
    }
    results.push(timings);
  }
  return render(results);
}

async function bootOnce(cluster: Cluster, node: (typeof MACHINES)[number]): Promise<Timing> {
  const spec = { name: node.name, mac: node.mac, cores: 2 };
  const machine: VirtualMachine =
    node.firmware === "direct"
      ? await addDirectMachine(cluster, spec, node.address)
      : await machineOf(cluster, { ...spec, firmware: node.firmware });
  const before = (await listBoots(cluster, node.name))[0]?.bootId;
  const poweredOnMs = Date.now();
  await machine.powerOn();
  const ready = await waitForReady(cluster, node.name, machine, before);
  await machine.powerOff();
  const boot = (await listBoots(cluster, node.name)).find(({ bootId }) => bootId === ready.status.bootId);
  if (boot === undefined) throw new Error(`no record of the boot of ${node.name}`);
  return timingOf(boot, poweredOnMs);
}

async function machineOf(
  { lab }: Cluster,
  spec: Parameters<Cluster["lab"]["addMachine"]>[0],
): Promise<VirtualMachine> {
  return lab.machines.find((machine) => machine.spec.name === spec.name) ?? (await lab.addMachine(spec));
}

function timingOf(boot: BootView, poweredOnMs: number): Timing {
  const startedMs = Date.parse(boot.startedAt);
  const stages = new Map(
    boot.stages.map(({ stage, startedMs: from, endedMs: to }) => [stage, ((to ?? from) - from) / 1000]),
  );
  const kernel = boot.stages.find(({ stage }) => stage === "kernel");
  if (kernel === undefined || boot.readyAt === undefined) {
    throw new Error(`the record of boot ${boot.bootId} has no kernel stage or no end`);
  }
  return {
    stages,
    firmware: (startedMs + kernel.startedMs - poweredOnMs) / 1000,
    ours: OURS.reduce((sum, stage) => sum + (stages.get(stage) ?? 0), 0),
    total: (Date.parse(boot.readyAt) - poweredOnMs) / 1000,
  };
}

function render(results: readonly (readonly Timing[])[]): string {
  const row = (name: string, value: (timing: Timing) => number): string[] => [
    name,
    ...results.map((timings) => median(timings.map(value)).toFixed(1)),
  ];
  const stage = (name: string): string[] => row(`- ${name}`, ({ stages }) => stages.get(name) ?? 0);
  return renderTable(
    [`seconds, median of ${RUNS}`, ...MACHINES.map(({ about }) => about)],
    [
      row("firmware and iPXE", ({ firmware }) => firmware),
      row("kernel to /init", ({ stages }) => stages.get("kernel") ?? 0),
      row("**muster**", ({ ours }) => ours),
      ...OURS.map(stage),
      row("systemd to ready", ({ stages }) => stages.get("userspace") ?? 0),
      [
        "**power-on to ready**",
        ...results.map((timings) =>
          renderSpread(
            timings.map(({ total }) => total),
            1,
          ),
        ),
      ],
    ],
  );
}
