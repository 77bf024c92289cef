import { renderFieldPath } from "../../fields/field-path.ts";
import { FIELD_TABLE, type FieldKind, type FieldRow } from "../../fields/field-table.ts";
import { findField, isPlain } from "../../fields/field-tree.ts";
import type { Fields, Json } from "../../fields/fields.ts";
import { listLeaves } from "../../fields/list-leaves.ts";
import type { RecordKind } from "../../inventory/changes.ts";

/** What the value of a field may be completed to. */
export type ValueCandidates =
  | { readonly words: readonly string[] }
  /** Names that the controller has. */
  | { readonly namesOf: "image" | "overlay" | "profile" | "device" };

export function planValueCandidates(type: FieldKind): ValueCandidates {
  switch (type.kind) {
    case "word":
      return { words: type.words };
    case "path":
      return { words: type.words ?? [] };
    case "boolean":
      return { words: ["true", "false"] };
    case "name":
      return type.of === "template" ? { words: [] } : { namesOf: type.of };
    case "list":
      return type.of === "overlay" || type.of === "profile" ? { namesOf: type.of } : { words: [] };
    case "line":
    case "secret":
    case "interface":
    case "integer":
    case "size":
    case "mac":
    case "ipv4":
    case "netmask":
    case "ipv6":
    case "guid":
    case "tags":
    case "tree":
      return { words: [] };
  }
}

/** The paths that can be set in records with these effective fields, each with the names that are there. */
export function planSettablePaths(kind: RecordKind, effective: readonly Fields[]): readonly string[] {
  const rows = FIELD_TABLE.filter(({ nodeOnly }) => nodeOnly !== true || kind === "node");
  const paths = effective.flatMap((fields) => rows.flatMap(({ path }) => filledIn(path.split("."), fields)));
  const tags = effective.flatMap((fields) =>
    listLeaves(fields)
      .filter(({ path }) => (findField(path)?.rest.length ?? 0) > 0)
      .map(({ path }) => renderFieldPath(path)),
  );
  return [...new Set([...paths, ...tags])];
}

/** The paths of what records have set, and of the groups these are in. */
export function planSetPaths(written: readonly Fields[]): readonly string[] {
  const leaves = written.flatMap((fields) => listLeaves(fields));
  return [
    ...new Set(leaves.flatMap(({ path }) => path.map((_, at) => renderFieldPath(path.slice(0, at + 1))))),
  ];
}

/** The row of a field at a path as text; undefined for a group, or for no field. */
export function rowAtPath(path: readonly (string | number)[]): FieldRow | undefined {
  const node = findField(path)?.node;
  return node?.kind === "leaf" ? node.row : undefined;
}

/** "devices.*.mtu" for each device. A node without any is offered the first network port on the board. */
function filledIn(words: readonly string[], fields: Fields): readonly string[] {
  let found: readonly { readonly path: readonly string[]; readonly at: Json | undefined }[] = [
    { path: [], at: fields as Json },
  ];
  for (const [index, word] of words.entries()) {
    found = found.flatMap(({ path, at }) => {
      if (word !== "*") return [{ path: [...path, word], at: isPlain(at) ? at[word] : undefined }];
      const names = isPlain(at) ? Object.keys(at) : index === 1 && words[0] === "devices" ? ["eno1"] : [];
      return names.map((name) => ({ path: [...path, name], at: isPlain(at) ? at[name] : undefined }));
    });
  }
  return found.map(({ path }) => renderFieldPath(path));
}
