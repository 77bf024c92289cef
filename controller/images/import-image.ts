import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat, statfs } from "node:fs/promises";
import type { Readable } from "node:stream";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";
import type { BlobReference, ImageVersion } from "../inventory/inventory.ts";
import { checkTree, findKernel } from "./find-kernel.ts";
import { packImage } from "./pack-image.ts";

/** What is to be imported. */
export interface ImportRequest {
  /** Directory tree of the image. */
  readonly tree: string;
  readonly name: string;
  /** Said in the listing of versions. */
  readonly source: string;
  /** Where the packed image lies until it is uploaded: $TMPDIR, or what the operator chose. */
  readonly temporaryDirectory: string;
  readonly userId: number;
}

/** A step of an import as it begins, or how far packing is. */
export type ImportProgress =
  | { readonly step: "kernel"; readonly release: string }
  | { readonly step: "pack"; readonly percent: number }
  | { readonly step: "modules" }
  | { readonly step: "upload"; readonly what: "kernel" | "modules" | "root"; readonly sizeBytes: number }
  | { readonly step: "register" };

/** What an import does to the world outside its temporary directory. */
export interface ImportEffects {
  /** Sends a blob to the store; the controller answers with its digest. */
  upload(content: Readable, sizeBytes: number, signal: AbortSignal): Promise<BlobReference>;
  /** Makes the new version known. */
  register(version: Omit<ImageVersion, "version" | "createdAt">, signal: AbortSignal): Promise<ImageVersion>;
  /** Runs the program muster-initramfs with these arguments; throws when it fails. */
  runInitramfs(args: readonly string[], signal: AbortSignal): Promise<void>;
  onProgress(progress: ImportProgress): void;
}

const PREFIX = "muster-import-";
/** Packed images are about a third of their tree; half is asked for, so that the disk has room for others. */
const SPACE_SHARE = 0.5;

/**
 * Imports a directory tree as the next version of an image: finds its kernel, packs it, builds its modules
 * archive, uploads the three blobs, registers the version. Nothing is registered unless all of it worked;
 * a crash leaves a temporary directory that the next import removes.
 */
export async function importImage(
  request: ImportRequest,
  effects: ImportEffects,
  signal: AbortSignal,
): Promise<ImageVersion> {
  const tree = await checkTree(request.tree);
  const kernel = await findKernel(tree);
  effects.onProgress({ step: "kernel", release: kernel.release });
  await removeLeftovers(request.temporaryDirectory);
  await requireSpace(tree, request.temporaryDirectory, signal);
  const scratch = await mkdtemp(`${request.temporaryDirectory}/${PREFIX}${process.pid}-`);
  try {
    const root = `${scratch}/root.squashfs`;
    // mksquashfs first says how far it is when its output buffer is full: of a small image, at the end.
    effects.onProgress({ step: "pack", percent: 0 });
    await packImage(
      {
        tree,
        out: root,
        scratch,
        compression: kernel.features.squashfsCompression,
        userId: request.userId,
        onPercent: (percent) => {
          effects.onProgress({ step: "pack", percent });
        },
      },
      signal,
    );
    effects.onProgress({ step: "modules" });
    const modules = `${scratch}/modules.cpio`;
    const compression = kernel.features.initramfsCompression;
    await effects.runInitramfs(
      ["modules", "--tree", tree, "--kernel", kernel.release, "--compression", compression, "--out", modules],
      signal,
    );
    const upload = async (what: "kernel" | "modules" | "root", path: string): Promise<BlobReference> => {
      const { size } = await stat(path);
      effects.onProgress({ step: "upload", what, sizeBytes: size });
      return effects.upload(createReadStream(path), size, signal);
    };
    const blobs = {
      kernel: await upload("kernel", kernel.path),
      modules: await upload("modules", modules),
      layers: [await upload("root", root)],
    };
    effects.onProgress({ step: "register" });
    return await effects.register(
      {
        image: request.name,
        kernelRelease: kernel.release,
        architecture: kernel.architecture,
        features: kernel.features,
        source: request.source,
        ...blobs,
      },
      signal,
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Directories of imports whose process is gone. Another user's stay: they cannot be removed, and are no concern. */
async function removeLeftovers(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(directory)) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-\\w{6}$`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(`${directory}/${name}`, { recursive: true, force: true }).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function requireSpace(tree: string, directory: string, signal: AbortSignal): Promise<void> {
  // Not the exit status: du complains about files that vanish in /proc, and its sum is an estimate anyway.
  const { stdout } = await runCommandUnchecked(
    { program: "du", args: ["-skx", "--", tree], deadlineMs: 600_000 },
    signal,
  );
  const treeBytes = Number(/^\d+/.exec(stdout)?.[0] ?? 0) * 1024;
  const space = await statfs(directory);
  const free = space.bavail * space.bsize;
  const needed = Math.ceil(treeBytes * SPACE_SHARE);
  if (free >= needed) return;
  const mib = (bytes: number): number => Math.ceil(bytes / 1024 ** 2);
  throw new MusterError({
    code: "disk-full",
    what: `${directory} has ${mib(free)} MiB free; packing ${tree} may need ${mib(needed)} MiB`,
    fix: "free space there, or choose another place with --temporary-directory",
  });
}
