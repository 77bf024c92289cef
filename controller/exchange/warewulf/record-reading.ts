import type { ConfigFinding } from "../../config/config-finding.ts";
import { type FieldPath, renderFieldPath } from "../../fields/field-path.ts";
import type { Json } from "../../fields/fields.ts";
import type { ImportItem, Origin } from "./import-item.ts";
import type { LocatedEntry, Place } from "./parse-located-yaml.ts";

/** What a record says, in muster's fields, not yet checked, with the place of each value. */
export interface RecordDraft {
  readonly kind: "node" | "profile";
  readonly name: string;
  readonly at: Origin;
  readonly fields: Record<string, Json>;
  /** By path of the field, as renderFieldPath writes it. */
  readonly origins: Map<string, Origin>;
  /** Of the words in lists, by {@link wordKey}. */
  readonly words: Map<string, Place>;
  /** Lists that are spread over tags of devices, by listKey, then by tag. */
  readonly tagLists: Map<string, Map<string, readonly string[]>>;
  readonly items: ImportItem[];
  /** What Warewulf itself could not load. */
  readonly findings: ConfigFinding[];
}

/** A list of a device that Warewulf spreads over tags. */
export function listKey(device: string, list: string): string {
  return JSON.stringify([device, list]);
}

/** A word of a list in a draft. */
export function wordKey(path: FieldPath, word: string): string {
  return `${renderFieldPath(path)} ${word}`;
}

/** One record being read. */
export interface RecordReading {
  readonly draft: RecordDraft;
  put(path: FieldPath, value: Json, origin: Origin): void;
  leave(origin: Origin, why: string, fix?: string): void;
  change(origin: Origin, why: string, fix?: string): void;
  originOf(key: string, entry: LocatedEntry): Origin;
  /** The text of a scalar; undefined when it is absent, or is none, which is reported. */
  textOf(key: string, entry: LocatedEntry): string | undefined;
  /** The texts of a list, or of a scalar split as 4.2 wrote lists. */
  textsOf(key: string, entry: LocatedEntry, split: RegExp): readonly string[];
}
