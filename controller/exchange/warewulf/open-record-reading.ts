import { type FieldPath, renderFieldPath } from "../../fields/field-path.ts";
import type { Json } from "../../fields/fields.ts";
import type { ImportItem, Origin } from "./import-item.ts";
import { originOf } from "./modernise-record.ts";
import type { LocatedEntry, LocatedValue } from "./parse-located-yaml.ts";
import type { WarewulfRecord } from "./parse-nodes-conf.ts";
import type { RecordDraft, RecordReading } from "./record-reading.ts";

/** Of a record of which nothing is read yet. `items`: what is known of it already. */
export function openRecordReading(record: WarewulfRecord, items: readonly ImportItem[]): RecordReading {
  const { kind, name, at } = record;
  const draft: RecordDraft = {
    kind,
    name,
    at: { ...at, kind, name, key: "" },
    fields: {},
    origins: new Map(),
    words: new Map(),
    tagLists: new Map(),
    items: [...items],
    findings: [],
  };
  const note = (outcome: ImportItem["outcome"], origin: Origin, why: string, fix?: string): void => {
    draft.items.push({ ...origin, outcome, why, ...(fix === undefined ? {} : { fix }) });
  };
  const refuse = (key: string, { value }: LocatedEntry, what: string): void => {
    draft.findings.push({ ...value.at, key: `${name}: ${key}`, what });
  };
  return {
    draft,
    put: (path, value, origin) => {
      putAt(draft.fields, path, value);
      draft.origins.set(renderFieldPath(path), origin);
    },
    leave: (origin, why, fix) => {
      note("left", origin, why, fix);
    },
    change: (origin, why, fix) => {
      note("changed", origin, why, fix);
    },
    originOf: (key, entry) => originOf(record, key, entry),
    textOf: (key, entry) => {
      if (entry.value.kind !== "scalar") {
        refuse(key, entry, `is a ${entry.value.kind} where Warewulf has one value`);
        return undefined;
      }
      return entry.value.text === "" ? undefined : entry.value.text;
    },
    textsOf: (key, entry, split) => {
      const { value } = entry;
      if (value.kind === "scalar") return value.text.split(split).filter((word) => word !== "");
      if (value.kind === "list") return value.items.flatMap((item) => textOfItem(item, key, refuse));
      refuse(key, entry, "is a map where Warewulf has a list");
      return [];
    },
  };
}

function textOfItem(
  item: LocatedValue,
  key: string,
  refuse: (key: string, entry: LocatedEntry, what: string) => void,
): readonly string[] {
  if (item.kind === "scalar") return item.text === "" ? [] : [item.text];
  refuse(key, { at: item.at, value: item }, `holds a ${item.kind} where Warewulf has words`);
  return [];
}

function putAt(fields: Record<string, Json>, path: FieldPath, value: Json): void {
  let at = fields;
  for (const part of path.slice(0, -1)) {
    const known = Object.hasOwn(at, part) ? at[part] : undefined;
    const next = typeof known === "object" && known !== null ? (known as Record<string, Json>) : {};
    putOwn(at, part, next);
    at = next;
  }
  const last = path.at(-1);
  if (last !== undefined) putOwn(at, last, value);
}

/** Also where the file has a device or a tag "__proto__", which is refused with the other names that are none. */
function putOwn(fields: Record<string, Json>, word: string | number, value: Json): void {
  Object.defineProperty(fields, word, { value, enumerable: true, writable: true, configurable: true });
}
