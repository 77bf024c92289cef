import type { BootView } from "../../controller/api/rest/schemas.ts";
import { type Cluster, IMAGE, listBoots, openCluster, waitForReady } from "../e2e/cluster.ts";
import type { LabFirmware } from "../lab/plan-qemu-arguments.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { addDirectMachine } from "./direct-boot.ts";
import { median, renderSpread, renderTable } from "./render-table.ts";

const RUNS = 3;
const MACHINES = [
  { firmware: "bios", about: "BIOS PXE" },
  { firmware: "uefi", about: "UEFI PXE" },
  { firmware: "direct", about: "kernel only" },
] as const satisfies readonly { readonly firmware: LabFirmware; readonly about: string }[];

/** The stages that are muster's own work on the node: all between the kernel and the image's init. */
const OURS = ["init", "network", "connect", "enrol", "plan", "fetch", "mount", "overlay", "switch"] as const;

/**
 * A node for each boot: one whose plug was pulled a moment ago has a session yet, and waits until the controller knows
 * better before it may enrol.
 */
interface BenchNode {
  readonly firmware: LabFirmware;
  readonly name: string;
  readonly mac: string;
  readonly address: string;
}

function nodeOf(firmware: LabFirmware, number: number): BenchNode {
  return {
    firmware,
    name: `c00${number}`,
    mac: `52:54:00:77:20:0${number}`,
    address: `10.77.0.2${number}`,
  };
}

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
  for (const [kind, { firmware, about }] of MACHINES.entries()) {
    const timings: Timing[] = [];
    for (let run = 1; run <= RUNS; run++) {
      const node = nodeOf(firmware, kind * RUNS + run);
      const { name, mac, address } = node;
      await cluster.controller.mustMuster([
        ...["node", "add", name, "--mac", mac, "--address", address, "--image", IMAGE],
      ]);
      const timing = await bootOnce(cluster, node);
      say(`${about}: ready after ${timing.total.toFixed(1)} s, ours ${timing.ours.toFixed(1)} s`);
      timings.push(timing);
    }
    results.push(timings);
  }
  return render(results);
}

async function bootOnce(cluster: Cluster, node: BenchNode): Promise<Timing> {
  const { firmware, name, mac, address } = node;
  const spec = { name, mac, cores: 2 };
  const machine: VirtualMachine =
    firmware === "direct"
      ? await addDirectMachine(cluster, spec, address)
      : await cluster.lab.addMachine({ ...spec, firmware });
  const poweredOnMs = Date.now();
  await machine.powerOn();
  const ready = await waitForReady(cluster, name, machine);
  await machine.powerOff();
  const boot = (await listBoots(cluster, name)).find(({ bootId }) => bootId === ready.status.bootId);
  if (boot === undefined) throw new Error(`no record of the boot of ${name}`);
  return timingOf(boot, poweredOnMs);
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
