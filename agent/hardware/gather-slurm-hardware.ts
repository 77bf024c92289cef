import type { SlurmHardware } from "#proto/contract/hardware-report.ts";

import type { SlurmVersion } from "./slurm-version.ts";

/** What one of Slurm's GPU plugins would find on the machine. */
export interface SlurmGpus {
  /** As slurmd names its way of finding them: "nvml", "nvidia", "rsmi", "oneapi". */
  readonly autodetect: string;
  /** Merged by type, in Slurm's order. Never empty. */
  readonly gres: SlurmHardware["gres"];
}

export interface SlurmFacts {
  readonly hardware: SlurmHardware;
  /** What slurmd complains about on stderr: sentences without a full stop. */
  readonly warnings: readonly string[];
}

/** What Slurm of that version finds on the machine whose root directory is `root` ("/": this one). */
export async function gatherSlurmHardware(root: string, version: SlurmVersion): Promise<SlurmFacts> {
  throw new Error(`not yet: ${root} ${version}`);
}
