import { createHash, type Hash, randomBytes } from "node:crypto";
import { constants, createReadStream, statSync, unlinkSync, utimesSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs, unlink } from "node:fs/promises";
import { dirname } from "node:path";

import { type Digest, digestHex, digestOfHex, shortDigest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { BlobReference } from "../inventory/inventory.ts";
import type { BlobStore } from "./blob-store.ts";

/** What {@link openBlobStore} needs to know. */
export interface BlobStoreOptions {
  /** <state>/blobs: holds sha256/, corrupt/ and tmp/. Made when it is missing. */
  readonly directory: string;
  /** Told when a blob was found corrupt and moved to `movedTo`. */
  readonly onCorrupt?: (digest: Digest, movedTo: string) => void;
}

/** Facts of a file that change when its content does, unless someone hides it. */
interface Stamp {
  readonly size: bigint;
  readonly mtime: bigint;
  readonly inode: bigint;
}

const READ_BYTES = 1024 * 1024;

/**
 * Opens the store, makes its directories and removes what a crash left in tmp/. One process at a time may
 * write to a store; any number may read `pathOf`, whose files are never changed in place.
 */
export async function openBlobStore(options: BlobStoreOptions): Promise<BlobStore> {
  const { directory } = options;
  const temporary = `${directory}/tmp`;
  const quarantine = `${directory}/corrupt`;
  await rm(temporary, { recursive: true, force: true });
  for (const path of [`${directory}/sha256`, temporary, quarantine]) {
    await mkdir(path, { recursive: true, mode: 0o750 });
  }
  const verified = new Map<Digest, Stamp>();
  const verifying = new Map<Digest, Promise<"ok" | "missing" | "corrupt">>();

  const pathOf = (digest: Digest): string => {
    const hex = digestHex(digest);
    return `${directory}/sha256/${hex.slice(0, 2)}/${hex}`;
  };

  const readAndCompare = async (digest: Digest): Promise<"ok" | "missing" | "corrupt"> => {
    const path = pathOf(digest);
    const before = await stampOf(path);
    if (before === undefined) return "missing";
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) {
      hash.update(chunk as Buffer);
    }
    const same = digestOfHex(hash.digest("hex")) === digest;
    const after = await stampOf(path);
    if (after === undefined) return "missing";
    // Replaced while it was read (stored again): what was read is not what is there.
    if (!sameStamp(before, after)) return readAndCompare(digest);
    if (same) {
      verified.set(digest, after);
      return "ok";
    }
    verified.delete(digest);
    const movedTo = `${quarantine}/${digestHex(digest)}`;
    await rename(path, movedTo);
    await syncDirectory(dirname(path));
    options.onCorrupt?.(digest, movedTo);
    return "corrupt";
  };

  /** Two who ask at once share one reading. */
  const verify = (digest: Digest): Promise<"ok" | "missing" | "corrupt"> => {
    const running = verifying.get(digest);
    if (running !== undefined) return running;
    const started = readAndCompare(digest).finally(() => verifying.delete(digest));
    verifying.set(digest, started);
    return started;
  };

  const isVerified = async (digest: Digest): Promise<boolean> => {
    const known = verified.get(digest);
    const now = await stampOf(pathOf(digest));
    return known !== undefined && now !== undefined && sameStamp(known, now);
  };

  /** All in one turn of the event loop, so that neither a second renewal nor garbage collection comes in between. */
  const renew = (digest: Digest): boolean => {
    const known = verified.get(digest);
    const before = stampNow(pathOf(digest));
    if (known === undefined || before === undefined || !sameStamp(known, before)) return false;
    if (!refresh(pathOf(digest))) return false;
    const after = stampNow(pathOf(digest));
    if (after !== undefined) verified.set(digest, after);
    return after !== undefined;
  };

  /** Stores under its digest what a temporary file holds. */
  const keep = async (file: string, digest: Digest): Promise<void> => {
    const path = pathOf(digest);
    await mkdir(dirname(path), { recursive: true, mode: 0o750 });
    // Over the one that is there, if any: this content was hashed a moment ago, that one may have rotted.
    await rename(file, path);
    await syncDirectory(dirname(path));
    await syncDirectory(`${directory}/sha256`);
    const stamp = await stampOf(path);
    if (stamp !== undefined) verified.set(digest, stamp);
  };

  const put = async (content: AsyncIterable<Uint8Array>, expected?: Digest): Promise<BlobReference> => {
    if (expected !== undefined && renew(expected)) {
      const hash = createHash("sha256");
      const sizeBytes = await consume(content, hash);
      requireDigest(digestOfHex(hash.digest("hex")), expected);
      return { digest: expected, sizeBytes };
    }
    const file = `${temporary}/${randomBytes(8).toString("hex")}`;
    try {
      const hash = createHash("sha256");
      const handle = await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o440);
      let sizeBytes: number;
      try {
        sizeBytes = await consume(content, hash, handle);
        await handle.sync();
      } finally {
        await handle.close();
      }
      const digest = digestOfHex(hash.digest("hex"));
      if (expected !== undefined) requireDigest(digest, expected);
      await keep(file, digest);
      return { digest, sizeBytes };
    } catch (error) {
      await unlink(file).catch(() => undefined);
      throw await explainDiskFull(error, directory);
    }
  };

  const list = async (): Promise<readonly BlobReference[]> => {
    const found: BlobReference[] = [];
    for (const prefix of (await readdir(`${directory}/sha256`)).sort()) {
      for (const name of (await readdir(`${directory}/sha256/${prefix}`)).sort()) {
        if (!/^[0-9a-f]{64}$/.test(name) || !name.startsWith(prefix)) continue;
        const facts = await stat(`${directory}/sha256/${prefix}/${name}`).catch(() => undefined);
        if (facts?.isFile() === true) found.push({ digest: digestOfHex(name), sizeBytes: facts.size });
      }
    }
    return found;
  };

  return {
    put,
    renew,
    pathOf,
    verify,
    list,
    async sizeOf(digest) {
      const stamp = await stampOf(pathOf(digest));
      return stamp === undefined ? undefined : Number(stamp.size);
    },
    async verifiedPath(digest) {
      const state = (await isVerified(digest)) ? "ok" : await verify(digest);
      if (state === "ok") return pathOf(digest);
      throw new MusterError({
        code: state === "missing" ? "blob-missing" : "blob-corrupt",
        what:
          state === "missing"
            ? `blob ${shortDigest(digest)} is not in the store`
            : `blob ${shortDigest(digest)} does not have its digest and was moved to ${quarantine}`,
        fix: "import the image again (muster image import); if this happens more than once, check the disk and memory of the controller",
      });
    },
    async collectGarbage(referenced, graceMs, now) {
      const oldest = now.getTime() - graceMs;
      let removed = 0;
      let freedBytes = 0;
      for (const { digest } of await list()) {
        if (referenced.has(digest)) continue;
        const size = removeOlder(pathOf(digest), oldest);
        if (size === undefined) continue;
        verified.delete(digest);
        removed++;
        freedBytes += size;
      }
      for (const name of await readdir(quarantine)) removeOlder(`${quarantine}/${name}`, oldest);
      return { removed, freedBytes };
    },
  };
}

