import { createHash } from "node:crypto";
import { dirname } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";

import { hasErrno, type NodeDisk } from "./node-disk.ts";
import { removeFile } from "./state-files.ts";

/**
 * Contents up to this size are kept, so that a local edit can be put right while no controller answers; a larger one is
 * fetched again. On a node whose root is in memory what is kept costs memory a second time, hence the limits.
 */
const MOST_KEPT_BYTES = 64 * 1024;
const MOST_KEPT_IN_ALL_BYTES = 8 * 1024 * 1024;

/** A file's content: "sha256:...", and how long it is. */
export interface FileContent {
  readonly digest: string;
  readonly sizeBytes: number;
}

/** Contents by digest, in a directory. What is there is whole and verified. */
export interface ContentStore {
  has(digest: string): Promise<boolean>;
  /** Throws `blob-corrupt` when these are other bytes, `disk-full`. */
  store(digest: string, content: Uint8Array): Promise<void>;
  /** Where a content that is fetched in pieces is to be put together, and what to call when it is verified. */
  openLarge(digest: string): { readonly path: string; readonly done: () => Promise<void> };
  /** What is about to be placed: the last place a larger content goes to gets the store's own file, not a copy. */
  expect(contents: readonly FileContent[]): void;
  /** A new file `staged` with the content, from the store or from the file at `place` if that has it. */
  placeCopy(content: FileContent, place: string, staged: string): Promise<void>;
  /** Drops everything but the smaller ones of these. */
  prune(wanted: readonly FileContent[]): Promise<void>;
}

export function openContentStore(disk: NodeDisk, directory: string): ContentStore {
  const pathOf = (digest: string): string => `${directory}/${digest.slice("sha256:".length)}`;
  const uses = new Map<string, number>();
  const has = async (digest: string): Promise<boolean> => (await disk.lstat(pathOf(digest))).type === "file";
  return {
    has,
    store: async (digest, content) => {
      if (sha256(content) !== digest) throw corrupt(digest, "arrived");
      if (await has(digest)) return;
      const next = `${pathOf(digest)}.new`;
      await removeFile(disk, next);
      try {
        await disk.writeFile(next, content);
        await disk.rename(next, pathOf(digest));
      } catch (error) {
        await removeFile(disk, next);
        throw isFull(error) ? diskFull(directory, "no space left", error) : error;
      }
    },
    openLarge: (digest) => {
      const path = `${pathOf(digest)}.new`;
      return { path, done: () => disk.rename(path, pathOf(digest)) };
    },
    expect: (contents) => {
      uses.clear();
      for (const { digest } of contents) uses.set(digest, (uses.get(digest) ?? 0) + 1);
    },
    placeCopy: async ({ digest, sizeBytes }, place, staged) => {
      const left = (uses.get(digest) ?? 1) - 1;
      uses.set(digest, left);
      if (await has(digest)) {
        const isMoved =
          left === 0 && sizeBytes > MOST_KEPT_BYTES && staged.startsWith(`${dirname(directory)}/`);
        return isMoved ? disk.rename(pathOf(digest), staged) : disk.copyFile(pathOf(digest), staged);
      }
      await disk.copyFile(place, staged);
      if ((await disk.digestOf(staged)) !== digest)
        throw corrupt(digest, `was changed at ${place} meanwhile, and`);
    },
    prune: async (wanted) => {
      const kept = new Set<string>();
      let total = 0;
      for (const { digest, sizeBytes } of wanted.toSorted((a, b) => a.sizeBytes - b.sizeBytes)) {
        const path = pathOf(digest);
        if (kept.has(path) || sizeBytes > MOST_KEPT_BYTES || total + sizeBytes > MOST_KEPT_IN_ALL_BYTES)
          continue;
        total += sizeBytes;
        kept.add(path);
      }
      for (const name of await disk.readdir(directory)) {
        const path = `${directory}/${name}`;
        if (!kept.has(path)) await removeFile(disk, path);
      }
    },
  };
}

/** Whether a failure means that a file system is full. */
export function isFull(error: unknown): boolean {
  return hasErrno(error, "ENOSPC", "EDQUOT", "ENOMEM");
}

/** What an update says that found no room; `where` is a directory or what was to be made. */
export function diskFull(where: string, why: string, cause?: unknown): MusterError {
  return new MusterError({
    code: "disk-full",
    what: `no space for the runtime overlay at ${where}: ${why}; nothing was changed`,
    fix: "free space on the node, give its root more (root size of the image), or make the overlay smaller",
    ...(cause === undefined ? {} : { cause }),
  });
}

function sha256(content: Uint8Array): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

function corrupt(digest: string, how: string): MusterError {
  return new MusterError({
    code: "blob-corrupt",
    what: `content ${digest} ${how} has other bytes than its digest says`,
    fix: "look at the memory and the network of node and controller; the node tries again by itself",
  });
}
