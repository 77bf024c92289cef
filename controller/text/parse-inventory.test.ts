import { describe, expect, it } from "vitest";

import { checkText, MAX_TEXT_BYTES } from "./check-text.ts";
import { parseInventory, type RecordName } from "./parse-inventory.ts";
import { renderTextFindings } from "./text-finding.ts";

const findingsOf = (text: string, of?: RecordName): readonly string[] =>
  renderTextFindings(parseInventory("site.yaml", text, of).findings);

const recordsOf = (text: string): unknown => {
  const { records, findings } = parseInventory("site.yaml", text);
  expect(findings).toEqual([]);
  return Object.fromEntries(records.map(({ kind, name, fields }) => [`${kind} ${name}`, fields]));
};

describe("what a text says", () => {
  it("is the fields of each profile and node, in canonical form", () => {
    expect(
      recordsOf(`# ours
profiles:
  default:
    image: debian12
nodes:
  c001:
    devices:
      eno1: {address: 10.77.0.11, mac: 52-54-00-00-00-01}
    profiles: [default]
  c002:
`),
    ).toEqual({
      "profile default": { image: "debian12" },
      "node c001": {
        profiles: ["default"],
        devices: { eno1: { mac: "52:54:00:00:00:01", address: "10.77.0.11" } },
      },
      "node c002": {},
    });
  });

  it("keeps the text of every scalar, and the numbers of free YAML", () => {
    const text = `nodes:
  c001:
    kernelVersion: 6.10
    comment: 0042
    tags: {rack: 1, on: yes, serial: 0017, half: .5}
    kernelArguments: [1, true, 6.10]
    resources: {a: 6.10, b: 6.5, c: 0x1f, d: true, e: "true", f: [1, null], g: 12345678901234567890}
`;
    const fields = {
      comment: "0042",
      kernelVersion: "6.10",
      kernelArguments: ["1", "true", "6.10"],
      tags: { half: ".5", on: "yes", rack: "1", serial: "0017" },
      resources: {
        a: "6.10",
        b: 6.5,
        c: "0x1f",
        d: true,
        e: "true",
        f: [1, null],
        g: "12345678901234567890",
      },
    };
    expect(recordsOf(text)).toEqual({ "node c001": fields });
    // an anchor that nobody uses has it read with positions
    expect(recordsOf(text.replace("comment: ", "comment: &unused "))).toEqual({ "node c001": fields });
  });

  it("may come from Windows: a byte order mark and CRLF change nothing", () => {
    const bytes = Buffer.from("\ufeffnodes:\r\n  c001:\r\n    comment: rack one\r\n");
    const checked = checkText("site.yaml", bytes);
    expect("text" in checked && recordsOf(checked.text)).toEqual({ "node c001": { comment: "rack one" } });
  });

  it("may use anchors, which are written out", () => {
    expect(
      recordsOf(
        "nodes:\n  c001: &all\n    image: debian12\n    kernelArguments: &words [quiet]\n  c002: *all\n",
      ),
    ).toEqual({
      "node c001": { image: "debian12", kernelArguments: ["quiet"] },
      "node c002": { image: "debian12", kernelArguments: ["quiet"] },
    });
  });

  it("tells of which kinds it speaks, and of which part of the inventory it is", () => {
    expect(parseInventory("f", "nodes: {}\n")).toMatchObject({ kinds: new Set(["node"]), part: undefined });
    expect(
      parseInventory("f", "# muster inventory 1, part: nodes c[001-002]\nnodes: {c001: {}}\n"),
    ).toMatchObject({
      kinds: new Set(["node"]),
      part: "nodes c[001-002]",
    });
  });

  it("is one record's, when the first line says so or the directory does", () => {
    const text = "# muster inventory 1: profile gpu\nimage: debian12\n";
    const record = { kind: "profile", name: "gpu", fields: { image: "debian12" } };
    expect(parseInventory("gpu.yaml", text).records).toEqual([record]);
    expect(parseInventory("gpu.yaml", "image: debian12", { kind: "profile", name: "gpu" }).records).toEqual([
      record,
    ]);
    expect(parseInventory("gpu.yaml", "{}\n", { kind: "profile", name: "gpu" })).toMatchObject({
      findings: [],
      records: [{ fields: {} }],
    });
  });
});

