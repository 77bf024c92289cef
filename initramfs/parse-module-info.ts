/**
 * The firmware files a kernel module says it may ask for (MODULE_FIRMWARE): NUL-terminated
 * `firmware=PATH` strings in its .modinfo section, as modinfo(8) prints them. Sorted, each once.
 * The whole file is searched: only .modinfo holds such strings, and that spares an ELF reader.
 */
export function parseModuleFirmware(module: Buffer): readonly string[] {
  const found = new Set<string>();
  const key = Buffer.from("\0firmware=");
  // The first string of the section has no NUL of its own before it; section alignment leaves one there.
  for (let at = module.indexOf(key); at !== -1; at = module.indexOf(key, at + 1)) {
    const start = at + key.length;
    const end = module.indexOf(0, start);
    if (end === -1) break;
    const path = module.toString("utf8", start, end);
    if (/^[\w@+,. /-]+$/.test(path) && !path.split("/").includes("..")) found.add(path);
  }
  return [...found].sort();
}
