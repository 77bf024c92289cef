import { createHash } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";

import { type Digest, digestOfHex } from "#proto/contract/digest.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { renderConfigFindings } from "../config/config-finding.ts";
import type { BlobStore } from "../images/blob-store.ts";
import { type OverlayReaction, parseOverlaySettings } from "./parse-overlay-settings.ts";
import type { OverlayLayer, RuntimeItem } from "./plan-runtime-manifest.ts";
import { MAX_INLINE_FILE_BYTES, type OverlayItem } from "./plan-system-overlay.ts";
import { openOverlayReader } from "./read-overlay-tree.ts";

/** Where the bytes of a file are: at hand, in the tree (verify them when they are read), or in the blob store. */
export type StoredContent = { readonly sizeBytes: number } & (
  | { readonly in: "memory"; readonly bytes: Buffer }
  | { readonly in: "file"; readonly path: string }
  | { readonly in: "blobs" }
);

/** One overlay as it was at one moment. */
export interface OverlaySnapshot extends OverlayLayer {
  readonly contents: ReadonlyMap<Digest, StoredContent>;
}

/** Reads one overlay again and again; files that did not change since are not read again. */
export interface SnapshotReader {
  /**
   * Tree and settings of the overlay. `onDirectory` is told of each directory it lies in, before that is read.
   * Throws `overlay-invalid` with everything that is wrong, `disk-full` when the blob store is.
   */
  read(onDirectory: (path: string) => void): Promise<OverlaySnapshot>;
}

/** Contents kept in memory for one overlay; beyond that they are read from the tree when a node asks. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;
const MAX_SETTINGS_BYTES = 256 * 1024;
const READ_AT_ONCE = 16;
const ATTEMPTS = 3;
/** Two writes within one tick of the kernel's clock leave the same times: so young a file is read again next time. */
const TICK_MS = 50;

interface Known {
  readonly version: string;
  readonly digest: Digest;
  readonly content: StoredContent;
}

export function openSnapshotReader(
  overlaysRoot: string,
  name: string,
  blobs: Pick<BlobStore, "put" | "renew">,
): SnapshotReader {
  const trees = openOverlayReader(overlaysRoot);
  let known = new Map<string, Known>();

  return {
    read: async (onDirectory) => {
      const directory = join(overlaysRoot, name);
      // The one above too: it tells when this overlay comes into being.
      onDirectory(overlaysRoot);
      onDirectory(directory);
      const items = await trees.read(name, onDirectory);
      const reactions = await readSettings(join(directory, "overlay.yaml"), name);
      const next = new Map<string, Known>();
      let held = 0;
      const readItem = async (item: OverlayItem): Promise<RuntimeItem> => {
        const { kind } = item;
        if (kind.type !== "file") return { ...item, kind };
        if ("bytes" in kind.content) throw new Error("a tree has its files on disk");
        const path = kind.content.sourcePath;
        const read = await readFile(path, known.get(path), blobs, held < MAX_HELD_BYTES);
        if (read.content.in === "memory") held += read.content.sizeBytes;
        if (!read.isYoung) next.set(path, read);
        contents.set(read.digest, read.content);
        return { ...item, kind: { type: "file", digest: read.digest, sizeBytes: read.content.sizeBytes } };
      };
      const contents = new Map<Digest, StoredContent>();
      const read: RuntimeItem[] = [];
      for (let at = 0; at < items.length; at += READ_AT_ONCE) {
        read.push(
          ...(await Promise.all(items.slice(at, at + READ_AT_ONCE).map(readItem)).catch(refuse(name))),
        );
      }
      known = next;
      return { items: read, reactions, contents };
    },
  };
}

