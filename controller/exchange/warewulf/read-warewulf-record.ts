import { closestWords } from "#proto/contract/closest-words.ts";

import { moderniseRecord } from "./modernise-record.ts";
import { openRecordReading } from "./open-record-reading.ts";
import type { LocatedEntry } from "./parse-located-yaml.ts";
import type { WarewulfRecord } from "./parse-nodes-conf.ts";
import { readField } from "./read-warewulf-field.ts";
import type { RecordDraft, RecordReading } from "./record-reading.ts";
import { SPECIAL_KEYS } from "./special-warewulf-keys.ts";
import { WAREWULF_KEYS, type WarewulfKey } from "./warewulf-keys.ts";

/** Reads a node or profile of any version of nodes.conf into fields. Everything that is in it ends up in fields, items or findings. */
export function readWarewulfRecord(given: WarewulfRecord): RecordDraft {
  const { record, items } = moderniseRecord(given);
  const reading = openRecordReading(record, items);
  readKeys(reading, WAREWULF_KEYS, record.body.entries, TOP);
  return reading.draft;
}

/** The way to a key. */
interface Way {
  /** In the file: "network devices.ib0.tags". */
  readonly key: string;
  /** With "*" for the names that the operator chose: "network devices.*.tags". */
  readonly pattern: string;
  readonly names: readonly string[];
}
const TOP: Way = { key: "", pattern: "", names: [] };

function readKeys(
  reading: RecordReading,
  level: WarewulfKey,
  entries: ReadonlyMap<string, LocatedEntry>,
  above: Way,
): void {
  const any = level.below.get("*");
  for (const [word, entry] of inOrder(entries)) {
    const way: Way = {
      key: joined(above.key, word),
      pattern: joined(above.pattern, any === undefined ? word : "*"),
      names: any === undefined ? above.names : [...above.names, word],
    };
    const special = SPECIAL_KEYS.get(way.pattern);
    const next = any ?? level.below.get(word);
    if (special !== undefined) special(reading, way.key, entry, way.names);
    else if (next === undefined) {
      const [meant] = closestWords(word, level.below.keys());
      const fix = meant === undefined ? undefined : `did you mean ${meant}?`;
      reading.leave(reading.originOf(way.key, entry), "it is not a key of Warewulf", fix);
    } else if (next.row !== undefined) readField(reading, next.row, way.key, entry, way.names);
    else readBelow(reading, next, entry, way);
  }
}

function joined(above: string, word: string): string {
  return above === "" ? word : `${above}.${word}`;
}

/** What only counts when something else is not there is read last. */
const LATE_KEYS: ReadonlySet<string> = new Set([
  "override",
  "ipaddr",
  "ipcidr",
  "ipaddr6",
  "ip6addr",
  "tags",
]);

function inOrder(entries: ReadonlyMap<string, LocatedEntry>): readonly (readonly [string, LocatedEntry])[] {
  const all = [...entries];
  return [
    ...all.filter(([word]) => !LATE_KEYS.has(word)),
    // ipaddr before ipcidr.
    ...[...LATE_KEYS].flatMap((word) => all.filter(([late]) => late === word)),
  ];
}

function readBelow(reading: RecordReading, next: WarewulfKey, entry: LocatedEntry, way: Way): void {
  const { value } = entry;
  const isEmpty =
    value.kind === "map" ? value.entries.size === 0 : value.kind === "scalar" && value.text === "";
  if (isEmpty) {
    // A device or disk of which nothing is said; a map without entries says nothing at all.
    if (way.pattern.endsWith("*")) reading.leave(reading.originOf(way.key, entry), "there is nothing in it");
  } else if (value.kind === "map") readKeys(reading, next, value.entries, way);
  else {
    reading.draft.findings.push({
      ...value.at,
      key: `${reading.draft.name}: ${way.key}`,
      what: "is not a map",
    });
  }
}
