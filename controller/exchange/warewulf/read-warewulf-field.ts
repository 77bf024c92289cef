import type { FieldPath } from "../../fields/field-path.ts";
import type { FieldRow } from "../../fields/field-table.ts";
import type { Json } from "../../fields/fields.ts";
import type { LocatedEntry } from "./parse-located-yaml.ts";
import { type RecordReading, wordKey } from "./record-reading.ts";
import { readResource } from "./read-resource.ts";
import { isUnset, readWarewulfBoolean } from "./warewulf-keys.ts";

/** Warewulf has one key for the hardware addresses of cards and of InfiniBand ports. */
const INFINIBAND_ADDRESS = /^[0-9a-f]{2}([:-][0-9a-f]{2}){19}$/i;

/** Reads a key that has a row of its own in the table of fields. `names`: those the operator chose on the way to it. */
export function readField(
  reading: RecordReading,
  row: FieldRow,
  key: string,
  entry: LocatedEntry,
  names: readonly string[],
): void {
  const path = pathOf(row, names);
  const origin = reading.originOf(key, entry);
  switch (row.type.kind) {
    case "list":
      putList(reading, path, key, entry, /,/);
      return;
    case "tags":
      readTags(reading, path, key, entry);
      return;
    case "tree": {
      if (entry.value.kind !== "map") {
        reading.textOf(key, entry);
        return;
      }
      reading.put(path, readResources(reading, key, entry), origin);
      return;
    }
    case "boolean": {
      const text = reading.textOf(key, entry);
      if (text === undefined || isUnset(text)) return;
      const value = readWarewulfBoolean(text);
      if (value === undefined) reading.leave(origin, "is neither true nor false", "write true or false");
      else reading.put(path, value, origin);
      return;
    }
    default: {
      const text = reading.textOf(key, entry);
      const isAddress = row.type.kind === "ipv4" || row.type.kind === "netmask";
      if (text === undefined || (isAddress && isUnset(text))) return;
      if (row.type.kind === "mac" && INFINIBAND_ADDRESS.test(text)) {
        reading.put([...path.slice(0, -1), "infinibandAddress"], text, origin);
        return;
      }
      // Warewulf's templates compare types without regard to case.
      reading.put(path, row.type.kind === "word" ? text.toLowerCase() : text, origin);
    }
  }
}

function readResources(reading: RecordReading, key: string, entry: LocatedEntry): Json {
  return readResource(entry.value, (scalar, below) => {
    reading.change(
      reading.originOf(`${key}${below}`, { at: scalar.at, value: scalar }),
      "stays text; Warewulf made another number of it",
      "see whether what uses it expects the text",
    );
  });
}

/** "devices.*.mac" with the names in place of the stars. */
function pathOf(row: FieldRow, names: readonly string[]): FieldPath {
  let at = 0;
  return row.path.split(".").map((word) => (word === "*" ? (names[at++] ?? word) : word));
}

/** Puts a list; a word that is there twice, which Warewulf allows and muster does not, counts where it is last. */
function putList(
  reading: RecordReading,
  path: FieldPath,
  key: string,
  entry: LocatedEntry,
  split: RegExp,
): void {
  const texts = reading.textsOf(key, entry, split).map((text) => text.trim());
  if (texts.length === 0) return;
  const once = texts.filter((text, at) => texts.lastIndexOf(text) === at);
  const origin = reading.originOf(key, entry);
  if (once.length < texts.length) {
    const twice = [...new Set(texts.filter((text, at) => texts.lastIndexOf(text) !== at))];
    reading.change(origin, `${twice.join(", ")}: named more than once, counts where it is last`);
  }
  reading.put(path, once, origin);
  markWords(reading, path, entry);
}

/** Where each word of a list is. */
export function markWords({ draft }: RecordReading, path: FieldPath, { value }: LocatedEntry): void {
  if (value.kind !== "list") return;
  for (const item of value.items) {
    if (item.kind === "scalar") draft.words.set(wordKey(path, item.text.trim()), item.at);
  }
}

function readTags(reading: RecordReading, path: FieldPath, key: string, entry: LocatedEntry): void {
  for (const [name, tag] of tagsOf(reading, key, entry)) {
    const text = tag.value.kind === "scalar" ? tag.value.text : reading.textOf(`${key}.${name}`, tag);
    if (text === undefined) continue;
    reading.put([...path, name], text, reading.originOf(`${key}.${name}`, tag));
  }
}

/** The tags at a key; none, with a finding, where it is no map. */
export function tagsOf(
  reading: RecordReading,
  key: string,
  entry: LocatedEntry,
): ReadonlyMap<string, LocatedEntry> {
  if (entry.value.kind === "map") return entry.value.entries;
  // Says what is wrong with it, when something is.
  if (reading.textOf(key, entry) !== undefined) {
    reading.draft.findings.push({
      ...entry.value.at,
      key: `${reading.draft.name}: ${key}`,
      what: "is not a map",
    });
  }
  return new Map();
}
