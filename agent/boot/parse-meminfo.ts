/** A field of /proc/meminfo in bytes (proc_meminfo(5): values are in KiB); 0 when it is not there. */
export function parseMemInfo(text: string, field: "MemTotal" | "MemAvailable"): number {
  const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text) ?? [];
  return kib === undefined ? 0 : Number(kib) * 1024;
}
