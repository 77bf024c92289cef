import { compareNodeNames } from "#proto/contract/node-set.ts";

import type { Fields, Json } from "./fields.ts";
import { FIELD_TREE, type FieldNode, isPlain, type Plain } from "./field-tree.ts";

/**
 * Fields in their canonical form: nothing empty, keys in the order of FIELD_TABLE, names the operator chose in natural
 * order, so that equal fields have equal JSON. Of tags and resources an empty text, list or map stays: there it says something.
 */
export function canonicalFields(fields: Fields): Fields {
  return (canonicalNode(FIELD_TREE, fields) ?? {}) as Fields;
}

function canonicalNode(node: FieldNode, value: unknown): Json | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (node.kind === "leaf") {
    if (Array.isArray(value)) return value.length === 0 ? undefined : (value as readonly Json[]);
    if (!isPlain(value)) return value as Json;
    return filled(node.row.type.kind === "tags" ? sorted(value) : (canonicalJson(value as Json) as Plain));
  }
  if (!isPlain(value)) return undefined;
  const result: Record<string, Json> = {};
  for (const name of Object.keys(value).sort(node.kind === "map" ? compareNodeNames : node.compare)) {
    const child = node.kind === "map" ? node.child : node.children.get(name);
    const kept = child === undefined ? undefined : canonicalNode(child, value[name]);
    if (kept !== undefined) result[name] = kept;
  }
  return filled(result);
}

/** Free YAML with the keys of its maps in natural order. */
function canonicalJson(value: Json): Json {
  if (Array.isArray(value)) return (value as readonly Json[]).map(canonicalJson);
  // -0 becomes 0 in the history, and would be another value to whoever undoes a change
  if (!isPlain(value)) return value === 0 ? 0 : value;
  const result: Record<string, Json> = {};
  for (const key of naturalKeys(value)) {
    const below = value[key];
    if (below !== undefined) result[key] = canonicalJson(below);
  }
  return result;
}

/** The keys of a map in natural order. */
function naturalKeys(map: object): readonly string[] {
  return Object.keys(map).sort(compareNodeNames);
}

/** The keys of both maps in the order in which those of each stand already: natural, unless told. */
export function unionKeys(
  below: Plain,
  above: Plain,
  compare: (a: string, b: string) => number = compareNodeNames,
): readonly string[] {
  const keys = Object.keys(below);
  const added = Object.keys(above).filter((key) => !Object.hasOwn(below, key));
  if (keys.length === 0 || added.length === 0) return keys.length === 0 ? added : keys;
  return [...keys, ...added].sort(compare);
}

/** Not what every object has: a tag may be called "constructor". */
export function ownValue(map: Plain, key: string): Json | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

function sorted(tags: Plain): Plain {
  const result: Record<string, Json> = {};
  for (const key of naturalKeys(tags)) {
    const value = tags[key];
    if (value !== undefined && value !== null) result[key] = value;
  }
  return result;
}

function filled(map: Plain): Json | undefined {
  return Object.keys(map).length === 0 ? undefined : (map as Json);
}