describe("findings", () => {
  it("are all there at once, each with its place and what to do", () => {
    expect(
      findingsOf(`nodes:
  c001:
    imagee: debian12
    devices:
      eno1:
        mac: nonsense
        mtu: lots
  "bad name":
    discoverable: perhaps
profile:
  gpu: {}
`),
    ).toEqual([
      "site.yaml:3:5: nodes.c001.imagee: is no field; did you mean image?",
      expect.stringMatching(/^site\.yaml:6:14: nodes\.c001\.devices\.eno1\.mac: /),
      expect.stringMatching(/^site\.yaml:7:14: nodes\.c001\.devices\.eno1\.mtu: /),
      expect.stringMatching(/^site\.yaml:8:3: nodes\.bad name: /),
      expect.stringMatching(/^site\.yaml:9:19: nodes\.bad name\.discoverable: /),
      "site.yaml:10:1: profile: is neither profiles nor nodes; did you mean profiles?",
    ]);
  });

  it.each<readonly [string, string, readonly string[]]>([
    [
      "a key twice",
      "nodes:\n  c001:\n    image: a\n    image: b\n",
      ['site.yaml:4:5: the key "image" is here twice; keep one of them'],
    ],
    [
      "a node twice",
      "nodes:\n  c001: {}\n  c001: {}\n",
      ['site.yaml:3:3: the key "c001" is here twice; keep one of them'],
    ],
    [
      "a list where a map belongs",
      "nodes: [c001]\n",
      ["site.yaml:1:8: nodes: must be a map of nodes; write NAME: FIELDS below it"],
    ],
    [
      "a word where a map belongs",
      "nodes:\n  c001: debian12\n",
      ["site.yaml:2:9: nodes.c001: must be a map of fields, not a string"],
    ],
    ["nothing", "", ["site.yaml:1:1: is empty; write `nodes: {}` and `profiles: {}` for no records"]],
    [
      "only comments",
      "# nothing\n",
      ["site.yaml:1:1: is empty; write `nodes: {}` and `profiles: {}` for no records"],
    ],
    ["a list", "- a\n", ["site.yaml:1:1: is not an inventory; write `nodes:` and, below it, NAME: FIELDS"]],
    ["an empty map", "{}\n", ["site.yaml:1:1: holds neither profiles nor nodes"]],
    [
      "a list of nodes that was cut off, which is not the list of none",
      "nodes:\n",
      ["site.yaml:1:1: nodes: is empty; write `nodes: {}` for no nodes"],
    ],
    [
      "records at the top",
      "c001: {}\n",
      ["site.yaml:1:1: c001: is neither profiles nor nodes; write records below `nodes:` or `profiles:`"],
    ],
    [
      "a second document",
      "nodes: {}\n---\nnodes: {}\n",
      ["site.yaml:2:1: a second document begins here; put everything into one: without lines of ---"],
    ],
    [
      "a tab",
      "nodes:\n\tc001: {}\n",
      ["site.yaml:2:1: a tab stands where the line is indented; indent with blanks"],
    ],
    [
      "an unknown tag",
      "nodes:\n  c001: !!python/object {}\n",
      [
        "site.yaml:2:25: has the tag tag:yaml.org,2002:python/object, which muster does not take; write the value without it",
      ],
    ],
    [
      "a merge",
      "nodes:\n  c001: &a {image: x}\n  c002:\n    <<: *a\n",
      ["site.yaml:4:5: << (merge) is not taken; put what nodes share into a profile"],
    ],
    [
      "a key that is no word",
      "nodes:\n  ? [a, b]\n  : {}\n",
      ["site.yaml:2:5: a key must be one word; lists, maps and aliases cannot be keys"],
    ],
    [
      "__proto__",
      "nodes:\n  c001:\n    resources: {__proto__: {a: 1}}\n",
      ["site.yaml:3:17: __proto__ cannot be a key; choose another name"],
    ],
    [
      "an alias of nothing",
      "nodes:\n  c001: *base\n",
      ["site.yaml:2:9: *base stands for nothing: no &base comes before it; write the value out"],
    ],
    [
      "an alias inside of itself",
      "nodes:\n  c001:\n    resources: &r {a: *r}\n",
      ["site.yaml:3:23: *r is inside of what it stands for; write the value out"],
    ],
    [
      "a later version",
      "# muster inventory 2\nnodes: {}\n",
      ["site.yaml:1:1: is of version 2 of the format, and this muster knows 1; upgrade muster"],
    ],
    [
      "Warewulf's profiles",
      "nodeprofiles: {}\nnodes: {}\n",
      ["site.yaml:1:1: is a file of Warewulf; take it over with: muster import warewulf FILE"],
    ],
    [
      "Warewulf's nodes",
      "nodes:\n  n1:\n    network devices: {}\n",
      ["site.yaml:1:1: is a file of Warewulf; take it over with: muster import warewulf FILE"],
    ],
  ])("name %s", (_, text, findings) => {
    expect(findingsOf(text)).toEqual(findings);
  });

  it("name what only the reader of YAML can say, with its place", () => {
    expect(findingsOf("nodes:\n  c001: {image: a\n")).toEqual([
      expect.stringMatching(/^site\.yaml:\d+:\d+: cannot be read as YAML: /),
    ]);
    expect(findingsOf("nodes: @x\n")).toEqual([
      expect.stringMatching(/^site\.yaml:1:8: cannot be read as YAML: /),
    ]);
  });

  it("refuse a bomb of aliases at once", () => {
    const layers = Array.from(
      { length: 30 },
      (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at}, `.repeat(9)}*a${at}]`,
    );
    const started = performance.now();
    expect(findingsOf(`a0: &a0 [x]\n${layers.join("\n")}\nnodes: {}\n`)).toEqual([
      expect.stringMatching(
        /aliases make more than 1000000 values of this file; put what nodes share into a profile$/,
      ),
    ]);
    expect(performance.now() - started).toBeLessThan(30_000);
  });

  it("refuse nesting that would end the stack", () => {
    for (const depth of [70, 50_000]) {
      expect(findingsOf(`nodes: {c001: {resources: {a: ${"[".repeat(depth)}${"]".repeat(depth)}}}}`)).toEqual(
        [
          expect.stringMatching(
            /^site\.yaml:1:\d+: (?:is nested more than 60 deep|cannot be read as YAML: )/,
          ),
        ],
      );
    }
  });

  it("refuse an empty file of a record, which a full disk leaves, for it would unset every field", () => {
    expect(findingsOf("", { kind: "node", name: "c001" })).toEqual([
      "site.yaml:1:1: is empty; write {} for a record without fields",
    ]);
    expect(findingsOf("nodes: {}\n", { kind: "node", name: "c001" })).toEqual([
      "site.yaml:1:1: must hold the fields of node c001 alone",
    ]);
  });

  it("find the places of what is found later", () => {
    const text = "nodes:\n  c001:\n    devices:\n      eno1:\n        mac: 52:54:00:00:00:01\n";
    const parsed = parseInventory("site.yaml", text);
    expect(
      renderTextFindings(
        parsed.locate([
          { kind: "node", name: "c001", at: "devices.eno1.mac", what: "is in use", fix: "choose another" },
          { kind: "node", name: "c001", at: "", what: "is wrong" },
          { kind: "node", name: "c001", at: "image", what: "is unknown" },
        ]),
      ),
    ).toEqual([
      "site.yaml:5:14: nodes.c001.devices.eno1.mac: is in use; choose another",
      "site.yaml:2:3: nodes.c001: is wrong",
      "site.yaml:2:3: nodes.c001.image: is unknown",
    ]);
  });
});

