import { closestWords } from "#proto/contract/closest-words.ts";

import { type FieldPath, renderFieldPath } from "../../fields/field-path.ts";
import type { FieldRow } from "../../fields/field-table.ts";
import type { Json } from "../../fields/fields.ts";
import type { ImportItem, Origin } from "./import-item.ts";
import { moderniseRecord, originOf } from "./modernise-record.ts";
import type { LocatedEntry, LocatedValue } from "./parse-located-yaml.ts";
import type { WarewulfRecord } from "./parse-nodes-conf.ts";
import { readDeviceTags } from "./read-device-tags.ts";
import { type RecordDraft, type RecordReading, wordKey } from "./record-reading.ts";
import { readResource } from "./read-resource.ts";
import { isUnset, readWarewulfBoolean, WAREWULF_KEYS, type WarewulfKey } from "./warewulf-keys.ts";

/** Reads a node or profile of any version of nodes.conf into fields. Everything that is in it ends up in fields, items or findings. */
export function readWarewulfRecord(given: WarewulfRecord): RecordDraft {
  const { record, items } = moderniseRecord(given);
  const reading = openReading(record, items);
  readKeys(reading, WAREWULF_KEYS, record.body.entries, TOP);
  return reading.draft;
}

function openReading(record: WarewulfRecord, items: readonly ImportItem[]): RecordReading {
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
    const known = at[part];
    const next = typeof known === "object" && known !== null ? (known as Record<string, Json>) : {};
    at[part] = next;
    at = next;
  }
  const last = path.at(-1);
  if (last !== undefined) at[last] = value;
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
    const special = SPECIAL_KEYS[way.pattern];
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

/** Warewulf has one key for the hardware addresses of cards and of InfiniBand ports. */
const INFINIBAND_ADDRESS = /^[0-9a-f]{2}([:-][0-9a-f]{2}){19}$/i;

