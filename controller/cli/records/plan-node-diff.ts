import { foldNodeSet } from "#proto/contract/node-set.ts";

import { canonicalFields } from "../../fields/canonical-fields.ts";
import { parseFieldPath, renderFieldPath } from "../../fields/field-path.ts";
import { isPlain } from "../../fields/field-tree.ts";
import type { Fields, Json } from "../../fields/fields.ts";
import { listLeaves } from "../../fields/list-leaves.ts";
import { rowAtPath } from "./plan-field-completion.ts";

/** A node with its effective fields. */
export interface ComparedNode {
  readonly name: string;
  readonly fields: Fields;
}

/** Nodes of one side that say the same of a field; no value: they do not have it. */
export interface SideValue {
  /** Folded: c[001-004]. */
  readonly nodes: string;
  readonly value?: Json;
}

/** A field that is not the same on both sides. */
export interface NodeDifference {
  readonly path: string;
  readonly left: readonly SideValue[];
  readonly right: readonly SideValue[];
}

export interface DiffOptions {
  /** Leaves out what is one machine's own: MACs, addresses. */
  readonly ignoreUnique?: boolean;
  /**
   * Each node is compared with the one of its name on the other side, and only those that differ are shown. Otherwise
   * a field is shown unless all nodes of both sides have it alike.
   */
  readonly byName?: boolean;
}

/** Field by field, in the order in which fields are written; the names of nodes are no field. */
export function planNodeDiff(
  left: readonly ComparedNode[],
  right: readonly ComparedNode[],
  { ignoreUnique = false, byName = false }: DiffOptions = {},
): readonly NodeDifference[] {
  const secrets = new Map<string, number>();
  const flat = (node: ComparedNode): Flattened => flattened(node, secrets);
  const sides = [left.map(flat), right.map(flat)] as const;
  return pathsOf([...left, ...right]).flatMap((path) => {
    if (ignoreUnique && isUnique(path)) return [];
    const differing = byName ? differingNames(path, sides) : undefined;
    const values = [...sides[0], ...sides[1]].map(({ leaves }) => leaves.get(path)?.text);
    if (differing === undefined ? new Set(values).size === 1 : differing.size === 0) return [];
    const shown = (side: readonly Flattened[]): readonly SideValue[] =>
      foldSide(differing === undefined ? side : side.filter(({ name }) => differing.has(name)), path);
    return { path, left: shown(sides[0]), right: shown(sides[1]) };
  });
}

interface Flattened {
  readonly name: string;
  readonly leaves: ReadonlyMap<string, { readonly value: Json; readonly text: string }>;
}

/** That secrets differ is told, never what they are: each that is another gets another number. */
function flattened({ name, fields }: ComparedNode, secrets: Map<string, number>): Flattened {
  const leaves = listLeaves(fields).map(({ path, value }) => {
    const text = JSON.stringify(value);
    const at = renderFieldPath(path);
    if (rowAtPath(path)?.type.kind !== "secret") return [at, { value, text }] as const;
    const number = secrets.get(text) ?? secrets.size + 1;
    secrets.set(text, number);
    return [at, { value: `(secret ${number})`, text }] as const;
  });
  return { name, leaves: new Map(leaves) };
}

function differingNames(
  path: string,
  [left, right]: readonly [readonly Flattened[], readonly Flattened[]],
): Set<string> {
  const before = new Map(left.map(({ name, leaves }) => [name, leaves.get(path)?.text]));
  const after = new Map(right.map(({ name, leaves }) => [name, leaves.get(path)?.text]));
  return new Set([...before.keys(), ...after.keys()].filter((name) => before.get(name) !== after.get(name)));
}

function foldSide(side: readonly Flattened[], path: string): readonly SideValue[] {
  const groups = Map.groupBy(side, ({ leaves }) => leaves.get(path)?.text);
  return [...groups.values()].map((group) => {
    const value = group[0]?.leaves.get(path)?.value;
    return {
      nodes: foldNodeSet(group.map(({ name }) => name)),
      ...(value === undefined ? {} : { value }),
    };
  });
}

/** Every path that any of them has, in the order in which fields are written. */
function pathsOf(nodes: readonly ComparedNode[]): readonly string[] {
  const together = nodes.reduce<Json>((all, { fields }) => union(all, fields as Json), {});
  const ordered = listLeaves(canonicalFields(together as Fields)).map(({ path }) => renderFieldPath(path));
  // resources may be a map on one node and a list on another: the union has only one of these
  const all = nodes.flatMap(({ fields }) => listLeaves(fields).map(({ path }) => renderFieldPath(path)));
  return [...new Set([...ordered, ...all])];
}

function union(a: Json, b: Json): Json {
  if (!isPlain(a) || !isPlain(b)) return b;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries(
    [...keys].map((key) => {
      const [x, y] = [a[key], b[key]];
      return [key, x === undefined ? (y ?? null) : y === undefined ? x : union(x, y)];
    }),
  );
}

function isUnique(path: string): boolean {
  return rowAtPath(parseFieldPath(path))?.unique === true;
}
