import fc from "fast-check";
import { load as loadYaml, YAML11_SCHEMA } from "js-yaml";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";

import { arbitraryFields } from "../../test/fixtures/arbitrary-fields.ts";
import type { Fields, Json } from "../fields/fields.ts";
import type { InventoryRecord, RecordKind } from "../inventory/changes.ts";
import { parseInventory } from "./parse-inventory.ts";
import { renderInventory, renderRecordFile } from "./render-inventory.ts";
import { renderYamlTree } from "./render-yaml-tree.ts";
import { readYamlExactly } from "./read-yaml-exactly.ts";
import { readYamlFast } from "./read-yaml-fast.ts";

const record = (kind: RecordKind, name: string, fields: Fields): InventoryRecord => ({
  kind,
  name,
  revision: 3,
  fields,
});

describe("the text of an inventory", () => {
  it("has a value a line and quotes only where a reader could err", () => {
    const fields = {
      profiles: ["default", "~gpu"],
      comment: "rack one: left",
      image: "debian12",
      kernelVersion: "6.10",
      kernelArguments: ["quiet", "console=ttyS0,115200n8"],
      devices: {
        eno1: {
          mac: "52:54:00:00:00:01",
          address: "10.77.0.11",
          mtu: 9000,
          routes: ["10.2.0.0/16 via 10.77.0.1"],
        },
        "bond0.100": { type: "vlan", vlanId: 100, onBoot: false },
      },
      fileSystems: { "/dev/disk/by-partlabel/scratch": { format: "xfs", options: ["-K"] } },
      tags: { empty: "", on: "yes", rack: "1" },
      resources: { script: "#!/bin/sh\n\necho hello\n", list: [{ a: 1 }, [], {}], none: null },
    };
    expect(
      renderInventory({
        profiles: [record("profile", "default", {})],
        nodes: [record("node", "c001", fields as unknown as Fields), record("node", "c002", {})],
      }),
    ).toBe(`# muster inventory 1
profiles:
  default: {}
nodes:
  c001:
    profiles:
      - default
      - ~gpu
    comment: "rack one: left"
    image: debian12
    kernelVersion: "6.10"
    kernelArguments:
      - quiet
      - console=ttyS0,115200n8
    devices:
      eno1:
        mac: "52:54:00:00:00:01"
        address: 10.77.0.11
        mtu: 9000
        routes:
          - "10.2.0.0/16 via 10.77.0.1"
      bond0.100:
        type: vlan
        vlanId: 100
        onBoot: false
    fileSystems:
      /dev/disk/by-partlabel/scratch:
        format: xfs
        options:
          - "-K"
    tags:
      empty: ""
      "on": "yes"
      rack: "1"
    resources:
      script: |
        #!/bin/sh

        echo hello
      list:
        -
          a: 1
        - []
        - {}
      none: null
  c002: {}
`);
  });

  it("says in its first line what it is not all of", () => {
    const nodes = [record("node", "c001", {}), record("node", "c002", {})];
    expect(
      renderInventory(
        { nodes, profiles: [record("profile", "x", {})] },
        { part: { kind: "node", names: ["c001", "c002"] } },
      ),
    ).toBe("# muster inventory 1, part: nodes c[001-002]\nnodes:\n  c001: {}\n  c002: {}\n");
    expect(renderInventory({ nodes: [], profiles: [] }, { at: "2026-11-18T00:00:00.000Z" })).toBe(
      "# muster inventory 1, at 2026-11-18T00:00:00.000Z\nprofiles: {}\nnodes: {}\n",
    );
  });

  it("is a record's alone in the directory form, never empty", () => {
    expect(renderRecordFile("profile", "gpu", { image: "debian12" })).toBe(
      "# muster inventory 1: profile gpu\nimage: debian12\n",
    );
    expect(renderRecordFile("node", "c001", {})).toBe("# muster inventory 1: node c001\n{}\n");
  });
});