function readField(
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

function markWords({ draft }: RecordReading, path: FieldPath, { value }: LocatedEntry): void {
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

function tagsOf(reading: RecordReading, key: string, entry: LocatedEntry): ReadonlyMap<string, LocatedEntry> {
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

type SpecialKey = (
  reading: RecordReading,
  key: string,
  entry: LocatedEntry,
  names: readonly string[],
) => void;

const OBSOLETE: SpecialKey = (reading, key, entry) => {
  reading.leave(reading.originOf(key, entry), "Warewulf itself no longer uses it");
};

const ONLY_NODES =
  (row: string): SpecialKey =>
  (reading, key, entry, names) => {
    const next = WAREWULF_KEYS.below.get(row)?.row;
    if (reading.draft.kind === "profile") {
      reading.leave(reading.originOf(key, entry), "only nodes have it, profiles do not", "set it on nodes");
    } else if (next !== undefined) readField(reading, next, key, entry, names);
  };

const ADDRESS6: SpecialKey = (reading, key, entry, [device = ""]) => {
  const origin = reading.originOf(key, entry);
  const [address, length] = reading.textOf(key, entry)?.split("/") ?? [];
  if (address === undefined) return;
  const known = reading.draft.origins.get(renderFieldPath(["devices", device, "address6"]));
  if (known !== undefined) {
    reading.leave(origin, `${known.key} is there as well, and counts`);
    return;
  }
  reading.put(["devices", device, "address6"], address, origin);
  putLength(reading, ["devices", device, "prefixLength6"], length, origin);
};

/** Keys that are not carried over word by word, by their way in nodes.conf. */
const SPECIAL_KEYS: Readonly<Record<string, SpecialKey>> = {
  disabled: OBSOLETE,
  "asset key": ONLY_NODES("asset key"),
  discoverable: ONLY_NODES("discoverable"),
  root: (reading, key, entry) => {
    const text = reading.textOf(key, entry);
    const origin = reading.originOf(key, entry);
    if (text === undefined) return;
    const word = text.toLowerCase();
    if (word === "tmpfs" || word === "ramfs") {
      reading.put(["rootMode"], "tmpfs", origin);
      if (word === "ramfs") reading.change(origin, "became rootMode tmpfs: the root is unpacked into memory");
    } else if (word === "initramfs" || word === "rootfs") {
      reading.put(["rootMode"], "squashfs", origin);
      reading.change(
        origin,
        "became rootMode squashfs: the root is read from the packed image, writes go to memory",
      );
    } else {
      reading.leave(
        origin,
        "muster keeps the root of a node in memory",
        "nodes that are to boot from their disk stay with Warewulf for now",
      );
    }
  },
  "ipxe template": (reading, key, entry) => {
    const text = reading.textOf(key, entry);
    if (text === undefined) return;
    const origin = reading.originOf(key, entry);
    if (text === "default" || text === "dracut") reading.leave(origin, "muster writes its own iPXE script");
    else reading.put(["ipxeTemplate"], text, origin);
  },
  "kernel.args": (reading, key, entry) => {
    const words = reading.textsOf(key, entry, /\s+/).flatMap(splitArguments);
    const origin = reading.originOf(key, entry);
    const kept = words.filter((word) => !/^~?(wwinit\.|wwid=|root=wwinit)/.test(word));
    for (const word of words) {
      if (!kept.includes(word))
        reading.leave({ ...origin, value: word }, "it speaks to Warewulf's own start of a node");
    }
    if (kept.length > 0) reading.put(["kernelArguments"], kept, origin);
    markWords(reading, ["kernelArguments"], entry);
  },
  "kernel.version": (reading, key, entry) => {
    putKernel(reading, key, entry);
  },
  "kernel.override": (reading, key, entry) => {
    const origin = reading.originOf(key, entry);
    if (reading.draft.origins.get("kernelVersion") !== undefined) {
      reading.leave(origin, "kernel: version is there as well, and counts");
    } else putKernel(reading, key, entry);
  },
  "network devices.*.tags": (reading, key, entry, [device = ""]) => {
    readDeviceTags(reading, device, key, tagsOf(reading, key, entry));
  },
  "network devices.*.ipaddr": (reading, key, entry, [device = ""]) => {
    putCidr(reading, key, entry, device);
  },
  "network devices.*.ipcidr": (reading, key, entry, [device = ""]) => {
    putCidr(reading, key, entry, device);
  },
  "network devices.*.ipaddr6": ADDRESS6,
  "network devices.*.ip6addr": ADDRESS6,
  "network devices.*.prefix": OBSOLETE,
  "ipmi.tags": (reading, key, entry) => {
    for (const [name, tag] of tagsOf(reading, key, entry)) {
      const text = reading.textOf(`${key}.${name}`, tag);
      const origin = reading.originOf(`${key}.${name}`, tag);
      if (text === undefined && tag.value.kind === "scalar") reading.put(["bmc", "tags", name], "", origin);
      else if (text !== undefined && name === "vlan" && /^\d+$/.test(text)) {
        reading.put(["bmc", "vlanId"], text, origin);
      } else if (text !== undefined) reading.put(["bmc", "tags", name], text, origin);
    }
  },
  "filesystems.*.mount_options": (reading, key, entry, [device = ""]) => {
    const options = reading.textsOf(key, entry, /$^/);
    if (options.length > 0) {
      reading.put(["fileSystems", device, "mountOptions"], options.join(","), reading.originOf(key, entry));
    }
  },
};

/** "quiet console=ttyS0" is two arguments; what is in double quotes stays together, as the kernel has it. */
function splitArguments(text: string): readonly string[] {
  const mark = text.startsWith("~") ? "~" : "";
  const words = text.slice(mark.length).match(/(?:[^\s"]|"[^"]*")+|"/g) ?? [];
  return words.map((word) => `${mark}${word}`);
}

/** Warewulf names a kernel by its version or by its path in the image, 4.2 to 4.5 also by what it was imported as. */
function putKernel(reading: RecordReading, key: string, entry: LocatedEntry): void {
  const text = reading.textOf(key, entry);
  if (text === undefined) return;
  const origin = reading.originOf(key, entry);
  const version = /^\/(?:boot\/vmlinu[xz]-|lib\/modules\/|usr\/lib\/modules\/)(\d[^/]*)(?:\/vmlinuz)?$/.exec(
    text,
  )?.[1];
  if (version !== undefined) {
    reading.put(["kernelVersion"], version, origin);
    reading.change(origin, `became kernelVersion ${version}`);
  } else if (/^\d/.test(text)) reading.put(["kernelVersion"], text, origin);
  else
    reading.leave(origin, "it is not the version of a kernel", "muster boots the newest kernel of the image");
}

/** 4.2 to 4.5 took "10.0.0.1/16" too; a netmask that is there counts. */
function putCidr(reading: RecordReading, key: string, entry: LocatedEntry, device: string): void {
  const text = reading.textOf(key, entry);
  if (text === undefined || isUnset(text)) return;
  const origin = reading.originOf(key, entry);
  const [address = "", length] = text.split("/");
  const known = reading.draft.origins.get(renderFieldPath(["devices", device, "address"]));
  const isSecond = known !== undefined && known.key !== key;
  if (isSecond && (length === undefined || known.value?.split("/")[0] !== address)) {
    reading.leave(origin, `${known.key} is there as well, and counts`);
  } else if (!isSecond) reading.put(["devices", device, "address"], address, origin);
  putLength(reading, ["devices", device, "netmask"], length, origin);
}

/** The length behind an address; a key of its own counts more. */
function putLength(
  reading: RecordReading,
  path: FieldPath,
  length: string | undefined,
  origin: Origin,
): void {
  if (length === undefined) return;
  const known = reading.draft.origins.get(renderFieldPath(path));
  if (known === undefined) reading.put(path, length, origin);
  else reading.leave({ ...origin, value: `/${length}` }, `${known.key} is there as well, and counts`);
}
