import { renderDiskSize, renderMemorySize } from "#proto/contract/compare-hardware.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";
import { countEqual } from "./plan-hardware-summary.ts";

/** One respect in which machines are not alike. */
export interface HardwareDifference {
  /** "memory", "firmware", "NIC eno1". */
  readonly field: string;
  /** What most have; among equals what the first node has. */
  readonly common: string;
  readonly commonCount: number;
  /** What the others have, the most frequent first. */
  readonly others: readonly { readonly value: string; readonly nodes: string }[];
}

interface Machine {
  readonly node: string;
  readonly report: HardwareReport;
}

/** What a part is that the machine does not have. */
const NONE = "none";

/**
 * In which respects the machines of several nodes differ, and which nodes have not what most have. What is different
 * on every machine by its nature (serial numbers, MAC addresses, UUIDs, BMC addresses) is not compared. PCI devices
 * are compared only among machines of the most common model: on another one they all sit elsewhere.
 */
export function planHardwareDifferences(machines: readonly Machine[]): readonly HardwareDifference[] {
  const sorted = machines.toSorted((a, b) => compareNodeNames(a.node, b.node));
  const models = sorted.map(({ report }) => modelOf(report));
  const commonModel = mostCommon(models);
  const sameModel = sorted.filter((_, index) => models[index] === commonModel);
  return [...compareFields(sorted, describeMachine), ...compareFields(sameModel, describePci)];
}

function compareFields(
  machines: readonly Machine[],
  describe: (report: HardwareReport) => readonly (readonly [string, string])[],
): readonly HardwareDifference[] {
  const described = machines.map(({ node, report }) => ({ node, fields: new Map(describe(report)) }));
  const names = new Set(described.flatMap(({ fields }) => [...fields.keys()]));
  return [...names].flatMap((field): readonly HardwareDifference[] => {
    const values = described.map(({ node, fields }) => ({ node, value: fields.get(field) ?? NONE }));
    const byValue = Map.groupBy(values, ({ value }) => value);
    if (byValue.size === 1) return [];
    const common = mostCommon(values.map(({ value }) => value));
    byValue.delete(common);
    return [
      {
        field,
        common: field === "CPU flags" ? `${common.split(" ").length} flags` : common,
        commonCount: values.filter(({ value }) => value === common).length,
        others: [...byValue]
          .toSorted(([, a], [, b]) => b.length - a.length)
          .map(([value, owners]) => ({
            value: field === "CPU flags" ? renderFlags(common, value) : value,
            nodes: foldNodeSet(owners.map(({ node }) => node)),
          })),
      },
    ];
  });
}

/** The first among the most frequent; "" of nothing. */
function mostCommon(values: readonly string[]): string {
  return countEqual(values).reduce((best, one) => (one.count > best.count ? one : best), {
    count: 0,
    value: "",
  }).value;
}

function modelOf({ system }: HardwareReport): string {
  return join(system.vendor, system.product);
}

function describeMachine(report: HardwareReport): readonly (readonly [string, string])[] {
  const { slurm, board, firmware, cpu, memory } = report;
  const modules = memory.modules ?? [];
  const installed = modules.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const fields: readonly (readonly [string, string | undefined])[] = [
    ["machine", modelOf(report)],
    ["board", join(board.vendor, board.product, board.version)],
    ["firmware", join(firmware.type, firmware.vendor, firmware.version, firmware.date)],
    ["CPUs", String(slurm.cpus)],
    ["boards", String(slurm.boards)],
    ["sockets", String(slurm.boards * slurm.socketsPerBoard)],
    ["cores per socket", String(slurm.coresPerSocket)],
    ["threads per core", String(slurm.threadsPerCore)],
    ["CPUs offline", cpu.offline],
    ["CPU model", cpu.model],
    ["CPU stepping", cpu.stepping?.toString()],
    ["CPU microcode", cpu.microcode],
    ["CPU flags", cpu.flags.join(" ")],
    ["NUMA nodes", String(report.numa.length)],
    ["memory", renderMemorySize(installed === 0 ? memory.totalBytes : installed)],
    [
      "memory modules",
      counted(
        modules.map(({ sizeBytes, type, speedMts }) =>
          join(renderMemorySize(sizeBytes), type, speedMts === undefined ? undefined : `${speedMts} MT/s`),
        ),
      ),
    ],
    [
      "disks",
      counted(
        report.disks.map(({ sizeBytes, model, firmware: version }) =>
          join(renderDiskSize(sizeBytes), model, version),
        ),
      ),
    ],
    ["GPUs", counted(report.gpus.map(({ model, driver }) => join(model, driver)))],
    ["BMC firmware", report.bmc?.firmware],
    ...report.networks.map(
      ({ name, driver, firmware: version, isUp, speedMbps }) =>
        [`NIC ${name}`, join(isUp ? "up" : "down", renderMbps(speedMbps), driver, version)] as const,
    ),
    ...report.infiniband.flatMap(({ name, type, firmware: version, ports }) => [
      [`InfiniBand ${name}`, join(type, version)] as const,
      ...ports.map(
        ({ port, state, rateGbps, linkLayer }) =>
          [
            `InfiniBand ${name} port ${port}`,
            join(state, rateGbps === undefined ? undefined : `${rateGbps} Gbit/s`, linkLayer),
          ] as const,
      ),
    ]),
  ];
  return fields.map(([field, value = NONE]) => [field, value === "" ? NONE : value]);
}

/** Network cards, GPUs, storage and whatever else has a link that can come up too narrow. */
function describePci({ pci }: HardwareReport): readonly (readonly [string, string])[] {
  return pci.flatMap(({ address, vendor, device, link }) =>
    link === undefined
      ? []
      : [
          [`PCI ${address}`, `${vendor}:${device}`],
          [
            `PCI ${address} link`,
            join(`x${link.width}`, link.speedGts === undefined ? undefined : `${link.speedGts} GT/s`),
          ],
        ],
  );
}

/** "without avx512f; with sme", of two lists of flags. */
function renderFlags(common: string, value: string): string {
  const [a, b] = [common.split(" "), value.split(" ")];
  const parts = [
    ["without", a.filter((flag) => !b.includes(flag))],
    ["with", b.filter((flag) => !a.includes(flag))],
  ] as const;
  return parts
    .flatMap(([word, flags]) => (flags.length === 0 ? [] : [`${word} ${flags.join(" ")}`]))
    .join("; ");
}

function counted(values: readonly string[]): string {
  return countEqual(values.toSorted())
    .map(({ count, value }) => `${count} x ${value}`)
    .join(", ");
}

function renderMbps(mbps: number | undefined): string | undefined {
  if (mbps === undefined) return undefined;
  return mbps >= 1000 ? `${mbps / 1000} Gbit/s` : `${mbps} Mbit/s`;
}

function join(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== "").join(" ");
}
