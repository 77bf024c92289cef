import { readdir, readFile } from "node:fs/promises";

/**
 * A file of /proc or /sys as text, trimmed; undefined when the kernel has no such file or no answer for it
 * (`carrier` of an interface that is down fails with EINVAL, DMI fields can be unreadable).
 */
export async function readHostFile(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch {
    return undefined;
  }
}

/** Names in a directory of /sys, sorted; empty when there is none. */
export async function listHostDirectory(path: string): Promise<readonly string[]> {
  try {
    return (await readdir(path)).toSorted();
  } catch {
    return [];
  }
}
