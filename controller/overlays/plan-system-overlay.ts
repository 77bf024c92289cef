import { planMergedPaths } from "./plan-merged-paths.ts";

/** Content of a file: at hand, or still on disk. */
type FileContent = { readonly bytes: Buffer } | { readonly sourcePath: string; readonly sizeBytes: number };

/** One path as one overlay has it. */
export interface OverlayItem {
  /** Absolute on the node. */
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: Readonly<Record<string, Buffer>>;
  readonly kind:
    | { readonly type: "file"; readonly content: FileContent }
    | { readonly type: "directory" }
    | { readonly type: "symlink"; readonly target: string }
    /** What was there goes, from the image and from overlays before; the same overlay may put something new. */
    | { readonly type: "deletion" };
}

/** An item of the merged overlay; `as` says how the content of a file travels. */
export interface PlannedItem {
  readonly item: OverlayItem;
  readonly as: "inline" | "blob";
}

/** Larger files travel as blobs: fetched in the background, resumed, and once for all nodes that have them. */
export const MAX_INLINE_FILE_BYTES = 64 * 1024;

/** All inline files of static overlays together: a boot plan is one gRPC message, 4 MiB at most by default. */
const MAX_INLINE_BYTES = 1024 * 1024;

/**
 * The system overlay: the merged layers (see {@link planMergedPaths}) in the order to apply, and how the content
 * of each file travels.
 */
export function planSystemOverlay(layers: readonly (readonly OverlayItem[])[]): readonly PlannedItem[] {
  let inlineBytes = 0;
  const planned: PlannedItem[] = [];
  for (const { path, cleared, item } of planMergedPaths(layers)) {
    if (cleared) planned.push({ item: deletionOf(path), as: "inline" });
    if (item === undefined) continue;
    const size = sizeToSpend(item);
    const fits = size <= MAX_INLINE_FILE_BYTES && inlineBytes + size <= MAX_INLINE_BYTES;
    if (fits) inlineBytes += size;
    planned.push({ item, as: fits ? "inline" : "blob" });
  }
  return planned;
}

/**
 * Generated files hold secrets and stay inline whatever there is beside them; except the hosts of a large
 * cluster, the one that can be large, which is no secret.
 */
function sizeToSpend(item: OverlayItem): number {
  if (item.kind.type !== "file") return 0;
  const { content } = item.kind;
  if ("sourcePath" in content) return content.sizeBytes;
  return content.bytes.length > MAX_INLINE_FILE_BYTES ? content.bytes.length : 0;
}

function deletionOf(path: string): OverlayItem {
  return { path, mode: 0, uid: 0, gid: 0, xattrs: {}, kind: { type: "deletion" } };
}
