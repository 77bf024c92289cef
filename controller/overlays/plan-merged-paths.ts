/** What merging looks at: the path, and whether it is a directory, a deletion, or anything else. */
export interface MergeItem {
  /** Absolute on the node. */
  readonly path: string;
  readonly kind: { readonly type: string };
}

/** One path of the merged overlays. */
export interface MergedPath<T> {
  readonly path: string;
  /** Delete what the image has before anything is put there. */
  readonly cleared: boolean;
  /** What is put there; undefined: nothing. */
  readonly item: T | undefined;
}

type Merged<T> = Map<string, Omit<MergedPath<T>, "path">>;

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
export function planMergedPaths<T extends MergeItem>(
  layers: readonly (readonly T[])[],
): readonly MergedPath<T>[] {
  const merged: Merged<T> = new Map();
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
  return [...merged]
    .sort(([a], [b]) => comparePaths(a, b))
    .map(([path, { cleared, item }]) => ({ path, cleared, item }));
}

function forgetBelow(merged: Map<string, unknown>, path: string): void {
  for (const other of merged.keys()) if (other.startsWith(`${path}/`)) merged.delete(other);
}

/** Above a path there can only be directories: a file or link an earlier layer has there gives way. */
function forgetObstacle<T extends MergeItem>(merged: Merged<T>, above: string): void {
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

function byPath(a: MergeItem, b: MergeItem): number {
  return comparePaths(a.path, b.path);
}

/** By component, so that "/a/b" follows "/a" before "/a-b" does: a directory and its content stay together. */
function comparePaths(a: string, b: string): number {
  const [x, y] = [a.replaceAll("/", "\0"), b.replaceAll("/", "\0")];
  return x < y ? -1 : x > y ? 1 : 0;
}
