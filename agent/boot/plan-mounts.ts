import { join } from "node:path";

import { type BootPlan, RootMode } from "#proto/gen/muster/v1/provisioning.ts";

import type { HostPaths } from "../host-paths.ts";

/** One step of assembling the new root. */
export type MountStep =
  | { readonly kind: "tmpfs"; readonly target: string; readonly size: string; readonly mode: string }
  | { readonly kind: "squashfs"; readonly file: string; readonly target: string }
  /** Directories below mount points, after those are mounted. */
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | {
      readonly kind: "overlay";
      readonly target: string;
      /** Topmost first, as overlayfs counts. */
      readonly lower: readonly string[];
      readonly upper: string;
      readonly work: string;
    }
  | { readonly kind: "unpack"; readonly file: string; readonly target: string }
  | { readonly kind: "copy-tree"; readonly from: string; readonly target: string }
  | { readonly kind: "remove"; readonly path: string }
  /** Does nothing when the image has no such file. */
  | { readonly kind: "restore-acls"; readonly file: string; readonly target: string };

/** Squashfs keeps no POSIX ACLs; an import lists them in this file of the image, in setfacl(1)'s form. */
const ACL_FILE = "usr/lib/muster/image.acl";

/** The mount that holds fetched blobs: as large as they are together, rounded up to pages, and no larger. */
export function planBlobStoreMount(paths: HostPaths, blobBytes: number): MountStep {
  const MIB = 1024 * 1024;
  return {
    kind: "tmpfs",
    target: paths.blobs,
    size: `${Math.ceil(blobBytes / MIB) + 4}m`,
    mode: "0700",
  };
}

/**
 * The steps from verified layer files (lowest first) to a root file system on `paths.newRoot`.
 *
 * squashfs mode: layers stay packed in memory; writes go to a tmpfs. tmpfs mode: everything is unpacked, and
 * each packed file is removed as soon as its content is out. The agent's own layer is topmost in both.
 */
export function planMounts(
  paths: HostPaths,
  plan: BootPlan,
  layerFiles: readonly string[],
): readonly MountStep[] {
  const size = plan.rootSizeBytes === 0 ? "50%" : String(plan.rootSizeBytes);
  const steps =
    plan.rootMode === RootMode.TMPFS
      ? planUnpacked(paths, size, layerFiles)
      : planLayered(paths, size, layerFiles);
  const target = paths.newRoot;
  return [...steps, { kind: "restore-acls", file: join(target, ACL_FILE), target }];
}

function planLayered(paths: HostPaths, size: string, layerFiles: readonly string[]): readonly MountStep[] {
  const targets = layerFiles.map((_, index) => join(paths.layers, String(index)));
  const upper = join(paths.writable, "upper");
  const work = join(paths.writable, "work");
  return [
    ...layerFiles.map((file, index) => ({ kind: "squashfs" as const, file, target: targets[index] ?? "" })),
    { kind: "tmpfs", target: paths.writable, size, mode: "0755" },
    { kind: "directory", path: upper, mode: 0o755 },
    { kind: "directory", path: work, mode: 0o755 },
    {
      kind: "overlay",
      target: paths.newRoot,
      lower: [paths.agentLayer, ...targets.toReversed()],
      upper,
      work,
    },
  ];
}

function planUnpacked(paths: HostPaths, size: string, layerFiles: readonly string[]): readonly MountStep[] {
  const target = paths.newRoot;
  return [
    { kind: "tmpfs", target, size, mode: "0755" },
    ...layerFiles.flatMap((file): MountStep[] => [
      { kind: "unpack", file, target },
      { kind: "remove", path: file },
    ]),
    { kind: "copy-tree", from: paths.agentLayer, target },
    { kind: "directory", path: target, mode: 0o755 },
  ];
}
