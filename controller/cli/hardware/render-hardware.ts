import { renderDiskSize, renderMemorySize } from "#proto/contract/compare-hardware.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { HardwareLine, MissingHardware, ReportView } from "../../api/rest/hardware-routes.ts";
import { renderAge, renderCount, renderFields, renderTable } from "../output/render-text.ts";

/** Why a node in this state has not said what it is. */
const WHY_MISSING: Readonly<Record<MissingHardware[number]["state"], string>> = {
  new: "never booted",
  booting: "booting: it reports once it is up",
  ready: "up: it reports within half a minute, unless its agent is of an older release",
  unreachable: "unreachable: it reports when it is back",
  failed: "its boot failed: muster node boots says why",
};

/** `muster hardware list`. */
export function renderHardwareTable(lines: readonly HardwareLine[]): string {
  return renderTable(
    ["NAME", "CPUS", "SOCKETS", "CORES", "THREADS", "MEMORY", "GPUS", "NETWORK", "DISKS", "MACHINE"],
    lines.map((line) => [
      line.node,
      String(line.cpus),
      String(line.sockets),
      String(line.coresPerSocket),
      String(line.threadsPerCore),
      renderMemorySize(line.memoryBytes),
      renderCounted(line.gpus, String),
      [
        renderCounted(line.ethernetMbps, renderGbits),
        renderCounted(line.infinibandMbps, (rate) => `IB ${renderGbits(rate)}`),
      ]
        .filter((part) => part !== "")
        .join(", "),
      renderCounted(line.diskBytes, renderDiskSize),
      line.machine,
    ]),
    ["CPUS", "SOCKETS", "CORES", "THREADS", "MEMORY"],
  );
}

/** A line for each reason: "no report yet of c[003-004]: never booted". */
export function renderMissing(missing: MissingHardware): readonly string[] {
  const byState = Map.groupBy(missing, ({ state }) => state);
  return [...byState].map(
    ([state, nodes]) =>
      `no report yet of ${foldNodeSet(nodes.map(({ node }) => node))}: ${WHY_MISSING[state]}`,
  );
}

/** `muster hardware show`. */
export function renderHardware({ node, bootId, reportedAt, report }: ReportView, now: Date): string {
  const { slurm, system, board, firmware, cpu, memory, bmc } = report;
  const sockets = slurm.boards * slurm.socketsPerBoard;
  const cores = slurm.coresPerSocket;
  return [
    renderFields(
      withValues([
        ["node", node],
        ["reported", `${renderAge(reportedAt, now)}, in boot ${bootId}`],
        ["machine", join(system.vendor, system.product, system.version)],
        ["serial", system.serial],
        ["UUID", system.uuid],
        ["board", join(board.vendor, board.product, board.version, board.serial)],
        ["firmware", join(firmware.type, firmware.vendor, firmware.version, firmware.date)],
        ["BMC", bmc === undefined ? undefined : join(bmc.address, bmc.mac, bmc.firmware)],
        ["kernel", report.kernel],
        ["CPU", join(cpu.model, cpu.architecture)],
        ["microcode", cpu.microcode],
        [
          "CPUs",
          `${slurm.cpus}: ${renderCount(sockets, "socket")} of ${renderCount(cores, "core")} of ${renderCount(slurm.threadsPerCore, "thread")}`,
        ],
        ["offline", cpu.offline],
        ["caches", cpu.caches.map(renderCache).join(", ")],
        ["flags", wrap(cpu.flags)],
        [
          "memory",
          `${renderMemorySize(memory.totalBytes)} for the kernel, ${slurm.realMemoryMib} MiB for Slurm`,
        ],
        [
          "Gres",
          slurm.gres.length === 0
            ? undefined
            : slurm.gres
                .map((g) =>
                  join([g.name, g.type, g.count].filter((word) => word !== undefined).join(":"), g.files),
                )
                .join("\n"),
        ],
        ["PCI", `${renderCount(report.pci.length, "device")}; -o json lists them`],
      ]),
    ),
    ...renderParts(report),
  ].join("\n");
}