/** The file as one moment had it: one that was written meanwhile is read again. */
async function readFile(
  path: string,
  before: Known | undefined,
  blobs: Pick<BlobStore, "put" | "renew">,
  hold: boolean,
): Promise<Known & { readonly isYoung: boolean }> {
  for (let attempt = 1; ; attempt += 1) {
    await using file = await openPlain(path);
    const stats = await file.stat({ bigint: true });
    const version = versionOf(stats);
    const isYoung = Date.now() - Number(stats.ctimeMs) < TICK_MS;
    if (before?.version === version && isStillThere(before, blobs, hold)) return { ...before, isYoung };
    const read = await readContent(file, path, stats, blobs, hold);
    const after = versionOf(await file.stat({ bigint: true }));
    if (after === version && read.content.sizeBytes === Number(stats.size))
      return { version, ...read, isYoung };
    if (attempt === ATTEMPTS) throw new Error(`${path} changes while it is read`);
  }
}

function isStillThere({ digest, content }: Known, blobs: Pick<BlobStore, "renew">, hold: boolean): boolean {
  switch (content.in) {
    case "blobs":
      return blobs.renew(digest);
    case "memory":
      return hold;
    case "file":
      return !hold;
    default:
      return content satisfies never;
  }
}

async function readContent(
  file: FileHandle,
  path: string,
  stats: BigIntStats,
  blobs: Pick<BlobStore, "put">,
  hold: boolean,
): Promise<Pick<Known, "digest" | "content">> {
  if (stats.size > MAX_INLINE_FILE_BYTES) {
    const { digest, sizeBytes } = await blobs.put(file.createReadStream({ autoClose: false }));
    return { digest, content: { in: "blobs", sizeBytes } };
  }
  const bytes = await file.readFile();
  const digest = digestOf(bytes);
  const sizeBytes = bytes.length;
  return { digest, content: hold ? { in: "memory", sizeBytes, bytes } : { in: "file", sizeBytes, path } };
}

/** The bytes of a content that is not in the blob store; undefined when the file is no longer what it was. */
export async function readStoredContent(digest: Digest, content: StoredContent): Promise<Buffer | undefined> {
  if (content.in === "memory") return content.bytes;
  if (content.in === "blobs") throw new Error("blobs are fetched from the blob servers");
  try {
    await using file = await openPlain(content.path);
    const { size } = await file.stat();
    const bytes = size === content.sizeBytes ? await file.readFile() : Buffer.alloc(0);
    return digestOf(bytes) === digest ? bytes : undefined;
  } catch {
    return undefined; // deleted or replaced: the overlay has changed, and is read again
  }
}

function digestOf(bytes: Uint8Array): Digest {
  return digestOfHex(createHash("sha256").update(bytes).digest("hex"));
}

/** O_NOFOLLOW, O_NONBLOCK: what was a plain file when the tree was read may be a link or a pipe by now. */
async function openPlain(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Error(`${path} is not a plain file`);
}

function versionOf({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}

async function readSettings(path: string, name: string): Promise<readonly OverlayReaction[]> {
  const text = await readText(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    return refuse(name)(error);
  });
  const { settings, findings } = parseOverlaySettings(text);
  if (settings !== undefined) return settings.reactions;
  throw new MusterError({
    code: "overlay-invalid",
    what: `overlay ${name}: ${renderConfigFindings(path, findings.slice(0, 20)).join("; ")}`,
    fix: `correct ${path}; nodes keep what they have until then`,
  });
}

async function readText(path: string): Promise<string> {
  await using file = await openPlain(path);
  const { size } = await file.stat();
  if (size > MAX_SETTINGS_BYTES) throw new Error(`${path} has ${size} bytes; it may have 256 KiB`);
  return await file.readFile("utf8");
}

function refuse(name: string): (cause: unknown) => never {
  return (cause) => {
    if (cause instanceof MusterError) throw cause;
    const isDenied =
      cause instanceof Error && "code" in cause && (cause.code === "EACCES" || cause.code === "EPERM");
    const path = isDenied && "path" in cause ? String(cause.path) : undefined;
    throw new MusterError({
      code: "overlay-invalid",
      what: `overlay ${name} cannot be read: ${errorSentence(cause)}`,
      fix:
        path === undefined
          ? "see that nothing else writes into it all the time; it is read again within a minute"
          : `musterd has an account of its own: let it read the file (setfacl -m u:muster:r ${path}; directories: u:muster:rx ${dirname(path)})`,
      cause,
    });
  };
}
