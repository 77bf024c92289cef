import { type FieldPath, renderFieldPath } from "../../fields/field-path.ts";
import { findField } from "../../fields/field-tree.ts";
import {
  type DeviceFields,
  type Fields,
  type FieldsRecord,
  type Json,
  KEPT_SECRET,
} from "../../fields/fields.ts";
import { listLeaves } from "../../fields/list-leaves.ts";
import { expandProfiles, openMerger } from "../../fields/merge-fields.ts";
import { renderYamlTree } from "../../text/render-yaml-tree.ts";
import { openDeviceFinder } from "./resolve-device-names.ts";
import { DEVICE_TAGS } from "./warewulf-keys.ts";

/** A nodes.conf, and how much of the inventory is not in it. */
export interface NodesConfText {
  readonly text: string;
  /** What Warewulf has no words for; the same stands in comments of the file. */
  readonly left: readonly {
    readonly kind: "node" | "profile";
    readonly name: string;
    readonly path: string;
    readonly why: string;
  }[];
}

const HEADER = [
  "# nodes.conf for Warewulf 4.6 and 4.7, written by muster.",
  '# What Warewulf has no words for stands in lines that begin with "# muster:".',
  "",
].join("\n");

/** One record on its way into nodes.conf. */
interface Writing {
  readonly record: FieldsRecord;
  readonly merged: Fields;
  /** Fields of the profiles that apply, in order. */
  readonly chain: readonly Fields[];
  readonly tree: Record<string, Json>;
  readonly left: { readonly path: string; readonly why: string; readonly value: Json }[];
  readonly find: ReturnType<typeof openDeviceFinder>;
}

/**
 * nodes.conf of Warewulf 4.6 and 4.7. What an import of Warewulf brought into the inventory comes out so that importing it again
 * gives the same fields.
 */
export function renderNodesConf(records: readonly FieldsRecord[]): NodesConfText {
  const profiles = new Map(
    records.filter(({ kind }) => kind === "profile").map(({ name, fields }) => [name, fields]),
  );
  const merger = openMerger(profiles);
  const find = openDeviceFinder(records);
  const left: { kind: "node" | "profile"; name: string; path: string; why: string }[] = [];
  const section = (kind: "node" | "profile"): readonly string[] =>
    records
      .filter((record) => record.kind === kind)
      .map((record) => {
        const chain = expandProfiles(record.fields.profiles ?? [], profiles).flatMap(
          (name) => profiles.get(name) ?? [],
        );
        const writing: Writing = {
          record,
          merged: merger.merge(record.fields),
          chain,
          tree: {},
          left: [],
          find,
        };
        writeRecord(writing);
        left.push(...writing.left.map(({ path, why }) => ({ kind, name: record.name, path, why })));
        return renderRecord(writing);
      });
  const parts = [
    ["nodeprofiles", section("profile")],
    ["nodes", section("node")],
  ] as const;
  const body = parts.map(([key, lines]) =>
    lines.length === 0 ? `${key}: {}\n` : `${key}:\n${lines.join("")}`,
  );
  return { text: `${HEADER}${body.join("")}`, left };
}

function renderRecord({ record: { name }, tree, left }: Writing): string {
  const [first = "", ...rest] = renderYamlTree({ [name]: tree }, "  ").split("\n");
  const comments = left.map(
    ({ path, why, value }) => `    # muster: ${path}: ${JSON.stringify(value)} (${why})`,
  );
  return [first, ...comments, ...rest].join("\n");
}

function writeRecord(writing: Writing): void {
  for (const { path, value } of listLeaves(writing.record.fields)) writeLeaf(writing, path, value);
  writeTagLists(writing);
}

/** Lists that Warewulf keeps in tags: written for the device as a whole, after all else. */
const TAG_LISTS = ["dns", "dnsSearch", "routes"] as const;

function writeLeaf(writing: Writing, path: FieldPath, value: Json): void {
  const found = findField(path);
  if (found?.node.kind !== "leaf") return;
  const { row } = found.node;
  const names = row.path.split(".").flatMap((word, at) => (word === "*" ? [String(path[at])] : []));
  const [device = ""] = names;
  const field = row.path.replace(/^devices\.\*\./, "");
  const tag = TAG_OF.get(field);
  if (TAG_LISTS.some((list) => list === field)) return;
  if (value === KEPT_SECRET && row.type.kind === "secret")
    leave(writing, path, value, "written with --secrets only");
  else if (row.path === "rootMode") put(writing, ["root"], value === "tmpfs" ? "tmpfs" : "initramfs");
  else if (row.path === "devices.*.infinibandAddress") {
    if (writing.record.fields.devices?.[device]?.mac === undefined)
      put(writing, ["network devices", device, "hwaddr"], value);
    else leave(writing, path, value, "Warewulf has one hardware address, and this device has a MAC");
  } else if (row.path === "bmc.vlanId") put(writing, ["ipmi", "tags", "vlan"], textOf(value));
  else if (row.path.startsWith("devices.*.") && tag !== undefined) {
    const text =
      field === "master" || field === "parent" ? referenceTo(writing, textOf(value)) : textOf(value);
    if (text === undefined)
      leave(writing, path, value, "Warewulf names interfaces, and this would be another one's");
    else put(writing, ["network devices", device, "tags", tag], text);
  } else if (row.warewulf === undefined) leave(writing, path, value, "Warewulf has no word for it");
  else {
    let at = 0;
    const words = row.warewulf.split(".").map((word) => (word === "*" ? (names[at++] ?? word) : word));
    put(
      writing,
      [...words, ...found.rest.map(String)],
      typeof value === "number" && row.type.kind === "integer" ? String(value) : value,
    );
  }
}

