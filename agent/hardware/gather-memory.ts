import { join } from "node:path";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";

import { parseMemInfo } from "../boot/parse-meminfo.ts";
import type { HardwarePaths } from "./hardware-paths.ts";
import { parseMemoryModules, type SmbiosStructure } from "./parse-smbios.ts";
import { listNames, readText } from "./read-sysfs.ts";

/** What the kernel has, and what firmware says is plugged in. */
export function gatherMemory(
  paths: HardwarePaths,
  smbios: readonly SmbiosStructure[],
): HardwareReport["memory"] {
  const totalBytes = wholeMib(parseMemInfo(readText(paths.memInfo) ?? "", "MemTotal"));
  if (smbios.length === 0) return { totalBytes };
  return { totalBytes, modules: parseMemoryModules(smbios) };
}

/** NUMA nodes, in the order of their ids. One without CPUs (memory on a card, HBM) has an empty list of them. */
export function gatherNuma(paths: HardwarePaths): HardwareReport["numa"] {
  return listNames(paths.numaNodes)
    .filter((name) => /^node\d+$/.test(name))
    .map((name) => {
      const directory = join(paths.numaNodes, name);
      const [, kib = "0"] =
        /^Node \d+ MemTotal:\s+(\d+) kB$/m.exec(readText(join(directory, "meminfo")) ?? "") ?? [];
      return {
        id: Number(name.slice("node".length)),
        cpus: readText(join(directory, "cpulist")) ?? "",
        memoryBytes: wholeMib(Number(kib) * 1024),
        distances: (readText(join(directory, "distance")) ?? "").split(/\s+/).filter(Boolean).map(Number),
      };
    });
}

/** The kernel takes a page out of its total now and then, and gives it back. */
function wholeMib(bytes: number): number {
  return Math.floor(bytes / 1024 ** 2) * 1024 ** 2;
}
