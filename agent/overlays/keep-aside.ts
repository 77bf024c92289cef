import type { NodeDisk } from "./node-disk.ts";
import { hasErrno } from "./node-disk.ts";

/**
 * Keeps what is at `from` also at `to`, where nothing is: the same file under a second name, with its owner, ACL,
 * label and all, or, where the file system has no second names or is another one, a copy as faithful as one can be.
 * A directory is made anew with everything in it. `from` stays as it is.
 */
export async function keepAside(disk: NodeDisk, from: string, to: string): Promise<void> {
  const { type } = await disk.lstat(from);
  if (type === "directory") return copyDirectory(disk, from, to);
  try {
    await disk.link(from, to);
  } catch (error) {
    // EPERM: no second names on this file system, or the file is immutable; the copy or the commit will tell.
    if (!hasErrno(error, "EXDEV", "EPERM", "EMLINK", "EOPNOTSUPP")) throw error;
    await copyOne(disk, from, to);
  }
}

async function copyDirectory(disk: NodeDisk, from: string, to: string): Promise<void> {
  await disk.makeDirectory(to, 0o700);
  for (const name of await disk.readdir(from)) await keepAside(disk, `${from}/${name}`, `${to}/${name}`);
  await copyAttributes(disk, from, to);
}

async function copyOne(disk: NodeDisk, from: string, to: string): Promise<void> {
  const { type } = await disk.lstat(from);
  switch (type) {
    case "file":
      await disk.copyFile(from, to);
      break;
    case "symlink":
      await disk.symlink(await disk.readlink(from), to);
      break;
    default:
      throw new Error(`${from} is a device, a pipe or a socket on another file system: it cannot be kept`);
  }
  await copyAttributes(disk, from, to);
}

/** In this order: chown clears set-id bits and file capabilities (chown(2), capabilities(7)). */
async function copyAttributes(disk: NodeDisk, from: string, to: string): Promise<void> {
  const { type, mode, uid, gid } = await disk.lstat(from);
  await disk.lchown(to, uid, gid);
  if (type !== "symlink") await disk.chmod(to, mode);
  const xattrs = (await disk.readXattrs([from])).get(from);
  if (xattrs !== undefined) await disk.setXattrs(new Map([[to, xattrs]]));
}