describe("bytes that are no text", () => {
  const refused = (bytes: Uint8Array): readonly string[] => {
    const checked = checkText("f", bytes);
    return "findings" in checked ? renderTextFindings(checked.findings) : [];
  };

  it("are refused with the reason", () => {
    expect(refused(Buffer.from([0xff, 0xfe, 0x41, 0]))).toEqual(["f:1:1: is UTF-16; save it as UTF-8"]);
    expect(refused(Buffer.from([0x1f, 0x8b, 0x08, 0xff]))).toEqual([
      "f:1:1: is not UTF-8 text; save it as UTF-8; a compressed file must be unpacked first",
    ]);
    expect(refused(Buffer.from("nodes:\n  c001: {comment: a\u001b[31m}\n  c002: \u0000\n"))).toEqual([
      "f:2:20: here is the control character U+001B; take it out, or write it as an escape in double quotes",
      "f:3:9: here is the control character U+0000; take it out, or write it as an escape in double quotes",
    ]);
  });

  it("are not even read above the limit", () => {
    const started = performance.now();
    expect(refused(new Uint8Array(50 * 1024 * 1024).fill(0x61))).toEqual([
      "f:1:1: has 50 MiB, and nothing above 32 MiB is read; an inventory of 50,000 nodes is smaller; cut it into several files if it is one",
    ]);
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(refused(new Uint8Array(1).fill(0x61))).toEqual([]);
    expect(MAX_TEXT_BYTES).toBe(33_554_432);
  });
});
