import { isIP } from "node:net";

import { renderFieldPath } from "../../fields/field-path.ts";
import { BOND_MODES, DEVICE_TYPES } from "../../fields/fields.ts";
import { parseRoute } from "../../fields/parse-route.ts";
import type { LocatedEntry } from "./parse-located-yaml.ts";
import { listKey, type RecordReading } from "./record-reading.ts";
import { DEVICE_TAGS } from "./warewulf-keys.ts";

const DNS = /^DNS[0-9]*$/;
const ROUTE = /^route/;

/**
 * Tags of a network device. Those that the templates of Warewulf 4.6 give a meaning become fields, when their value is what
 * that meaning asks for; all others stay tags. Lists that are spread over tags (DNS, DNS1, route1) are in the order of their
 * names as text, as in Warewulf's templates.
 */
export function readDeviceTags(
  reading: RecordReading,
  device: string,
  key: string,
  tags: ReadonlyMap<string, LocatedEntry>,
): void {
  const names = [...tags.keys()].sort((a, b) => (a < b ? -1 : 1));
  for (const name of names) {
    const entry = tags.get(name);
    if (entry === undefined) continue;
    const at = `${key}.${name}`;
    const origin = reading.originOf(at, entry);
    const text = entry.value.kind === "scalar" ? entry.value.text.trim() : reading.textOf(at, entry);
    if (text === undefined) continue;
    const field = fieldOf(name, text);
    if (field === undefined) reading.put(["devices", device, "tags", name], text, origin);
    else if (field.kind === "type") {
      const hasType = reading.draft.origins.has(renderFieldPath(["devices", device, "type"]));
      reading.put(
        ["devices", device, ...(hasType ? ["tags", "type"] : ["type"])],
        text.toLowerCase(),
        origin,
      );
    } else if (isListTag(field.kind)) {
      const at = listKey(device, field.kind);
      const known = reading.draft.tagLists.get(at) ?? new Map<string, readonly string[]>();
      reading.draft.tagLists.set(at, known.set(name, field.values));
      reading.put(["devices", device, field.kind], [...new Set([...known.values()].flat())], origin);
    } else reading.put(["devices", device, field.kind], field.values[0] ?? "", origin);
  }
}

interface TagField {
  readonly kind: string;
  readonly values: readonly string[];
}

function isListTag(kind: string): boolean {
  return kind === "dns" || kind === "dnsSearch" || kind === "routes";
}

/** What a tag means; undefined for one that stays a tag. */
function fieldOf(name: string, text: string): TagField | undefined {
  if (text === "") return undefined;
  if (DNS.test(name)) {
    const servers = text.split(/[\s,;]+/).filter((word) => word !== "");
    return servers.every((server) => isIP(server) !== 0) ? { kind: "dns", values: servers } : undefined;
  }
  if (name === "DNSSEARCH")
    return { kind: "dnsSearch", values: text.split(/[\s,;]+/).filter((word) => word !== "") };
  if (ROUTE.test(name)) return routeOf(text);
  if (name === "type") return isType(text) ? { kind: "type", values: [text] } : undefined;
  const field = DEVICE_TAGS.get(name);
  if (field === undefined) return undefined;
  // The list is in the order of the kernel's numbers (bonding.txt).
  if (field === "bondMode") return { kind: field, values: [BOND_MODES[Number(text)] ?? text] };
  return { kind: field, values: [text] };
}

/** "10.2.0.0/16,10.1.0.1" or with a metric, "10.2.0.0/16,10.1.0.1,100" (nm-settings-keyfile(5)). */
function routeOf(text: string): TagField | undefined {
  const [destination = "", gateway = "", metric] = text.split(",").map((word) => word.trim());
  const route = [
    destination,
    ...(gateway === "" ? [] : ["via", gateway]),
    ...(metric === undefined ? [] : ["metric", metric]),
  ];
  const parsed = parseRoute(route.join(" "));
  return "value" in parsed ? { kind: "routes", values: [parsed.value] } : undefined;
}

function isType(text: string): boolean {
  return DEVICE_TYPES.some((type) => type === text.toLowerCase());
}
