import type { Digest } from "#proto/contract/digest.ts";
import {
  DriftPolicy,
  type ManifestEntry,
  type Reaction,
  type RuntimeManifest,
} from "#proto/gen/muster/v1/overlay.ts";
import type { OverlayReaction } from "./parse-overlay-settings.ts";
import { planMergedPaths } from "./plan-merged-paths.ts";
import type { OverlayItem } from "./plan-system-overlay.ts";

/** One path of a runtime overlay: as {@link OverlayItem}, with contents by their digest. */
export type RuntimeItem = Omit<OverlayItem, "kind"> & {
  readonly kind:
    | { readonly type: "file"; readonly digest: Digest; readonly sizeBytes: number }
    | Exclude<OverlayItem["kind"], { readonly type: "file" }>;
};

/** What one overlay puts into a manifest. */
export interface OverlayLayer {
  readonly items: readonly RuntimeItem[];
  readonly reactions: readonly OverlayReaction[];
}

/**
 * The manifest of a node with these overlays, the first lowest; see {@link planMergedPaths} for how they merge.
 * The same command for several globs is one reaction, with the longest of its deadlines: it runs once.
 * Equal layers give equal manifests, down to the order of extended attributes.
 */
export function planRuntimeManifest(
  layers: readonly OverlayLayer[],
  onDrift: "repair" | "report",
): RuntimeManifest {
  const entries: ManifestEntry[] = [];
  for (const { path, cleared, item } of planMergedPaths(layers.map((layer) => layer.items))) {
    if (cleared) entries.push(deletionOf(path));
    if (item !== undefined) entries.push(entryOf(item));
  }
  return {
    entries,
    reactions: mergeReactions(layers.flatMap((layer) => layer.reactions)),
    driftPolicy: onDrift === "repair" ? DriftPolicy.REPAIR : DriftPolicy.REPORT,
  };
}

function mergeReactions(reactions: readonly OverlayReaction[]): Reaction[] {
  const merged = new Map<string, Reaction>();
  for (const { glob, command, deadlineSeconds } of reactions) {
    const known = merged.get(command) ?? { globs: [], command, deadlineSeconds };
    merged.set(command, {
      command,
      globs: known.globs.includes(glob) ? known.globs : [...known.globs, glob],
      deadlineSeconds: Math.max(known.deadlineSeconds, deadlineSeconds),
    });
  }
  return [...merged.values()];
}

function entryOf({ path, mode, uid, gid, xattrs, kind }: RuntimeItem): ManifestEntry {
  const sorted = Object.fromEntries(Object.entries(xattrs).sort(([a], [b]) => (a < b ? -1 : 1)));
  const entry = { path, mode, uid, gid, xattrs: sorted };
  switch (kind.type) {
    case "directory":
      return { ...entry, kind: { $case: "directory", value: true } };
    case "deletion":
      return deletionOf(path);
    case "symlink":
      return { ...entry, kind: { $case: "symlinkTarget", value: kind.target } };
    case "file":
      return { ...entry, kind: { $case: "file", value: { digest: kind.digest, sizeBytes: kind.sizeBytes } } };
    default:
      return kind satisfies never;
  }
}

function deletionOf(path: string): ManifestEntry {
  return { path, mode: 0, uid: 0, gid: 0, xattrs: {}, kind: { $case: "deletion", value: true } };
}
