import { type CpuSet, hasCpu, NO_CPUS, parseCpuList } from "./parse-cpu-set.ts";
import { isSlurmAtLeast, type SlurmVersion } from "./slurm-version.ts";
import type { TopologyFiles } from "./topology-files.ts";

/** Turbo steps of equal cores differ by less than this; hwloc then takes them for one kind. */
const SAME_KIND_PERCENT = 10;

interface Frequencies {
  readonly cpu: number;
  /** In MHz; 0 when unknown. */
  readonly max: number;
  readonly base: number;
}

/**
 * The CPUs Slurm keeps on an Intel machine with several kinds of core: those of the performance cores. undefined
 * when it keeps all: on every other machine, and before 23.02.
 *
 * hwloc sorts CPUs into kinds by core type and highest frequency. 23.02 keeps the first kind of performance
 * core, the slowest; 24.11 also whatever has the same frequency; 25.11 all kinds of performance core
 * (_remove_ecores of xcpuinfo.c). The core type comes from the performance counters in sysfs, as with hwloc 2.10 and
 * newer; older ones ask the CPUs themselves, and hwloc before 2.5 keeps everything.
 */
export function planPerformanceCores(files: TopologyFiles, version: SlurmVersion): CpuSet | undefined {
  if (!isSlurmAtLeast(version, "23.02") || files.performanceCores === undefined) return undefined;
  const performance = parseCpuList(files.performanceCores);
  const all = planFrequencies(files);
  const fast = all.filter(({ cpu }) => hasCpu(performance, cpu));
  if (fast.length === 0) return undefined;
  if (isSlurmAtLeast(version, "25.11")) return keepWithSameMaximum(all, fast);
  const [slowest] = fast.toSorted((one, other) => one.max - other.max || one.base - other.base);
  const first = fast.filter(({ max, base }) => max === slowest?.max && base === slowest.base);
  return isSlurmAtLeast(version, "24.11") ? keepWithSameMaximum(all, first) : setOf(first);
}

function keepWithSameMaximum(all: readonly Frequencies[], kept: readonly Frequencies[]): CpuSet {
  const maxima = new Set(kept.map(({ max }) => max).filter((max) => max > 0));
  return setOf([...kept, ...all.filter(({ max }) => maxima.has(max))]);
}

function setOf(cpus: readonly Frequencies[]): CpuSet {
  return cpus.reduce((all, { cpu }) => all | (1n << BigInt(cpu)), NO_CPUS);
}

/** Among CPUs with the same base frequency, slightly different maxima become the lowest of them. */
function planFrequencies({ cpus }: TopologyFiles): readonly Frequencies[] {
  const read = cpus.map(({ cpu, maxFrequency, baseFrequency }) => ({
    cpu,
    max: parseMhz(maxFrequency),
    base: parseMhz(baseFrequency),
  }));
  // hwloc leaves the maxima alone unless it knows the base of every CPU whose maximum it knows.
  if (read.some(({ max, base }) => max > 0 && base === 0)) return read;
  return read.map((cpu) => {
    const maxima = read.filter(({ base }) => base === cpu.base).map(({ max }) => max);
    const [lowest, highest] = [Math.min(...maxima), Math.max(...maxima)];
    const isOneKind = ((highest - lowest) / lowest) * 100 < SAME_KIND_PERCENT;
    return isOneKind ? { ...cpu, max: lowest } : cpu;
  });
}

/** sysfs writes kHz; hwloc cuts to MHz. */
function parseMhz(text: string | undefined): number {
  const khz = Number.parseInt(text ?? "", 10);
  return Number.isNaN(khz) ? 0 : Math.floor(khz / 1000);
}
