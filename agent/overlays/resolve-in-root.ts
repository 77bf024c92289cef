import { lstat, readlink } from "node:fs/promises";
import { join } from "node:path";

/** As many as the kernel follows (path_resolution(7), MAXSYMLINKS). */
const MAX_LINKS = 40;

/**
 * Where an absolute path of a root file system really is, on this machine: symbolic links are followed as the
 * booted node would follow them, an absolute target or ".." never leaves `root` (as openat2(2) does with
 * RESOLVE_IN_ROOT). Components that do not exist are taken literally. Throws on a loop of links. `readLink`: the
 * target of a link; undefined for everything else.
 *
 * resolveInRoot("/newroot", "/lib/modules") === "/newroot/usr/lib/modules" where /newroot/lib -> usr/lib
 */
export async function resolveInRoot(
  root: string,
  path: string,
  readLink: (path: string) => Promise<string | undefined> = linkTarget,
): Promise<string> {
  let pending = path.split("/");
  const done: string[] = [];
  for (let links = 0; pending.length > 0; ) {
    const [component = "", ...rest] = pending;
    pending = rest;
    if (component === "" || component === ".") continue;
    if (component === "..") {
      done.pop();
      continue;
    }
    const target = await readLink(join(root, ...done, component));
    if (target === undefined) {
      done.push(component);
      continue;
    }
    if (++links > MAX_LINKS) throw new Error(`${path}: too many levels of symbolic links`);
    if (target.startsWith("/")) done.length = 0;
    pending = [...target.split("/"), ...pending];
  }
  return join(root, ...done);
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
