import fc from "fast-check";
import { expect, test } from "vitest";

import type { Json } from "../../fields/fields.ts";
import { renderYamlTree } from "../../text/render-yaml-tree.ts";
import type { LocatedValue } from "./parse-located-yaml.ts";
import { parseNodesConf } from "./parse-nodes-conf.ts";
import { readWarewulfRecord } from "./read-warewulf-record.ts";
import { FLAT_KEYS, isUnset, WAREWULF_KEYS, type WarewulfKey } from "./warewulf-keys.ts";

const WORD = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9]{0,6}$/),
  fc.constantFrom(
    "true",
    "10.0.0.1",
    "10.0.0.1/24",
    "fd00::1/64",
    "52:54:00:00:00:01",
    "17",
    "/dev/sda",
    "tmpfs",
    "~x",
  ),
);
const OLD_KEYS = [...FLAT_KEYS.keys(), "container name", "keys", "tagsdel", "disabled"];
const TAGS = ["DNS", "DNS1", "DNSSEARCH", "route1", "mode", "type", "master", "vlan", "rack"];

function arbitraryKey(key: WarewulfKey): fc.Arbitrary<Json> {
  const kind = key.row?.type.kind;
  if (kind === "list") return fc.oneof(WORD, fc.uniqueArray(WORD, { minLength: 1, maxLength: 3 }));
  if (kind === "tags") return fc.dictionary(fc.constantFrom(...TAGS), WORD, { minKeys: 1, maxKeys: 4 });
  // A tree stands in one place, whatever is in it.
  if (kind === "tree") return fc.constant({ a: "b" });
  if (kind !== undefined) return WORD;
  const any = key.below.get("*");
  if (any !== undefined)
    return fc.dictionary(fc.constantFrom("eth0", "ib0"), arbitraryKey(any), { maxKeys: 2 });
  return arbitraryMap(key, []);
}

function arbitraryMap(key: WarewulfKey, more: readonly string[]): fc.Arbitrary<Json> {
  const known = [...key.below].map(([name, below]) => [name, arbitraryKey(below)] as const);
  const odd = [...more, "colour", "primary", "default", "ipcidr", "ip6addr", "prefix", "override"];
  // What is not marked says nothing.
  const mark = fc.constantFrom("true", "maybe");
  const others = odd.map((name) => [name, name === "primary" || name === "default" ? mark : WORD] as const);
  return fc.record(Object.fromEntries([...others, ...known]), { requiredKeys: [] }) as fc.Arbitrary<Json>;
}

/** Lines with a value that says something. */
function linesOf(value: LocatedValue): readonly number[] {
  if (value.kind === "scalar") return isUnset(value.text) ? [] : [value.at.line];
  if (value.kind === "list") return value.items.flatMap(linesOf);
  return [...value.entries].flatMap(([name, entry]) => (name === "resources" ? [] : linesOf(entry.value)));
}

test("every line of a record is in a field, or in what is said of the import", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("nodes", "nodeprofiles"),
      arbitraryMap(WAREWULF_KEYS, OLD_KEYS),
      (section, body) => {
        const [record] = parseNodesConf(renderYamlTree({ [section]: { n1: body } })).records;
        if (record === undefined) throw new Error("there is a record");
        const draft = readWarewulfRecord(record);
        const told = new Set(
          [...draft.origins.values(), ...draft.words.values(), ...draft.items, ...draft.findings].map(
            ({ line }) => line,
          ),
        );
        expect(linesOf(record.body).filter((line) => !told.has(line))).toEqual([]);
      },
    ),
    { numRuns: 500 },
  );
});
