import { closestWords } from "#proto/contract/closest-words.ts";
import { MusterError } from "#proto/contract/muster-error.ts";

import { canonicalFields } from "./canonical-fields.ts";
import { type FieldPath, parseFieldPath, renderFieldPath } from "./field-path.ts";
import { FIELD_TABLE, type FieldRow } from "./field-table.ts";
import { findField, isPlain, type Plain } from "./field-tree.ts";
import type { Fields, Json } from "./fields.ts";
import { type FieldFinding, validateFields } from "./validate-fields.ts";

/**
 * The fields with one of them set from text: of a list, the text is its only element; below `resources` it is JSON where it
 * can be read as such. An empty text unsets. `argument-invalid`.
 */
export function setField(fields: Fields, path: string, text: string): Fields {
  const { row, keys } = rowAt(path);
  if (text === "") return unsetField(fields, path);
  if (row.type.kind === "list") return setFieldValue(fields, path, [text]);
  if (row.type.kind === "tree") return setFieldValue(fields, path, jsonOf(text));
  if (row.type.kind === "tags" && keys.length === row.path.split(".").length) {
    throw refused(path, "is a map of tags", `name the tag: ${path}.KEY=VALUE`);
  }
  return setFieldValue(fields, path, text);
}

/** The fields with one of them set to a value, which is read as validateFields reads it. `argument-invalid`. */
export function setFieldValue(fields: Fields, path: string, value: Json): Fields {
  const { keys } = rowAt(path);
  const { fields: alone, findings } = validateFields("node", nested(keys, value), "");
  const [finding] = findings;
  if (finding !== undefined) throw findingError(finding);
  const wanted = valueAt(alone as Plain, keys);
  return wanted === undefined
    ? unsetField(fields, path)
    : canonicalFields(put(fields as Plain, keys, wanted));
}

/** The fields without what is at a path, which may be that of a group: "devices.eno1". Nothing there is no error; a path that no field has is. */
export function unsetField(fields: Fields, path: string): Fields {
  const keys = keysOf(path);
  const found = findField(keys);
  if (found === undefined) throw unknownPath(path, keys);
  if (found.node.kind === "leaf") rowAt(path);
  if (valueAt(fields as Plain, keys) === undefined) return fields;
  return canonicalFields(put(fields as Plain, keys, undefined));
}

/** The value at a path; undefined when nothing is there. */
export function fieldAt(fields: Fields, path: string): Json | undefined {
  return valueAt(fields as Plain, keysOf(path));
}

function rowAt(path: string): { readonly row: FieldRow; readonly keys: readonly string[] } {
  const keys = keysOf(path);
  const found = findField(keys);
  if (found === undefined) throw unknownPath(path, keys);
  const { node, rest } = found;
  if (node.kind !== "leaf") {
    throw refused(
      path,
      "is a group of fields",
      `name one of them, for example ${path}.${exampleBelow(keys)}`,
    );
  }
  const { row } = node;
  if (row.type.kind === "tags" && rest.length > 1) {
    const key = JSON.stringify(rest.join("."));
    throw refused(
      path,
      "names no tag",
      `quote its name: ${renderFieldPath(keys.slice(0, -rest.length))}.${key}`,
    );
  }
  if (row.type.kind !== "tags" && row.type.kind !== "tree" && rest.length > 0) {
    throw refused(path, `goes on below ${row.path}, which is one value`, `name ${row.path}`);
  }
  return { row, keys };
}

/** The names of a path; a position in a list is refused, because lists are set as a whole. */
function keysOf(path: string): readonly string[] {
  const keys = parseFieldPath(path);
  if (keys.every((key) => typeof key === "string")) return keys;
  throw refused(path, "names an element of a list", "set the list as a whole");
}

function unknownPath(path: string, keys: FieldPath): MusterError {
  const shapes = FIELD_TABLE.map((row) => {
    const parts = row.path.split(".");
    return renderFieldPath(parts.map((part, at) => (part === "*" ? (keys[at] ?? "NAME") : part)));
  });
  const [meant] = closestWords(path, new Set(shapes));
  const ends = shapes.filter((shape) => shape.split(".").at(-1) === keys.at(-1));
  const near = meant ?? ends[0];
  return refused(
    path,
    "is no field",
    near === undefined ? "all fields are in docs/fields.md" : `did you mean ${near}?`,
  );
}

function refused(path: string, what: string, fix: string): MusterError {
  return new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(path.slice(0, 200))} ${what}`,
    fix,
  });
}

function findingError({ at, what, fix }: FieldFinding): MusterError {
  return new MusterError({
    code: "argument-invalid",
    what: `${at}: ${what}`,
    ...(fix === undefined ? {} : { fix }),
  });
}

function exampleBelow(keys: readonly string[]): string {
  const row = FIELD_TABLE.find(({ path }) => {
    const parts = path.split(".");
    return parts.length > keys.length && keys.every((key, at) => parts[at] === "*" || parts[at] === key);
  });
  return (row?.path.split(".") ?? [])
    .slice(keys.length)
    .map((part) => (part === "*" ? "NAME" : part))
    .join(".");
}

function nested(keys: readonly string[], value: Json): Json {
  return keys.reduceRight<Json>((below, key) => ({ [key]: below }), value);
}

function valueAt(fields: Plain, keys: readonly string[]): Json | undefined {
  let at: Json | undefined = fields as Json;
  for (const key of keys) {
    if (!isPlain(at) || !Object.hasOwn(at, key)) return undefined;
    at = at[key];
  }
  return at;
}

/** Without the value: also without the maps that are empty then. */
function put(fields: Plain, keys: readonly string[], value: Json | undefined): Plain {
  const [key, ...rest] = keys;
  if (key === undefined) return fields;
  const { [key]: old, ...others } = fields;
  const below = rest.length === 0 ? value : put(isPlain(old) ? old : {}, rest, value);
  const isGone =
    below === undefined || (value === undefined && isPlain(below) && Object.keys(below).length === 0);
  return isGone ? others : { ...others, [key]: below as Json };
}

function jsonOf(text: string): Json {
  try {
    const value = JSON.parse(text) as Json;
    // 6.10 is a version as likely as a number: what would lose its text stays text.
    return typeof value !== "number" || String(value) === text ? value : text;
  } catch {
    return text;
  }
}
