import { join } from "node:path";

import type { SlurmHardware } from "#proto/contract/hardware-report.ts";
import { MusterError } from "#proto/contract/muster-error.ts";

import { parseMemInfo } from "../boot/parse-meminfo.ts";
import { gatherSlurmGpus } from "./gather-slurm-gpus.ts";
import { gatherTopologyFiles } from "./gather-topology-files.ts";
import { parsePageSize } from "./parse-page-size.ts";
import { planRealMemory } from "./plan-memory-size.ts";
import { planSlurmTopology } from "./plan-slurm-hardware.ts";
import { readBytes, readText } from "./read-sysfs.ts";
import type { SlurmGpus } from "./slurm-gpus.ts";
import type { SlurmVersion } from "./slurm-version.ts";

export interface SlurmFacts {
  readonly hardware: SlurmHardware;
  readonly gpus: readonly SlurmGpus[];
  /** What slurmd complains about on stderr: sentences without a full stop. */
  readonly warnings: readonly string[];
}

/**
 * What Slurm of that version finds on the machine whose root directory is `root` ("/": this one), under
 * SlurmdParameters (25.11 and newer). Throws `hardware-unreadable` when /sys or /proc do not tell.
 */
export async function gatherSlurmHardware(
  root: string,
  version: SlurmVersion,
  parameters?: string,
): Promise<SlurmFacts> {
  const counts = planSlurmTopology(gatherTopologyFiles(root), version, parameters);
  if (counts === undefined) {
    throw new MusterError({
      code: "hardware-unreadable",
      what: `${join(root, "sys/devices/system/cpu")} tells of no CPUs that Slurm could count`,
      fix: "give the directory that holds proc and sys of a machine; on the machine itself, mount /sys",
    });
  }
  const gpus = gatherSlurmGpus(root);
  return {
    // With several ways of finding GPUs Slurm takes the first that finds any.
    hardware: { ...counts.topology, realMemoryMib: readRealMemory(root), gres: gpus[0]?.gres ?? [] },
    gpus,
    warnings: counts.warnings,
  };
}

function readRealMemory(root: string): number {
  const path = join(root, "proc/meminfo");
  const total = parseMemInfo(readText(path) ?? "", "MemTotal");
  if (total === 0) {
    throw new MusterError({ code: "hardware-unreadable", what: `${path} does not tell the size of memory` });
  }
  return planRealMemory(total, parsePageSize(readBytes(join(root, "proc/self/auxv"))));
}
