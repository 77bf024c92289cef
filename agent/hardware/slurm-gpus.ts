import type { SlurmHardware } from "#proto/contract/hardware-report.ts";

/** What one of Slurm's GPU plugins would find on a machine. */
export interface SlurmGpus {
  /** As slurmd names its way of finding them: "nvml", "nvidia", "rsmi", "oneapi". */
  readonly autodetect: string;
  /** Merged by type, in Slurm's order. Never empty. */
  readonly gres: SlurmHardware["gres"];
}
