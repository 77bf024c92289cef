import { FIELD_TABLE, type FieldRow } from "./field-table.ts";
import type { Json } from "./fields.ts";

/** FIELD_TABLE as the tree its paths describe; what walks fields walks this beside them. */
export type FieldNode = FieldLeaf | FieldGroup | FieldMap;

export interface FieldLeaf {
  readonly kind: "leaf";
  readonly row: FieldRow;
}

/** Names that are muster's, in the order in which they are written. */
export interface FieldGroup {
  readonly kind: "group";
  readonly children: ReadonlyMap<string, FieldNode>;
  /** Puts names in that order; those that are none come last. */
  readonly compare: (a: string, b: string) => number;
}

/** Names that the operator chooses: of devices, disks, partitions, file systems. */
export interface FieldMap {
  readonly kind: "map";
  /** Path of what it maps: "devices". */
  readonly of: string;
  readonly child: FieldGroup;
}

/** Fields, or a part of them, as plain data. */
export type Plain = Readonly<Record<string, Json | undefined>>;

interface Grown {
  row?: FieldRow;
  readonly children: Map<string, Grown>;
}

export const FIELD_TREE: FieldGroup = growTree();

/** What is at a path; undefined for a path no field has. Tags and resources end in a leaf: `rest` is what is below it. */
export function findField(
  path: readonly (string | number)[],
): { readonly node: FieldNode; readonly rest: readonly (string | number)[] } | undefined {
  let node: FieldNode = FIELD_TREE;
  for (const [at, part] of path.entries()) {
    if (node.kind === "leaf") return { node, rest: path.slice(at) };
    const next: FieldNode | undefined =
      typeof part === "number" ? undefined : node.kind === "map" ? node.child : node.children.get(part);
    if (next === undefined) return undefined;
    node = next;
  }
  return { node, rest: [] };
}

/** Whether a value is a map with names, neither a list nor a scalar. */
export function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function growTree(): FieldGroup {
  const root: Grown = { children: new Map() };
  for (const row of FIELD_TABLE) {
    let at = root;
    for (const part of row.path.split(".")) {
      let next = at.children.get(part);
      if (next === undefined) {
        next = { children: new Map() };
        at.children.set(part, next);
      }
      at = next;
    }
    at.row = row;
  }
  return groupOf(root, "");
}

function groupOf(grown: Grown, path: string): FieldGroup {
  const children = new Map<string, FieldNode>();
  for (const [name, child] of grown.children) {
    const at = path === "" ? name : `${path}.${name}`;
    const any = child.children.get("*");
    if (child.row !== undefined) children.set(name, { kind: "leaf", row: child.row });
    else if (any !== undefined) {
      children.set(name, { kind: "map", of: at, child: groupOf(any, `${at}.*`) });
    } else children.set(name, groupOf(child, at));
  }
  const order = new Map([...children.keys()].map((name, at) => [name, at]));
  const placeOf = (name: string): number => order.get(name) ?? order.size;
  return { kind: "group", children, compare: (a, b) => placeOf(a) - placeOf(b) };
}
