import { lstat, mkdir, realpath, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

/**
 * Makes a text what a file says: in one step where it is a file, so that a full disk leaves what was there. Links are followed, and
 * what is no regular file (a pipe, /dev/stdout) is written to: replacing it would take /dev/null from the machine.
 */
export async function writeExportFile(path: string, text: string, mode: number): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  const target = found?.isSymbolicLink() === true ? await realpath(path).catch(() => undefined) : path;
  const isReplaced =
    target !== undefined &&
    (await stat(target).then(
      (file) => file.isFile(),
      () => true,
    ));
  if (isReplaced) await writeFileAtomically(target, text, mode);
  else await writeFile(path, text, { mode });
}

/**
 * Makes a directory and those above it; one that is there is right. mkdir() with `recursive` never comes back where mkdir(2) says
 * ENOENT of a directory that is there (/proc), and says ENOENT where the file system is read-only.
 */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await mkdir(path);
  }
}
