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

/** What is known of one path while overlays are merged. */
interface Merged {
  /** Delete what the image has before anything is put there. */
  readonly cleared: boolean;
  readonly item: OverlayItem | undefined;
}

/**
 * Merges layers of items, the first lowest: for each path the last layer wins, as a whole. A deletion takes
 * away the path and all below it that earlier layers brought, and what the image has there. A file or link in
 * place of an earlier directory takes away what was below it; a file in place of a link replaces the link.
 * Within a layer deletions come first, whatever their place.
 *
 * The result is in the order to apply: a deletion before what replaces it, parents before children, otherwise
 * by path. Directories on the way that no layer names are left to the agent, which makes missing ones
 * 0755 root and leaves those of the image alone.
 */
export function planSystemOverlay(layers: readonly (readonly OverlayItem[])[]): readonly PlannedItem[] {
  const merged = new Map<string, Merged>();
  // Every path that has ever had something below it: most items are not there, and need no search.
  const parents = new Set<string>();
  for (const layer of layers) {
    const items = [...layer].sort(byPath);
    for (const item of items) {
      if (item.kind.type !== "deletion") continue;
      if (parents.has(item.path)) forgetBelow(merged, item.path);
      merged.set(item.path, { cleared: true, item: undefined });
      for (const parent of parentsOf(item.path)) parents.add(parent);
    }
    for (const item of items) {
      if (item.kind.type === "deletion") continue;
      if (item.kind.type !== "directory" && parents.has(item.path)) forgetBelow(merged, item.path);
      for (const parent of parentsOf(item.path)) {
        parents.add(parent);
        forgetObstacle(merged, parent);
      }
      merged.set(item.path, { cleared: merged.get(item.path)?.cleared ?? false, item });
    }
  }
  let inlineBytes = 0;
  const planned: PlannedItem[] = [];
  for (const [path, { cleared, item }] of [...merged].sort(([a], [b]) => comparePaths(a, b))) {
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

function forgetBelow(merged: Map<string, Merged>, path: string): void {
  for (const other of merged.keys()) if (other.startsWith(`${path}/`)) merged.delete(other);
}

/** Above a path there can only be directories: a file or link an earlier layer has there gives way. */
function forgetObstacle(merged: Map<string, Merged>, above: string): void {
  const found = merged.get(above);
  if (found?.item === undefined || found.item.kind.type === "directory") return;
  if (found.cleared) merged.set(above, { cleared: true, item: undefined });
  else merged.delete(above);
}

/** "/a/b/c" : "/a/b", "/a". */
function parentsOf(path: string): readonly string[] {
  const parents: string[] = [];
  for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
    parents.push(path.slice(0, slash));
  }
  return parents;
}

function deletionOf(path: string): OverlayItem {
  return { path, mode: 0, uid: 0, gid: 0, xattrs: {}, kind: { type: "deletion" } };
}

function byPath(a: OverlayItem, b: OverlayItem): number {
  return comparePaths(a.path, b.path);
}

/** By component, so that "/a/b" follows "/a" before "/a-b" does: a directory and its content stay together. */
function comparePaths(a: string, b: string): number {
  const [x, y] = [a.replaceAll("/", "\0"), b.replaceAll("/", "\0")];
  return x < y ? -1 : x > y ? 1 : 0;
}
