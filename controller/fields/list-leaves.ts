import { type FieldPath, renderFieldPath } from "./field-path.ts";
import { FIELD_TREE, type FieldNode, isPlain, type Plain } from "./field-tree.ts";
import type { Fields, Json } from "./fields.ts";

/** One value of fields; a list is one value. Below tags and resources each key is one of its own. */
export interface FieldLeafValue {
  readonly path: FieldPath;
  readonly value: Json;
}

/** Every value there is, in the order in which fields are written. */
export function listLeaves(fields: Fields | Plain): readonly FieldLeafValue[] {
  const found: FieldLeafValue[] = [];
  collect(FIELD_TREE, fields, [], found);
  return found;
}

/** Paths of every value: "devices.eno1.mtu", "kernelArguments", "tags.rack". */
export function leafPaths(fields: Fields): readonly string[] {
  return listLeaves(fields).map(({ path }) => renderFieldPath(path));
}

function collect(node: FieldNode, value: unknown, path: FieldPath, found: FieldLeafValue[]): void {
  if (value === undefined) return;
  if (node.kind === "leaf") {
    collectJson(value as Json, path, found);
    return;
  }
  for (const [name, below] of Object.entries(value as Plain)) {
    const child = node.kind === "map" ? node.child : node.children.get(name);
    if (child !== undefined) collect(child, below, [...path, name], found);
  }
}

function collectJson(value: Json, path: FieldPath, found: FieldLeafValue[]): void {
  if (!isPlain(value) || Object.keys(value).length === 0) {
    found.push({ path, value });
    return;
  }
  for (const [key, below] of Object.entries(value)) {
    collectJson(below, [...path, key], found);
  }
}
