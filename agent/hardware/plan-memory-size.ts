/**
 * RealMemory in MiB, as slurmd reckons it: the number of pages is first cut to a float of 32 bits, which rounds
 * to even from 64 GiB on, then multiplied and cut (get_memory of get_mach_stat.c).
 */
export function planRealMemory(totalBytes: number, pageBytes: number): number {
  return Math.trunc(Math.fround(Math.floor(totalBytes / pageBytes)) * (pageBytes / 1_048_576));
}
