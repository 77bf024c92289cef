import type { HardwareReport } from "#proto/contract/hardware-report.ts";

/** Equal things, counted. */
export interface Counted<T> {
  readonly count: number;
  readonly value: T;
}

/** A machine in one line. */
export interface HardwareSummary {
  readonly cpus: number;
  readonly sockets: number;
  readonly coresPerSocket: number;
  readonly threadsPerCore: number;
  /** What is plugged in, where firmware tells; otherwise what the kernel has. */
  readonly memoryBytes: number;
  /** Models. */
  readonly gpus: readonly Counted<string>[];
  /** Speeds of links that are up, in Mbit/s, the fastest first. */
  readonly ethernetMbps: readonly Counted<number>[];
  readonly infinibandMbps: readonly Counted<number>[];
  /** Sizes in bytes, the largest first. */
  readonly diskBytes: readonly Counted<number>[];
  /** Vendor and product. */
  readonly machine: string;
}

/** What of a report fits into one line of a list. */
export function planHardwareSummary(report: HardwareReport): HardwareSummary {
  const { slurm, memory, system } = report;
  const installed = memory.modules?.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    cpus: slurm.cpus,
    sockets: slurm.boards * slurm.socketsPerBoard,
    coresPerSocket: slurm.coresPerSocket,
    threadsPerCore: slurm.threadsPerCore,
    memoryBytes: installed === undefined || installed === 0 ? memory.totalBytes : installed,
    gpus: countEqual(report.gpus.map(({ model }) => model)),
    ethernetMbps: largestFirst(
      report.networks.flatMap(({ isUp, speedMbps }) => (isUp && speedMbps !== undefined ? [speedMbps] : [])),
    ),
    infinibandMbps: largestFirst(
      report.infiniband
        .flatMap(({ ports }) => ports)
        .flatMap(({ state, rateGbps }) =>
          /^active$/i.test(state) && rateGbps !== undefined ? [rateGbps * 1000] : [],
        ),
    ),
    diskBytes: largestFirst(report.disks.map(({ sizeBytes }) => sizeBytes)),
    machine: [system.vendor, system.product].filter((part) => part !== undefined && part !== "").join(" "),
  };
}

/** In the order in which each came first. */
export function countEqual<T>(values: readonly T[]): readonly Counted<T>[] {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => ({ count, value }));
}

function largestFirst(values: readonly number[]): readonly Counted<number>[] {
  return countEqual(values).toSorted((a, b) => b.value - a.value);
}
