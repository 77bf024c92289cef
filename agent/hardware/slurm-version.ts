/**
 * The releases of Slurm at which the text of `slurmd -C` or the way it counts changed. A release between two of
 * them prints what the older one prints.
 */
export const SLURM_VERSIONS = ["22.05", "23.02", "24.11", "25.11"] as const;

export type SlurmVersion = (typeof SLURM_VERSIONS)[number];

export const NEWEST_SLURM_VERSION: SlurmVersion = "25.11";

/** Whether `version` is `since` or newer. */
export function isSlurmAtLeast(version: SlurmVersion, since: SlurmVersion): boolean {
  return SLURM_VERSIONS.indexOf(version) >= SLURM_VERSIONS.indexOf(since);
}
