import type { HardwareReport } from "./hardware-report.ts";

/**
 * One difference between two hardware reports. Without `before` it is new, without `after` it is gone; what stands
 * there is for people: "480 GiB", "25 Gbit/s", "up".
 */
export interface HardwareChange {
  /** What changed: "memory", "NIC eno1 link", "DIMM A3", "firmware version". */
  readonly field: string;
  readonly before?: string;
  readonly after?: string;
}

/**
 * The kernel keeps some memory for itself, and how much differs a little from one kernel (and one memory map of the
 * firmware) to the next. The smallest module there is holds many times as much.
 */
const MEMORY_TOLERANCE_BYTES = 64 * 1024 ** 2;
/** More flags than this are counted: a hypervisor that hides AVX hides two dozen. */
const MAX_NAMED_FLAGS = 8;

/**
 * What differs between two reports of one machine, in the order of the report; empty when nothing does that a
 * person would call a change. The kernel's version is no hardware, and differences of a few MiB in what the kernel
 * leaves of the memory are none.
 *
 * Parts that move are found again by what identifies them: disks by serial number, GPUs by UUID, interfaces by MAC.
 */
export function compareHardware(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  return [
    ...compareIdentity(before, after),
    ...compareCpus(before, after),
    ...compareNuma(before, after),
    ...compareMemory(before, after),
    ...compareNetworks(before, after),
    ...compareInfiniband(before, after),
    ...compareDisks(before, after),
    ...compareGpus(before, after),
    ...comparePci(before, after),
    ...compareBmc(before, after),
  ];
}

/** "memory 512 -> 480 GiB", "disk nvme1n1 gone (1.92 TB)", "DIMM A3 new (32 GiB)". */
export function renderHardwareChange({ field, before, after }: HardwareChange): string {
  if (before === undefined) return `${field} new${after === undefined ? "" : ` (${after})`}`;
  if (after === undefined) return `${field} gone (${before})`;
  const [, value, unit] = /^([\d.]+)( .+)$/.exec(before) ?? [];
  const isSameUnit = unit !== undefined && /^[\d.]+ /.test(after) && after.endsWith(unit);
  return `${field} ${isSameUnit ? value : before} -> ${after}`;
}

/** Binary, as memory is sold: "512 GiB", "31.4 GiB", "640 MiB". */
export function renderMemorySize(bytes: number): string {
  const [unit, name] =
    bytes >= 1024 ** 4 * 10
      ? [1024 ** 4, "TiB"]
      : bytes >= 1024 ** 3
        ? [1024 ** 3, "GiB"]
        : [1024 ** 2, "MiB"];
  return `${shortNumber(bytes / unit)} ${name}`;
}

/** Decimal, as disks are sold: "1.92 TB", "480 GB". */
export function renderDiskSize(bytes: number): string {
  const [unit, name] = bytes >= 1e12 ? [1e12, "TB"] : bytes >= 1e9 ? [1e9, "GB"] : [1e6, "MB"];
  return `${String(Number((bytes / unit).toFixed(2)))} ${name}`;
}

function shortNumber(value: number): string {
  return String(Number(value.toFixed(value < 100 ? 1 : 0)));
}

function renderRate(mbps: number): string {
  return mbps >= 1000 ? `${String(mbps / 1000)} Gbit/s` : `${mbps} Mbit/s`;
}

type Value = string | number | boolean | undefined;

/** A change of one value; none when either side does not know it: that a tool was missing is no change of the machine. */
function changed(
  field: string,
  before: Value,
  after: Value,
  render: (value: never) => string = String,
): readonly HardwareChange[] {
  if (before === undefined || after === undefined || before === after) return [];
  return [{ field, before: render(before as never), after: render(after as never) }];
}

function compareIdentity(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  return [
    ...changed("system vendor", before.system.vendor, after.system.vendor),
    ...changed("system product", before.system.product, after.system.product),
    ...changed("system serial", before.system.serial, after.system.serial),
    ...changed("system UUID", before.system.uuid, after.system.uuid),
    ...changed("board product", before.board.product, after.board.product),
    ...changed("board serial", before.board.serial, after.board.serial),
    ...changed("firmware type", before.firmware.type, after.firmware.type),
    ...changed("firmware version", before.firmware.version, after.firmware.version),
    ...changed("firmware date", before.firmware.date, after.firmware.date),
  ];
}

