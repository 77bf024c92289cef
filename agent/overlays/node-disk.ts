import { createHash } from "node:crypto";
import { type BigIntStats, constants, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import {
  chmod,
  copyFile,
  lchown,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rmdir,
  statfs,
  symlink,
  unlink,
} from "node:fs/promises";

import type { XattrsByPath, XattrTool } from "./extended-attributes.ts";
import { type Mount, mountOf, parseMountInfo } from "./parse-mount-info.ts";
import { inPinnedParent, withPinnedFile } from "./pin-parent.ts";

/** What a path is. */
export type PathType = "absent" | "file" | "symlink" | "directory" | "other";

/** What lstat(2) says of a path. */
export interface PathStat {
  readonly type: PathType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Device, inode, size, mtime and ctime: nobody can change a file and leave all of them as they were. */
  readonly fingerprint: string;
}

/**
 * Every effect the runtime overlay has on the node's file systems, one system call each where that is possible:
 * tests end the agent at every one of them. Paths are absolute on this machine; links are never followed in
 * the last component, and by what changes anything nowhere.
 */
export interface NodeDisk {
  lstat(path: string): Promise<PathStat>;
  readlink(path: string): Promise<string>;
  readdir(path: string): Promise<readonly string[]>;
  /** undefined when there is none. */
  readFile(path: string): Promise<Buffer | undefined>;
  /** "sha256:..." of a file's content. */
  digestOf(path: string): Promise<string>;
  /** Bytes that can still be written to the file system that holds a directory. */
  availableBytes(directory: string): Promise<number>;
  readXattrs(paths: readonly string[]): Promise<XattrsByPath>;

  makeDirectory(path: string, mode: number): Promise<void>;
  /** A new file, mode 0600, on stable storage when this returns. */
  writeFile(path: string, content: Uint8Array): Promise<void>;
  /** As writeFile; shares blocks where the file system can. */
  copyFile(from: string, to: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  lchown(path: string, uid: number, gid: number): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  setXattrs(xattrs: XattrsByPath): Promise<void>;
  /** Makes the names in a directory last through a power cut. */
  syncDirectory(path: string): Promise<void>;
}

/** What lstat(2) says of nothing. */
export const ABSENT: PathStat = { type: "absent", mode: 0, uid: 0, gid: 0, sizeBytes: 0, fingerprint: "" };

/**
 * File systems that answer at once or never will. Elsewhere a server that is gone holds whoever asks, for hours, and
 * that must be a thread and not the agent.
 */
const NEAR = new Set([
  "overlay",
  "tmpfs",
  "ramfs",
  "ext2",
  "ext3",
  "ext4",
  "xfs",
  "btrfs",
  "squashfs",
  "erofs",
]);
const MOUNTS_KNOWN_MS = 5_000;

/**
 * The disk of this machine. Looks at near file systems are made on the spot: through Node's threads each costs two
 * changes of context, and 1,000 files every five minutes more than everything else the agent does. `own`: a directory that
 * only root may enter, where nobody can put a link and so none is looked for: most of an update happens there.
 */
export function openNodeDisk(xattrs: XattrTool, mountInfo: string, own?: string): NodeDisk {
  let mounts: readonly Mount[] = [];
  let readAtMs = Number.NEGATIVE_INFINITY;
  const isNear = (path: string): boolean => {
    if (performance.now() - readAtMs > MOUNTS_KNOWN_MS) {
      mounts = parseMountInfo(attempt(() => readFileSync(mountInfo, "utf8")) ?? "");
      readAtMs = performance.now();
    }
    return NEAR.has(mountOf(mounts, path).type);
  };
  const isOwn = (path: string): boolean => own !== undefined && path.startsWith(`${own}/`);
  const pin = <T>(path: string, work: (pinned: string) => Promise<T>): Promise<T> =>
    isOwn(path) ? work(path) : inPinnedParent(path, isNear(path), work);
  const pinFile = <T>(path: string, work: (pinned: string) => Promise<T>): Promise<T> =>
    isOwn(path) ? work(path) : withPinnedFile(path, isNear(path), work);
  return {
    lstat: async (path) =>
      statOf(
        isNear(path)
          ? attempt(() => lstatSync(path, { bigint: true }))
          : await ifPresent(lstat(path, { bigint: true })),
      ),
    readlink: async (path) => (isNear(path) ? readlinkSync(path) : readlink(path)),
    readdir: async (path) => (isNear(path) ? readdirSync(path) : readdir(path)),
    readFile: async (path) => (isNear(path) ? attempt(() => readFileSync(path)) : ifPresent(readFile(path))),
    digestOf,
    availableBytes: async (directory) => {
      const { bavail, bsize } = await statfs(directory);
      return bavail * bsize;
    },
    readXattrs: (paths) => xattrs.read(paths),
    makeDirectory: (path, mode) => pin(path, (at) => mkdir(at, { mode }).then(() => undefined)),
    writeFile: (path, content) =>
      pin(path, async (at) => {
        await using file = await open(at, "wx", 0o600);
        await file.writeFile(content);
        await file.sync();
      }),
    copyFile: (from, to) =>
      pinFile(from, (source) =>
        pin(to, async (at) => {
          await copyFile(source, at, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
          await using file = await open(at, constants.O_RDONLY | constants.O_NOFOLLOW);
          await file.sync();
        }),
      ),
    symlink: (target, path) => pin(path, (at) => symlink(target, at)),
    link: (from, to) => pin(from, (source) => pin(to, (at) => link(source, at))),
    rename: (from, to) => pin(from, (source) => pin(to, (at) => rename(source, at))),
    unlink: (path) => pin(path, unlink),
    rmdir: (path) => pin(path, rmdir),
    lchown: (path, uid, gid) => pin(path, (at) => lchown(at, uid, gid)),
    chmod: (path, mode) => pinFile(path, (at) => chmod(at, mode)),
    setXattrs: (values) => xattrs.write(values),
    syncDirectory: async (path) => {
      await using directory = await open(path, "r");
      await directory.sync();
    },
  };
}

/** Removes a path and everything below it, through the disk's single effects; absent is fine. */
export async function removeTree(disk: NodeDisk, path: string): Promise<void> {
  const { type } = await disk.lstat(path);
  if (type === "absent") return;
  if (type !== "directory") return disk.unlink(path);
  for (const name of await disk.readdir(path)) await removeTree(disk, `${path}/${name}`);
  await disk.rmdir(path);
}

/** Whether a failed system call failed for one of these reasons. */
export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(error.code as string);
}

function statOf(stats: BigIntStats | undefined): PathStat {
  if (stats === undefined) return ABSENT;
  const type = stats.isFile()
    ? "file"
    : stats.isSymbolicLink()
      ? "symlink"
      : stats.isDirectory()
        ? "directory"
        : "other";
  return {
    type,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    sizeBytes: Number(stats.size),
    fingerprint: [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(":"),
  };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  // Not a link or a pipe that took the file's place since it was looked at.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  await using file = await open(path, flags);
  for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk as Buffer);
  return `sha256:${hash.digest("hex")}`;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

async function ifPresent<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((error: unknown) => {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  });
}
