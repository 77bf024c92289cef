import { join } from "node:path";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";

import type { HardwarePaths } from "./hardware-paths.ts";
import { type CpuSet, hasCpu, listCpus, parseCpuList } from "./parse-cpu-set.ts";
import { parseCpuInfo } from "./parse-cpuinfo.ts";
import { parseProcessorVersion, type SmbiosStructure } from "./parse-smbios.ts";
import { known, listNames, readHead, readNumber, readText } from "./read-sysfs.ts";
import { renderCpuList } from "./render-cpu-list.ts";

type Cpu = HardwareReport["cpu"];

/**
 * The first CPU's part of /proc/cpuinfo is a few KiB. The rest says the same again, and older kernels interrupt
 * every CPU, with whatever runs there, to tell its frequency.
 */
const CPUINFO_HEAD_BYTES = 16 * 1024;

const CACHE_TYPES: Readonly<Record<string, Cpu["caches"][number]["type"]>> = {
  Data: "data",
  Instruction: "instruction",
  Unified: "unified",
};

/** The processors. `architecture` is what is said where /proc/cpuinfo does not tell. */
export function gatherCpu(
  paths: HardwarePaths,
  smbios: readonly SmbiosStructure[],
  architecture: string,
): Cpu {
  const facts = parseCpuInfo(readHead(paths.cpuInfo, CPUINFO_HEAD_BYTES) ?? "", architecture);
  const model = facts.model ?? parseProcessorVersion(smbios);
  const online = parseCpuList(readText(join(paths.cpus, "online")) ?? "");
  const present = parseCpuList(readText(join(paths.cpus, "present")) ?? "");
  const offline = present & ~online;
  return {
    ...facts,
    ...known({ model, maxMhz: gatherMaxMhz(paths) }),
    caches: gatherCaches(paths, online),
    ...(offline === 0n ? {} : { offline: renderCpuList(listCpus(offline)) }),
  };
}

/** The highest frequency of any CPU; a hybrid has several. */
function gatherMaxMhz(paths: HardwarePaths): number | undefined {
  const policies = join(paths.cpus, "cpufreq");
  const khz = listNames(policies)
    .filter((name) => /^policy\d+$/.test(name))
    .map((name) => readNumber(join(policies, name, "cpuinfo_max_freq")) ?? 0);
  const highest = Math.max(0, ...khz);
  return highest === 0 ? undefined : Math.round(highest / 1000);
}

/** Each cache once, however many CPUs share it; counted by level, type and size. */
function gatherCaches(paths: HardwarePaths, online: CpuSet): Cpu["caches"] {
  const seen = new Set<string>();
  const found = new Map<string, Cpu["caches"][number]>();
  for (const cpu of listCpus(online)) {
    const directory = join(paths.cpus, `cpu${cpu}`, "cache");
    for (const index of listNames(directory).filter((name) => name.startsWith("index"))) {
      const shared = readText(join(directory, index, "shared_cpu_list")) ?? String(cpu);
      // Only the first of those that share it says more: three files less for each of the others.
      if (seen.has(`${index}/${shared}`)) continue;
      seen.add(`${index}/${shared}`);
      if (!hasCpu(parseCpuList(shared), cpu)) continue;
      const level = readNumber(join(directory, index, "level"));
      const type = CACHE_TYPES[readText(join(directory, index, "type")) ?? ""];
      const [, kib] = /^(\d+)K$/.exec(readText(join(directory, index, "size")) ?? "") ?? [];
      if (level === undefined || type === undefined || kib === undefined) continue;
      const key = `${level}/${type}/${kib}`;
      const count = (found.get(key)?.count ?? 0) + 1;
      found.set(key, { level, type, sizeBytes: Number(kib) * 1024, count });
    }
  }
  return [...found.values()].sort(
    (a, b) => a.level - b.level || (a.type < b.type ? -1 : a.type > b.type ? 1 : a.sizeBytes - b.sizeBytes),
  );
}
