import type { ConfigFinding } from "../../config/config-finding.ts";
import type { ImportItem } from "./import-item.ts";
import { type LocatedMap, type LocatedValue, type Place, parseLocatedYaml } from "./parse-located-yaml.ts";
import { FLAT_KEYS } from "./warewulf-keys.ts";

/** The formats there are: versions between two of them read and write the lower one. */
export type FormatVersion = "4.2" | "4.3" | "4.4" | "4.5" | "4.6" | "4.7";

/** A node or profile as it stands in nodes.conf. */
export interface WarewulfRecord {
  readonly kind: "node" | "profile";
  readonly name: string;
  readonly at: Place;
  /** An empty map for `c001: {}` and `c001:`. */
  readonly body: LocatedMap;
}

export interface NodesConf {
  /** What the file looks like. */
  readonly version: FormatVersion;
  /** Profiles first, in the order of the file. */
  readonly records: readonly WarewulfRecord[];
  /** What must be put right before anything can be taken from the file. */
  readonly findings: readonly ConfigFinding[];
  readonly items: readonly ImportItem[];
}

/**
 * Reads nodes.conf of Warewulf 4.2 to 4.7 (internal/pkg/node/datastructure.go of each version): two maps, `nodeprofiles` and
 * `nodes`. Nothing in the records is looked at yet.
 */
export function parseNodesConf(text: string): NodesConf {
  const { root, findings } = parseLocatedYaml(text);
  const all: ConfigFinding[] = [...findings];
  const items: ImportItem[] = [];
  const records: WarewulfRecord[] = [];
  if (root !== undefined && root.kind !== "map" && !isEmpty(root)) {
    all.push({ ...root.at, key: "", what: "is not a nodes.conf: it has no keys" });
  }
  const top = root?.kind === "map" ? root.entries : undefined;
  for (const [kind, key] of [
    ["profile", "nodeprofiles"],
    ["node", "nodes"],
  ] as const) {
    const entry = top?.get(key);
    if (entry !== undefined) readRecords(kind, key, entry.value, records, all);
  }
  for (const [key, { at, value }] of top ?? []) {
    if (key === "nodes" || key === "nodeprofiles") continue;
    items.push({
      ...at,
      kind: "file",
      name: "",
      key,
      ...(value.kind === "scalar" ? { value: value.text } : {}),
      outcome: "left",
      why: key === "WW_INTERNAL" ? "it is a mark of Warewulf's own" : "it is not a key of Warewulf",
    });
  }
  if (all.length === 0 && top?.has("nodes") !== true && top?.has("nodeprofiles") !== true) {
    const what = "is not a nodes.conf: it has neither nodes nor nodeprofiles";
    all.push({
      line: 1,
      column: 1,
      key: "",
      what,
      fix: "give the nodes.conf of Warewulf, usually /etc/warewulf/nodes.conf",
    });
  }
  const mark = top?.get("WW_INTERNAL")?.value;
  return { version: versionOf(mark, records), records, findings: all, items };
}

function readRecords(
  kind: "node" | "profile",
  key: string,
  value: LocatedValue,
  records: WarewulfRecord[],
  findings: ConfigFinding[],
): void {
  if (isEmpty(value)) return;
  if (value.kind !== "map") {
    findings.push({
      ...value.at,
      key,
      what: `is not a map of ${kind}s`,
      fix: `write \`NAME:\` below ${key}`,
    });
    return;
  }
  for (const [name, { at, value: body }] of value.entries) {
    if (body.kind === "map") records.push({ kind, name, at, body });
    else if (isEmpty(body)) records.push({ kind, name, at, body: { kind: "map", at, entries: new Map() } });
    else findings.push({ ...body.at, key: `${key}.${name}`, what: "is not a map of fields" });
  }
}

/**
 * 4.3 and 4.4 mark their files with 43 or 44, 4.5 with 45; 4.2 does not, and has keys that 4.6 no longer has. When a file that
 * was written by hand has no sign of age, it is one of 4.6.
 */
function versionOf(mark: LocatedValue | undefined, records: readonly WarewulfRecord[]): FormatVersion {
  const number = mark?.kind === "scalar" ? Number(mark.text) : Number.NaN;
  if (number >= 45) return "4.5";
  if (number >= 43) return "4.3";
  const hasOldKey = records.some(({ body }) =>
    [...body.entries.keys()].some((key) => FLAT_KEYS.has(key) || key === "container name" || key === "keys"),
  );
  return hasOldKey ? "4.2" : "4.6";
}

function isEmpty(value: LocatedValue): boolean {
  return value.kind === "scalar" && value.text === "";
}
