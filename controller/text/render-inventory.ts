import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { Fields, Json } from "../fields/fields.ts";
import type { InventoryState, RecordKind } from "../inventory/changes.ts";
import { renderYamlTree } from "./render-yaml-tree.ts";

/** Version of the format, in the first line of each file muster writes. */
export const FORMAT_VERSION = 1;
/** Begins the first line of each file muster writes. */
export const HEADER = "# muster inventory";

/** What a text is of, when it is not of everything. */
export interface TextScope {
  /** Only these records, and none of the other kind. */
  readonly part?: { readonly kind: RecordKind; readonly names: readonly string[] };
  /** As it was: ISO 8601. */
  readonly at?: string;
}

/**
 * Records as one YAML document: `profiles: {NAME: fields}`, `nodes: {NAME: fields}`. The same records give the same bytes. A part of
 * the inventory says so in its first line, so that `apply --prune` does not take what is not in it for deleted.
 */
export function renderInventory({ nodes, profiles }: InventoryState, scope: TextScope = {}): string {
  const at = scope.at === undefined ? "" : `, at ${scope.at}`;
  const { kind, names = [] } = scope.part ?? {};
  const part =
    kind === undefined ? "" : `, part: ${kind}s ${kind === "node" ? foldNodeSet(names) : names.join(",")}`;
  return [
    `${HEADER} ${FORMAT_VERSION}${at}${part}\n`,
    ...(kind === "node" ? [] : [renderSection("profiles", profiles)]),
    ...(kind === "profile" ? [] : [renderSection("nodes", nodes)]),
  ].join("");
}

/** The file of one record in the directory form: its fields. */
export function renderRecordFile(kind: RecordKind, name: string, fields: Fields): string {
  const text = renderYamlTree(asTree(fields));
  return `${HEADER} ${FORMAT_VERSION}: ${kind} ${name}\n${text === "" ? "{}\n" : text}`;
}

function renderSection(
  title: string,
  records: readonly { readonly name: string; readonly fields: Fields }[],
): string {
  if (records.length === 0) return `${title}: {}\n`;
  return renderYamlTree({
    [title]: Object.fromEntries(records.map(({ name, fields }) => [name, asTree(fields)])),
  });
}

function asTree(fields: Fields): { readonly [key: string]: Json } {
  return fields as unknown as { readonly [key: string]: Json };
}