const TAG_OF: ReadonlyMap<string, string> = new Map([...DEVICE_TAGS].map(([tag, field]) => [field, tag]));

/** What Warewulf calls a device that muster's `master` or `parent` names, as an import would find it again. */
function referenceTo({ record, merged, find }: Writing, name: string): string | undefined {
  const known: Readonly<Record<string, DeviceFields | undefined>> = merged.devices ?? {};
  const words = [known[name]?.interface, name].filter((word) => word !== undefined);
  return words.find((word) => find(record, word) === name);
}

function writeTagLists(writing: Writing): void {
  const { record, merged, chain } = writing;
  const devices = (record.kind === "node" ? merged : record.fields).devices ?? {};
  for (const [device, effective] of Object.entries(devices)) {
    const own = record.fields.devices?.[device];
    for (const list of TAG_LISTS) {
      const inherited = chain
        .map(({ devices: theirs }) => theirs?.[device]?.[list] ?? [])
        .filter((words) => words.length > 0);
      if (own?.[list] === undefined && (record.kind === "profile" || inherited.length < 2)) continue;
      // A node's tags replace those of its profiles, so it says all it has; a profile says its own.
      const words = [...new Set((record.kind === "node" ? effective[list] : own?.[list]) ?? [])];
      const longest = Math.max(0, ...inherited.map((theirs) => theirs.length));
      const problem =
        record.kind === "node" && list !== "dnsSearch" && words.length < longest
          ? "Warewulf cannot take out what profiles add"
          : writeList(writing, device, list, words);
      if (problem !== undefined)
        leave(writing, ["devices", device, list], own?.[list] ?? [...words], problem);
    }
  }
}

/** Undefined, or why it cannot be written. */
function writeList(
  writing: Writing,
  device: string,
  list: (typeof TAG_LISTS)[number],
  words: readonly string[],
): string | undefined {
  if (words.some((word) => word.startsWith("~"))) return "Warewulf cannot take out what profiles add";
  const tags = ["network devices", device, "tags"];
  if (list === "dnsSearch") {
    if (words.some((word) => /[\s,;]/.test(word))) return "Warewulf takes it for several";
    put(writing, [...tags, "DNSSEARCH"], words.join(" "));
    return undefined;
  }
  const values = list === "dns" ? words : words.map(routeTag);
  if (values.some((value) => value === undefined)) return "Warewulf has no word for a route like this";
  const isTaken = new Set(Object.keys(writing.record.fields.devices?.[device]?.tags ?? {}));
  const width = String(values.length + isTaken.size).length;
  const prefix = list === "dns" ? "DNS" : "route";
  let number = 0;
  for (const value of values) {
    let tag: string;
    do tag = `${prefix}${String(++number).padStart(width, "0")}`;
    while (isTaken.has(tag));
    put(writing, [...tags, tag], value ?? "");
  }
  return undefined;
}

/** "10.2.0.0/16,10.1.0.1", with a metric "10.2.0.0/16,10.1.0.1,100"; undefined for what has more in it. */
function routeTag(route: string): string | undefined {
  const [, destination = "", gateway = "", metric] =
    /^([0-9a-f.:/]+)(?: via ([0-9a-f.:]+))?(?: metric (\d+))?$/i.exec(route) ?? [];
  if (destination === "") return undefined;
  return `${destination},${gateway}${metric === undefined ? "" : `,${metric}`}`;
}

/** Of a scalar, as Warewulf writes all of them but a few. */
function textOf(value: Json): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function put({ tree }: Writing, path: readonly string[], value: Json): void {
  let at = tree;
  for (const word of path.slice(0, -1)) at = (at[word] ??= {}) as Record<string, Json>;
  at[path.at(-1) ?? ""] = value;
}

function leave({ left }: Writing, path: FieldPath, value: Json, why: string): void {
  left.push({ path: renderFieldPath(path), value, why });
}