/** Without the fields of which the machine says nothing. */
function withValues(
  fields: readonly (readonly [string, string | undefined])[],
): readonly (readonly [string, string | undefined])[] {
  return fields.filter(([, value]) => value !== "");
}

function renderParts(report: HardwareReport): readonly string[] {
  const tables: readonly (readonly [readonly string[], readonly (readonly string[])[]])[] = [
    [
      ["MEMORY", "SIZE", "TYPE", "SPEED", "VENDOR", "PART", "SERIAL"],
      (report.memory.modules ?? []).map((module) => [
        module.slot,
        renderMemorySize(module.sizeBytes),
        module.type ?? "",
        module.speedMts === undefined ? "" : `${module.speedMts} MT/s`,
        module.vendor ?? "",
        module.part ?? "",
        module.serial ?? "",
      ]),
    ],
    [
      ["NUMA", "CPUS", "MEMORY", "DISTANCES"],
      report.numa.map(({ id, cpus, memoryBytes, distances }) => [
        String(id),
        cpus,
        renderMemorySize(memoryBytes),
        distances.join(" "),
      ]),
    ],
    [
      ["NIC", "LINK", "MAC", "DRIVER", "FIRMWARE", "PCI"],
      report.networks.map((nic) => [
        nic.name,
        nic.speedMbps === undefined ? (nic.isUp ? "up" : "down") : renderGbits(nic.speedMbps),
        nic.mac ?? "",
        nic.driver ?? "",
        nic.firmware ?? "",
        nic.pciAddress ?? "",
      ]),
    ],
    [
      ["INFINIBAND", "PORT", "STATE", "RATE", "LAYER", "TYPE", "FIRMWARE", "GUID"],
      report.infiniband.flatMap((card) =>
        card.ports.map(({ port, state, rateGbps, linkLayer }) => [
          card.name,
          String(port),
          state,
          rateGbps === undefined ? "" : `${rateGbps}G`,
          linkLayer ?? "",
          card.type ?? "",
          card.firmware ?? "",
          card.guid ?? "",
        ]),
      ),
    ],
    [
      ["DISK", "SIZE", "KIND", "MODEL", "SERIAL", "FIRMWARE"],
      report.disks.map((disk) => [
        disk.name,
        renderDiskSize(disk.sizeBytes),
        join(disk.transport, disk.isRotational ? "rotating" : ""),
        disk.model ?? "",
        disk.serial ?? "",
        disk.firmware ?? "",
      ]),
    ],
    [
      ["GPU", "MEMORY", "DRIVER", "PCI", "DEVICE", "UUID"],
      report.gpus.map((gpu) => [
        gpu.model,
        gpu.memoryBytes === undefined ? "" : renderMemorySize(gpu.memoryBytes),
        gpu.driver ?? "",
        gpu.pciAddress,
        gpu.device ?? "",
        gpu.uuid ?? "",
      ]),
    ],
  ];
  return tables.flatMap(([head, rows]) => (rows.length === 0 ? [] : [renderTable(head, rows)]));
}

function renderCache({ level, type, sizeBytes, count }: HardwareReport["cpu"]["caches"][number]): string {
  const kind = type === "unified" ? "" : type.charAt(0);
  const size = sizeBytes >= 1024 ** 2 ? `${sizeBytes / 1024 ** 2} MiB` : `${sizeBytes / 1024} KiB`;
  return `${count} x ${size} L${level}${kind}`;
}

function renderCounted<T>(
  values: readonly { readonly count: number; readonly value: T }[],
  render: (value: T) => string,
): string {
  return values
    .map(({ count, value }) => (count === 1 ? render(value) : `${count} x ${render(value)}`))
    .join(", ");
}

/** "25G", "0.1G", as network people say. */
function renderGbits(mbps: number): string {
  return `${mbps / 1000}G`;
}

/** Words in lines of about 100 characters. */
function wrap(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length > 100) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join("\n");
}

function join(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== "").join(" ");
}
