import type { NodeName } from "#proto/contract/node-name.ts";

import type { ConfigFinding } from "../config/config-finding.ts";
import type { Fields, Json } from "../fields/fields.ts";

/** Where something stands in the file. Lines and columns count from 1. */
export interface FilePlace {
  readonly line: number;
  readonly column: number;
}

/** Stands for the device a node boots from, whatever that is called: files of other programs do not name it. */
export const BOOT_DEVICE = "(boot)";

/** One value for a field of a node. */
export interface ImportedSetting extends FilePlace {
  /** Words of a path in FIELD_TABLE with names in place of "*": ["devices", BOOT_DEVICE, "mac"]. */
  readonly path: readonly string[];
  readonly value: Json;
  /** The value is a list, and is appended to what is there. */
  readonly isAppended?: true;
}

/** What a file says of one node. */
export interface ImportedNode extends FilePlace {
  readonly name: NodeName;
  readonly settings: readonly ImportedSetting[];
}

/** What a file says of the cluster. */
export interface ImportedFile {
  readonly nodes: readonly ImportedNode[];
  /** What must be put right before anything is taken over. */
  readonly findings: readonly ConfigFinding[];
  /** What was read and has no place in the inventory. */
  readonly leftOver: readonly ConfigFinding[];
}

/** What was planned for one node, with the places of the file that it comes from. */
export interface PlannedNode {
  readonly from: ImportedNode;
  /** With BOOT_DEVICE replaced; those that change something. */
  readonly settings: readonly ImportedSetting[];
  readonly revision: number;
  readonly fields: Fields;
}

/** A finding about a place in a file of another program. `key` is what it is about: a name, a statement. */
export function findingAt(
  { line, column }: FilePlace,
  key: string,
  what: string,
  fix?: string,
): ConfigFinding {
  return { line, column, key, what, ...(fix === undefined ? {} : { fix }) };
}

/** A value as people read it: text as it is, lists with commas. */
export function renderValue(value: Json): string {
  if (typeof value === "string") return value;
  return Array.isArray(value) ? value.join(", ") : JSON.stringify(value);
}