/**
 * Look and remove in one turn of the event loop: a `put` that finds the blob there refreshes its time in
 * one turn too, so neither can come between the other's two steps.
 */
function removeOlder(path: string, oldestMs: number): number | undefined {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined || facts.mtimeMs > oldestMs) return undefined;
  unlinkSync(path);
  return facts.size;
}

/** Gives a blob a new grace period; false when it is gone. */
function refresh(path: string): boolean {
  try {
    const now = new Date();
    utimesSync(path, now, now);
    return true;
  } catch {
    return false;
  }
}

async function consume(content: AsyncIterable<Uint8Array>, hash: Hash, into?: FileHandle): Promise<number> {
  let size = 0;
  for await (const chunk of content) {
    hash.update(chunk);
    size += chunk.length;
    if (into !== undefined) await writeAll(into, chunk);
  }
  return size;
}

/** A write can be short; only the next one says why. */
async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, at);
    at += bytesWritten;
  }
}

function requireDigest(digest: Digest, expected: Digest): void {
  if (digest === expected) return;
  throw new MusterError({
    code: "blob-corrupt",
    what: `content was announced as ${shortDigest(expected)} but is ${shortDigest(digest)}; it was not stored`,
    fix: "send it again; it was changed or cut off on its way",
  });
}

async function explainDiskFull(error: unknown, directory: string): Promise<unknown> {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  const space = await statfs(directory).catch(() => undefined);
  const free =
    space === undefined ? "" : ` (${Math.floor((space.bavail * space.bsize) / 1024 ** 2)} MiB free)`;
  return new MusterError({
    code: "disk-full",
    what: `no space left in ${directory}${free}; nothing of the blob was kept`,
    fix: "delete image versions that no node boots (muster image delete), or enlarge the file system",
    cause: error,
  });
}

async function stampOf(path: string): Promise<Stamp | undefined> {
  try {
    const facts = await stat(path, { bigint: true });
    return { size: facts.size, mtime: facts.mtimeNs, inode: facts.ino };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function stampNow(path: string): Stamp | undefined {
  const facts = statSync(path, { bigint: true, throwIfNoEntry: false });
  return facts === undefined ? undefined : { size: facts.size, mtime: facts.mtimeNs, inode: facts.ino };
}

function sameStamp(a: Stamp, b: Stamp): boolean {
  return a.size === b.size && a.mtime === b.mtime && a.inode === b.inode;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
