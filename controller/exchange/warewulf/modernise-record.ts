import type { ImportItem, Origin } from "./import-item.ts";
import type { LocatedEntry, LocatedMap, LocatedValue } from "./parse-located-yaml.ts";
import type { WarewulfRecord } from "./parse-nodes-conf.ts";
import { FLAT_KEYS, isUnset, readWarewulfBoolean } from "./warewulf-keys.ts";

/** A record with the keys of 4.6, and what of it was left out on the way. */
export interface ModernRecord {
  readonly record: WarewulfRecord;
  readonly items: readonly ImportItem[];
}

/**
 * Gives a record of 4.2 to 4.5 the shape of 4.6, as `wwctl upgrade nodes` does: keys that are flat go into their maps,
 * `container name` is `image name`, `keys` are tags, `tagsdel` takes tags out, the device marked `default` or `primary` is the
 * primary network. Where old and new are both there, the new one counts and the old one is left out.
 */
export function moderniseRecord(record: WarewulfRecord): ModernRecord {
  const items: ImportItem[] = [];
  const entries = new Map(record.body.entries);
  const lose = (key: string, entry: LocatedEntry, why: string): void => {
    items.push({ ...originOf(record, key, entry), outcome: "left", why });
  };
  const move = (from: string, to: readonly [string, ...string[]]): void => {
    const entry = entries.get(from);
    if (entry === undefined) return;
    entries.delete(from);
    const [outer, inner] = to;
    if (inner === undefined) {
      if (entries.has(outer)) lose(from, entry, `${outer} is there as well, and counts`);
      else entries.set(outer, entry);
      return;
    }
    const map = entries.get(outer);
    const below = new Map(map?.value.kind === "map" ? map.value.entries : []);
    if (below.has(inner)) {
      lose(from, entry, `${outer}: ${inner} is there as well, and counts`);
      return;
    }
    below.set(inner, entry);
    const at = map?.value.at ?? entry.at;
    entries.set(outer, { at: map?.at ?? entry.at, value: { kind: "map", at, entries: below } });
  };
  move("container name", ["image name"]);
  for (const [flat, { outer, inner }] of FLAT_KEYS) move(flat, [outer, inner]);
  mergeKeys(entries, lose);
  takeTagsOut(entries, "", lose);
  rewriteMap(entries, "ipmi", (below) => {
    takeTagsOut(below, "ipmi.", lose);
  });
  rewriteDevices(entries, lose);
  return { record: { ...record, body: { ...record.body, entries } }, items };
}

/** Where an entry of a record stands. Values of lists and maps, and secrets, are not repeated. */
export function originOf(
  { kind, name }: Pick<WarewulfRecord, "kind" | "name">,
  key: string,
  { at, value }: LocatedEntry,
): Origin {
  const isShown = value.kind === "scalar" && value.text !== "" && !/password$/i.test(key);
  return { ...at, kind, name, key, ...(isShown ? { value: value.text } : {}) };
}

type Entries = Map<string, LocatedEntry>;
type Lose = (key: string, entry: LocatedEntry, why: string) => void;

function mergeKeys(entries: Entries, lose: Lose): void {
  const keys = entries.get("keys");
  if (keys?.value.kind !== "map") return;
  entries.delete("keys");
  const tags = entries.get("tags");
  const below = new Map(tags?.value.kind === "map" ? tags.value.entries : []);
  for (const [name, entry] of keys.value.entries) {
    if (below.has(name)) lose(`keys.${name}`, entry, `there is a tag ${name} as well, and it counts`);
    else below.set(name, entry);
  }
  entries.set("tags", { at: tags?.at ?? keys.at, value: { kind: "map", at: keys.value.at, entries: below } });
}

function takeTagsOut(entries: Entries, prefix: string, lose: Lose): void {
  const removed = entries.get("tagsdel");
  if (removed === undefined) return;
  entries.delete("tagsdel");
  const names = removed.value.kind === "list" ? removed.value.items : [removed.value];
  const taken = new Set<LocatedValue>();
  rewriteMap(entries, "tags", (tags) => {
    for (const name of names) {
      const tag = name.kind === "scalar" ? tags.get(name.text) : undefined;
      if (name.kind !== "scalar" || tag === undefined) continue;
      taken.add(name);
      lose(`${prefix}tags.${name.text}`, tag, "tagsdel takes it out");
      tags.delete(name.text);
    }
  });
  for (const name of names) {
    const what = taken.has(name) ? "it has taken its tag out" : "there is no such tag to take out";
    lose(`${prefix}tagsdel`, { at: name.at, value: name }, what);
  }
}

function rewriteDevices(entries: Entries, lose: Lose): void {
  let chosen: { readonly name: string; readonly at: LocatedEntry["at"] } | undefined;
  rewriteMap(entries, "network devices", (devices) => {
    for (const name of devices.keys()) {
      rewriteMap(devices, name, (device) => {
        takeTagsOut(device, `network devices.${name}.`, lose);
        for (const word of ["primary", "default"]) {
          const mark = device.get(word);
          if (mark?.value.kind !== "scalar") continue;
          device.delete(word);
          const key = `network devices.${name}.${word}`;
          const isMarked = readWarewulfBoolean(mark.value.text);
          if (isMarked === undefined && !isUnset(mark.value.text))
            lose(key, mark, "is neither true nor false");
          if (isMarked !== true) continue;
          if (entries.has("primary network")) lose(key, mark, "primary network is there as well, and counts");
          else if (chosen === undefined) chosen = { name, at: mark.at };
          else if (chosen.name !== name) lose(key, mark, `${chosen.name} is marked as well, and counts`);
          else lose(key, mark, "it is said twice");
        }
      });
    }
  });
  if (chosen === undefined) return;
  const { name, at } = chosen;
  entries.set("primary network", { at, value: { kind: "scalar", at, text: name, isPlain: false } });
}

function rewriteMap(entries: Entries, key: string, change: (below: Entries) => void): void {
  const entry = entries.get(key);
  if (entry?.value.kind !== "map") return;
  const below = new Map(entry.value.entries);
  change(below);
  entries.set(key, { ...entry, value: withEntries(entry.value, below) });
}

function withEntries(map: LocatedMap, entries: Entries): LocatedValue {
  return { ...map, entries };
}