function compareCpus(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  const [a, b] = [before.slurm, after.slurm];
  const lost = before.cpu.flags.filter((flag) => !after.cpu.flags.includes(flag));
  const gained = after.cpu.flags.filter((flag) => !before.cpu.flags.includes(flag));
  const offline = { before: before.cpu.offline ?? "none", after: after.cpu.offline ?? "none" };
  return [
    ...changed("CPUs", a.cpus, b.cpus),
    ...changed("boards", a.boards, b.boards),
    ...changed("sockets", a.boards * a.socketsPerBoard, b.boards * b.socketsPerBoard),
    ...changed("cores per socket", a.coresPerSocket, b.coresPerSocket),
    ...changed("threads per core", a.threadsPerCore, b.threadsPerCore),
    ...changed("CPUs offline", offline.before, offline.after),
    ...changed("CPU model", before.cpu.model, after.cpu.model),
    ...changed("CPU stepping", before.cpu.stepping, after.cpu.stepping),
    ...changed("CPU microcode", before.cpu.microcode, after.cpu.microcode),
    ...(lost.length === 0 ? [] : [{ field: "CPU flags", before: nameFlags(lost) }]),
    ...(gained.length === 0 ? [] : [{ field: "CPU flags", after: nameFlags(gained) }]),
    ...compareParts("CPU cache", before.cpu.caches, after.cpu.caches, {
      keys: [({ level, type }) => `L${level} ${type}`],
      name: ({ level, type }) => (type === "unified" ? `L${level}` : `L${level} ${type}`),
      what: ({ count, sizeBytes }) => `${count} x ${sizeBytes / 1024} KiB`,
      compare: (field, x, y) =>
        x.count === y.count && x.sizeBytes === y.sizeBytes
          ? []
          : [
              {
                field,
                before: `${x.count} x ${x.sizeBytes / 1024} KiB`,
                after: `${y.count} x ${y.sizeBytes / 1024} KiB`,
              },
            ],
    }),
  ];
}

function nameFlags(flags: readonly string[]): string {
  return flags.length > MAX_NAMED_FLAGS ? `${flags.length} flags` : flags.join(" ");
}

function compareNuma(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  if (before.numa.length !== after.numa.length) {
    return changed("NUMA nodes", before.numa.length, after.numa.length);
  }
  return compareParts("NUMA node", before.numa, after.numa, {
    keys: [({ id }) => String(id)],
    name: ({ id }) => String(id),
    what: ({ memoryBytes }) => renderMemorySize(memoryBytes),
    compare: (field, a, b) => [
      ...changed(`${field} CPUs`, a.cpus, b.cpus),
      ...changedMemory(`${field} memory`, a.memoryBytes, b.memoryBytes),
      ...changed(`${field} distances`, a.distances.join(" "), b.distances.join(" ")),
    ],
  });
}

function changedMemory(field: string, before: number, after: number): readonly HardwareChange[] {
  if (Math.abs(before - after) < MEMORY_TOLERANCE_BYTES) return [];
  const [a, b] = [renderMemorySize(before), renderMemorySize(after)];
  // A change that rounding hides is shown in MiB.
  const inMib = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return [a === b ? { field, before: inMib(before), after: inMib(after) } : { field, before: a, after: b }];
}

function compareMemory(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  const [a, b] = [before.memory, after.memory];
  const usable = changedMemory("usable memory", a.totalBytes, b.totalBytes);
  if (a.modules === undefined || b.modules === undefined) {
    return changedMemory("memory", a.totalBytes, b.totalBytes);
  }
  const installed = changedMemory("memory", sizeOf(a.modules), sizeOf(b.modules));
  return [
    // What is plugged in says it better; what the kernel has counts when nothing was plugged or pulled.
    ...(installed.length > 0 ? installed : usable),
    ...compareParts("DIMM", a.modules, b.modules, {
      keys: [({ slot }) => slot],
      name: ({ slot }) => slot,
      what: ({ sizeBytes }) => renderMemorySize(sizeBytes),
      compare: (field, x, y) => [
        ...changed(`${field} size`, x.sizeBytes, y.sizeBytes, renderMemorySize),
        ...changed(`${field} speed`, x.speedMts, y.speedMts, (speed: number) => `${speed} MT/s`),
        ...changed(`${field} part`, x.part, y.part),
        ...changed(`${field} serial`, x.serial, y.serial),
      ],
    }),
  ];
}