/** Texts that YAML readers take for something else, and anything. */
const oddText = fc.oneof(
  fc.constantFrom(
    ...[
      "",
      " ",
      "~",
      "null",
      "yes",
      "E0",
      "e+1",
      "No",
      "on",
      "true",
      "1",
      "0042",
      "6.10",
      "1e3",
      "0x1f",
      "0o17",
      ".5",
      "-1",
      "+1",
    ],
    ...[
      "1_000",
      "12:30:45",
      "52:54:00:00:00:01",
      "2026-11-20",
      "10.77.0.11",
      "1.",
      ".inf",
      ".nan",
      "=",
      "<<",
      "- a",
    ],
    ...[
      "a: b",
      "a #b",
      "#a",
      "&a",
      "*a",
      "!a",
      "|",
      ">",
      "%a",
      "@a",
      "`a",
      "[a]",
      "{a}",
      "a,b",
      "'a'",
      '"a"',
      "\\",
      "a:",
    ],
    ...[
      "a ",
      " a",
      "a\n",
      "a\nb",
      "a\n\nb\n",
      "\na",
      "a\n\n",
      "a\n b",
      "a \nb",
      "a\tb",
      "a\r\nb",
      "\u0085",
      "\u2028x",
      "\ufeff",
    ],
    ...[
      "---",
      "...",
      "? a",
      "é",
      "日本",
      "😀",
      "y",
      "N",
      "none",
      "a  b",
      "a\u00a0b",
      "~x",
      "~ x",
      "-",
      "?",
      ":",
      "0",
      "-0",
    ],
  ),
  fc.string({ maxLength: 20 }),
  fc.string({
    maxLength: 12,
    unit: fc.constantFrom("a", "1", ":", " ", "-", "\n", "#", "'", '"', ".", "~", "\t", "{", ","),
  }),
);
const isUsableKey = (key: string): boolean => key !== "__proto__";
const tree: fc.Arbitrary<Json> = fc.letrec<{ tree: Json }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    oddText,
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(oddText.filter(isUsableKey), tie("tree"), { maxKeys: 3, noNullPrototype: true }),
  ),
})).tree;
const trees = fc.dictionary(oddText.filter(isUsableKey), tree, {
  maxKeys: 3,
  minKeys: 1,
  noNullPrototype: true,
});

describe("YAML that is written", () => {
  it("is read back the same, fast and exactly", () => {
    fc.assert(
      fc.property(trees, (value) => {
        const text = renderYamlTree(value);
        expect(readYamlFast(text)).toEqual({ value });
        const { value: exact, findings } = readYamlExactly(text);
        expect({ exact, findings }).toEqual({ exact: value, findings: [] });
      }),
      { numRuns: 1000 },
    );
  });

  it("has every text read as that text by readers of YAML 1.1 and 1.2", () => {
    fc.assert(
      fc.property(
        fc.dictionary(oddText.filter(isUsableKey), oddText, { maxKeys: 4, noNullPrototype: true }),
        (value) => {
          const text = renderYamlTree(value);
          if (text === "") return;
          expect(parseYaml(text, { version: "1.1" })).toEqual(value);
          expect(parseYaml(text, { version: "1.2" })).toEqual(value);
          expect(loadYaml(text)).toEqual(value);
          expect(loadYaml(text, { schema: YAML11_SCHEMA })).toEqual(value);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("gives back the same records, whatever they are, and of the same records is the same", () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9]{0,4}$/);
    fc.assert(
      fc.property(fc.dictionary(name, arbitraryFields, { maxKeys: 3, noNullPrototype: true }), (all) => {
        const nodes = Object.entries(all).map(([one, fields]) => record("node", one, fields));
        const text = renderInventory({ nodes, profiles: [] });
        const { records, findings } = parseInventory("f", text);
        expect({ records, findings }).toEqual({
          records: nodes.map(({ kind, name: one, fields }) => ({ kind, name: one, fields })),
          findings: [],
        });
        const again = records.map(({ kind, name: one, fields }) => record(kind, one, fields));
        expect(renderInventory({ nodes: again, profiles: [] })).toBe(text);
        expect(JSON.stringify(again)).toBe(JSON.stringify(nodes));
        // the slow way gives the same
        expect(parseInventory("f", text.replace("nodes:", "nodes: &unused")).records).toEqual(records);
        const [first] = nodes;
        if (first === undefined) return;
        const file = renderRecordFile("node", first.name, first.fields);
        expect(parseInventory("f", file).records).toEqual(records.slice(0, 1));
      }),
      { numRuns: 150 },
    );
  });
});
