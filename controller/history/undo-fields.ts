import { isDeepStrictEqual } from "node:util";

import type { Json } from "../fields/fields.ts";

/** A field that is neither as the change left it nor as it was before: somebody changed it since. */
export interface FieldConflict {
  /** Keys from the top: ["devices", "eno1", "mtu"]. */
  readonly path: readonly string[];
  /** What undoing would put back; undefined: nothing. */
  readonly back: Json | undefined;
  readonly left: Json | undefined;
  readonly now: Json | undefined;
}

type Tree = Readonly<Record<string, unknown>>;

/**
 * The fields of a record with those that a change touched put back, and all others as they are now.
 *
 * | the change made of it | now            | becomes          |
 * |-----------------------|----------------|------------------|
 * | nothing else          | anything       | as now           |
 * | B of A                | B              | A                |
 * | B of A                | A              | A (it is undone) |
 * | B of A, both maps     | a map          | key by key       |
 * | B of A                | anything else  | conflict, as now |
 *
 * A map that is not there counts as an empty one; lists are taken whole. The result may hold empty maps: the caller brings
 * it into canonical form.
 */
export function undoFields(
  before: object,
  after: object,
  now: object,
): { readonly fields: object; readonly conflicts: readonly FieldConflict[] } {
  const conflicts: FieldConflict[] = [];
  return { fields: undoTree(before as Tree, after as Tree, now as Tree, [], conflicts), conflicts };
}

function undoTree(
  before: Tree,
  after: Tree,
  now: Tree,
  path: readonly string[],
  conflicts: FieldConflict[],
): Tree {
  const result = new Map(Object.entries(now));
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const value = undoValue(get(before, key), get(after, key), get(now, key), [...path, key], conflicts);
    if (value === undefined) result.delete(key);
    else result.set(key, value);
  }
  return Object.fromEntries(result);
}

function undoValue(
  before: unknown,
  after: unknown,
  now: unknown,
  path: readonly string[],
  conflicts: FieldConflict[],
): unknown {
  if (isDeepStrictEqual(before, after)) return now;
  if (isDeepStrictEqual(now, after)) return before;
  if (isDeepStrictEqual(now, before)) return now;
  const [b, a, n] = [asTree(before), asTree(after), asTree(now)];
  if (b !== undefined && a !== undefined && n !== undefined) {
    const tree = undoTree(b, a, n, path, conflicts);
    return Object.keys(tree).length === 0 ? undefined : tree;
  }
  conflicts.push({
    path,
    back: before as Json | undefined,
    left: after as Json | undefined,
    now: now as Json | undefined,
  });
  return now;
}

/** Own keys only: a tag may be called "constructor". */
function get(tree: Tree, key: string): unknown {
  return Object.hasOwn(tree, key) ? tree[key] : undefined;
}

function asTree(value: unknown): Tree | undefined {
  if (value === undefined) return {};
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Tree) : undefined;
}

/** What differs between the fields a change left and those of now, leaf by leaf; nothing would be put back. */
export function listChangedFields(left: object, now: object): readonly FieldConflict[] {
  return changedIn(left as Tree, now as Tree, []);
}

function changedIn(left: Tree, now: Tree, path: readonly string[]): readonly FieldConflict[] {
  return [...new Set([...Object.keys(left), ...Object.keys(now)])].flatMap((key) => {
    const [l, n] = [get(left, key), get(now, key)];
    if (isDeepStrictEqual(l, n)) return [];
    const at = [...path, key];
    const [lt, nt] = [asTree(l), asTree(n)];
    if (lt !== undefined && nt !== undefined) return changedIn(lt, nt, at);
    return [{ path: at, back: undefined, left: l as Json | undefined, now: n as Json | undefined }];
  });
}