function sizeOf(modules: NonNullable<HardwareReport["memory"]["modules"]>): number {
  return modules.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function compareNetworks(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  return compareParts("NIC", before.networks, after.networks, {
    keys: [({ mac }) => mac, ({ name }) => name],
    name: ({ name }) => name,
    what: ({ mac, driver }) => [mac, driver].filter((part) => part !== undefined).join(", "),
    compare: (field, a, b) => [
      ...changed(`${field} name`, a.name, b.name),
      ...changed(`${field} MAC`, a.mac, b.mac),
      ...changed(`${field} driver`, a.driver, b.driver),
      ...changed(`${field} firmware`, a.firmware, b.firmware),
      ...changed(`${field} PCI address`, a.pciAddress, b.pciAddress),
      ...changed(`${field} link`, a.isUp, b.isUp, (isUp: boolean) => (isUp ? "up" : "down")),
      ...changed(`${field} link`, a.speedMbps, b.speedMbps, renderRate),
    ],
  });
}

function compareInfiniband(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  return compareParts("InfiniBand", before.infiniband, after.infiniband, {
    keys: [({ guid }) => guid, ({ name }) => name],
    name: ({ name }) => name,
    what: ({ type, guid }) => type ?? guid ?? "",
    compare: (field, a, b) => [
      ...changed(`${field} name`, a.name, b.name),
      ...changed(`${field} GUID`, a.guid, b.guid),
      ...changed(`${field} firmware`, a.firmware, b.firmware),
      ...compareParts(`${field} port`, a.ports, b.ports, {
        keys: [({ port }) => String(port)],
        name: ({ port }) => String(port),
        what: ({ state }) => state,
        compare: (port, x, y) => [
          ...changed(port, x.state, y.state),
          ...changed(`${port} rate`, x.rateGbps, y.rateGbps, (rate: number) => `${rate} Gbit/s`),
          ...changed(`${port} link layer`, x.linkLayer, y.linkLayer),
        ],
      }),
    ],
  });
}

function compareDisks(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  return compareParts("disk", before.disks, after.disks, {
    keys: [({ serial }) => serial, ({ name }) => name],
    name: ({ name }) => name,
    what: ({ sizeBytes, model }) =>
      [renderDiskSize(sizeBytes), model].filter((part) => part !== undefined).join(", "),
    // The name is not compared: the kernel counts disks in the order in which they answer.
    compare: (field, a, b) => [
      ...changed(`${field} size`, a.sizeBytes, b.sizeBytes, renderDiskSize),
      ...changed(`${field} model`, a.model, b.model),
      ...changed(`${field} serial`, a.serial, b.serial),
      ...changed(`${field} firmware`, a.firmware, b.firmware),
    ],
  });
}

function compareGpus(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  return compareParts("GPU", before.gpus, after.gpus, {
    keys: [({ uuid }) => uuid, ({ pciAddress }) => pciAddress],
    name: ({ pciAddress }) => pciAddress,
    what: ({ model }) => model,
    compare: (field, a, b) => [
      ...changed(`${field} PCI address`, a.pciAddress, b.pciAddress),
      ...changed(`${field} model`, a.model, b.model),
      ...changed(`${field} UUID`, a.uuid, b.uuid),
      ...changed(`${field} memory`, a.memoryBytes, b.memoryBytes, renderMemorySize),
      ...changed(`${field} driver`, a.driver, b.driver),
      ...changed(`${field} device`, a.device, b.device),
    ],
  });
}

/** Storage, network, display and processing accelerators (PCI class codes 01, 02, 03, 12). */
const CARD_CLASSES = /^(01|02|03|12)/;

function comparePci(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  // Said already, and better, by their own lists.
  const told = new Set(
    [...before.networks, ...after.networks, ...before.gpus, ...after.gpus].map(
      ({ pciAddress }) => pciAddress,
    ),
  );
  const isCard = (device: { readonly class: string }): boolean => CARD_CLASSES.test(device.class);
  const changes = compareParts("PCI device", before.pci, after.pci, {
    keys: [({ address }) => address],
    name: ({ address }) => address,
    what: ({ vendor, device }) => `${vendor}:${device}`,
    isNews: (device) => isCard(device) && !told.has(device.address),
    compare: (field, a, b) => [
      ...(isCard(a) || isCard(b) ? changed(field, `${a.vendor}:${a.device}`, `${b.vendor}:${b.device}`) : []),
      ...changed(`${field} link width`, a.link?.width, b.link?.width, (width: number) => `x${width}`),
      ...changed(
        `${field} link speed`,
        a.link?.speedGts,
        b.link?.speedGts,
        (speed: number) => `${speed} GT/s`,
      ),
    ],
  });
  return changes;
}

function compareBmc(before: HardwareReport, after: HardwareReport): readonly HardwareChange[] {
  return [
    ...changed("BMC address", before.bmc?.address, after.bmc?.address),
    ...changed("BMC MAC", before.bmc?.mac, after.bmc?.mac),
    ...changed("BMC firmware", before.bmc?.firmware, after.bmc?.firmware),
  ];
}

/** How parts of one kind are found again and described. */
interface PartWords<T> {
  /** What identifies a part, the surest first: parts that share the first are one, then the second of what is left. */
  readonly keys: readonly ((part: T) => string | undefined)[];
  readonly name: (part: T) => string;
  /** What it is, for parts that came or went. */
  readonly what: (part: T) => string;
  readonly compare: (field: string, before: T, after: T) => readonly HardwareChange[];
  /** Whether it is worth a line that it came or went. Default: always. */
  readonly isNews?: (part: T) => boolean;
}

function compareParts<T>(
  kind: string,
  before: readonly T[],
  after: readonly T[],
  words: PartWords<T>,
): readonly HardwareChange[] {
  const partners = new Map<T, T>();
  const taken = new Set<T>();
  for (const key of words.keys) {
    for (const part of before) {
      if (partners.has(part) || key(part) === undefined) continue;
      const partner = after.find((other) => !taken.has(other) && key(other) === key(part));
      if (partner === undefined) continue;
      partners.set(part, partner);
      taken.add(partner);
    }
  }
  const isNews = words.isNews ?? (() => true);
  const field = (part: T): string => `${kind} ${words.name(part)}`;
  return [
    ...before.flatMap((part) => {
      const partner = partners.get(part);
      if (partner !== undefined) return words.compare(field(part), part, partner);
      return isNews(part) ? [{ field: field(part), before: words.what(part) }] : [];
    }),
    ...after
      .filter((part) => !taken.has(part) && isNews(part))
      .map((part) => ({ field: field(part), after: words.what(part) })),
  ];
}
