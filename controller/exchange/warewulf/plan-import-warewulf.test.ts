import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";

import { type KnownNames, planImportWarewulf, type WarewulfImport } from "./plan-import-warewulf.ts";

const FIXTURES = new URL("../../../test/fixtures/warewulf/", import.meta.url);
const KNOWN: KnownNames = {
  images: new Set(["rocky-9", "rocky-9.4"]),
  overlays: new Set(["site", "base"]),
};

/** Everything an import says, to be read by people. */
function told({ version, records, items, findings }: WarewulfImport): string {
  return [
    `format of Warewulf ${version}`,
    ...findings.map(
      ({ line, column, key, what, fix }) => `${line}:${column} refused: ${key}: ${what}; ${fix ?? ""}`,
    ),
    ...records.map(({ kind, name, fields }) => `${kind} ${name} ${JSON.stringify(fields)}`),
    ...items.map(
      ({ line, column, outcome, kind, name, key, value, why, fix }) =>
        `${line}:${column} ${outcome}: ${kind} ${name}: ${key}${value === undefined ? "" : ` (${value})`}: ${why}${fix === undefined ? "" : `; ${fix}`}`,
    ),
    "",
  ].join("\n");
}

describe.each(["4.2", "4.4", "4.5", "4.6"])("nodes.conf of %s", (version) => {
  test("becomes these records, and everything else in it is listed", async () => {
    const text = await readFile(new URL(`nodes-${version}.conf`, FIXTURES), "utf8");
    const golden = new URL(`nodes-${version}.imported.txt`, FIXTURES).pathname;
    await expect(told(planImportWarewulf(text, KNOWN))).toMatchFileSnapshot(golden);
  });
});

/** Fields of the node n1 of a file, and what is said of it without places. */
function importNode(lines: string, rest = "", version?: WarewulfImport["version"]) {
  const text = `nodes:\n  n1:\n${lines.replace(/^/gm, "    ")}\n${rest}`;
  const { records, items, findings } = planImportWarewulf(text, KNOWN, version);
  return {
    fields: records.find(({ kind, name }) => kind === "node" && name === "n1")?.fields,
    said: items.map(({ outcome, key, why }) => `${outcome} ${key}: ${why}`),
    findings: findings.map(({ line, column, key, what }) => `${line}:${column} ${key}: ${what}`),
  };
}
const eth = (lines: string) => `network devices:\n  eth0:\n${lines.replace(/^/gm, "    ")}`;

test.each([
  ["true", true],
  ["YES", true],
  ["1", true],
  ["t", true],
  ["no", false],
  ['"0"', false],
  ["F", false],
])("discoverable: %s is Warewulf's word for %s", (word, expected) => {
  expect(importNode(`discoverable: ${word}`)).toEqual({
    fields: { discoverable: expected },
    said: [],
    findings: [],
  });
});

test.each(["undef", "UNSET", "--", "nil", "", "null", "~"])("discoverable: %s says nothing", (word) => {
  expect(importNode(`discoverable: ${word}`)).toEqual({ fields: {}, said: [], findings: [] });
});

test("a word that is no boolean is left out, not guessed", () => {
  expect(importNode("discoverable: on")).toEqual({
    fields: {},
    said: ["left discoverable: is neither true nor false"],
    findings: [],
  });
});

test.each([
  ["ipaddr: 10.0.0.1/16", { address: "10.0.0.1", netmask: "255.255.0.0" }],
  ["ipaddr: 10.0.0.1/16\nnetmask: 255.255.255.0", { address: "10.0.0.1", netmask: "255.255.255.0" }],
  ["ipcidr: 10.0.0.1/8", { address: "10.0.0.1", netmask: "255.0.0.0" }],
  ["ipaddr6: fd00::1/64", { address6: "fd00::1", prefixLength6: 64 }],
  ["ip6addr: FD00::1\nprefixlen6: 48", { address6: "fd00::1", prefixLength6: 48 }],
  ["ipaddr: 0.0.0.0\nmtu: 9000", { mtu: 9000 }],
  ["type: InfiniBand", { type: "infiniband" }],
  [
    "hwaddr: 80:00:02:08:FE:80:00:00:00:00:00:00:E4:1D:2D:03:00:4F:12:A1",
    { infinibandAddress: "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:4f:12:a1" },
  ],
  ["tags: {type: bond}", { type: "bond" }],
  ["type: ethernet\ntags: {type: bond}", { type: "ethernet", tags: { type: "bond" } }],
  [
    "tags: {mode: active-backup, downdelay: 200, updelay: 300}",
    { bondMode: "active-backup", downDelay: 200, upDelay: 300 },
  ],
  ["tags: {mode: 1}", { bondMode: "active-backup" }],
  ["tags: {cloned-mac-address: 52-54-00-00-00-01}", { clonedMac: "52:54:00:00:00:01" }],
  ["tags: {DNS2: 10.0.0.2, DNS1: 10.0.0.1, DNS: fd00::53}", { dns: ["fd00::53", "10.0.0.1", "10.0.0.2"] }],
  ["tags: {DNS: not-an-address}", { tags: { DNS: "not-an-address" } }],
  ["tags: {DNSSEARCH: 'a.example; b.example'}", { dnsSearch: ["a.example", "b.example"] }],
  [
    "tags: {route1: '10.2.0.0/16,10.0.0.9', route2: '0.0.0.0/0,10.0.0.8,50'}",
    { routes: ["10.2.0.0/16 via 10.0.0.9", "0.0.0.0/0 via 10.0.0.8 metric 50"] },
  ],
  ["tags: {routes: 'see the wiki'}", { tags: { routes: "see the wiki" } }],
  ["tags: {ipv6_method: auto, empty: ''}", { method6: "auto", tags: { empty: "" } }],
])("a device with %s", (lines, expected) => {
  const { fields, findings } = importNode(eth(lines));
  expect({ device: fields?.devices?.["eth0"], findings }).toEqual({ device: expected, findings: [] });
});

test("master and parent_device name interfaces, here devices; what no device has is left out", () => {
  const devices = `network devices:
  ports: {device: bond0, type: bond}
  a: {device: eno1, tags: {master: bond0}}
  b: {device: eno2, tags: {master: nobody}}
  c: {type: vlan, device: v7, tags: {parent_device: eno9, vlan_id: 7}}
profiles: [p]`;
  const { fields, said } = importNode(
    devices,
    "nodeprofiles:\n  p:\n    network devices:\n      up: {device: eno9}\n",
  );
  expect(fields?.devices).toEqual({
    ports: { interface: "bond0", type: "bond" },
    a: { interface: "eno1", master: "ports" },
    b: { interface: "eno2" },
    c: { interface: "v7", type: "vlan", vlanId: 7, parent: "up" },
  });
  expect(said).toEqual(["left network devices.b.tags.master: no device has this interface"]);
});

test.each([
  ["/boot/vmlinuz-5.14.0-1.el9.x86_64", "5.14.0-1.el9.x86_64"],
  ["/lib/modules/6.1.0-18-amd64/vmlinuz", "6.1.0-18-amd64"],
  ["6.10", "6.10"],
])("kernel version %s keeps every digit: %s", (text, expected) => {
  expect(importNode(`kernel: {version: ${text}}`).fields).toEqual({ kernelVersion: expected });
});

test("kernel arguments that stand in one element are several, and quotes hold together", () => {
  const { fields } = importNode(
    `kernel:\n  args:\n  - quiet crashkernel=no\n  - 'dyndbg="file a.c +p"'\n  - ~splash`,
  );
  expect(fields?.kernelArguments).toEqual(["quiet", "crashkernel=no", 'dyndbg="file a.c +p"', "~splash"]);
});

test("an overlay that is named twice counts where it is last, and that is said", () => {
  expect(importNode("system overlay: [site, base, site]")).toEqual({
    fields: { overlays: ["base", "site"] },
    said: ["changed system overlay: site: named more than once, counts where it is last"],
    findings: [],
  });
});

test("an overlay of Warewulf's that muster has too is carried over", () => {
  const known = { images: new Set<string>(), overlays: new Set(["generic"]) };
  const { records } = planImportWarewulf("nodes: {n1: {runtime overlay: generic}}", known);
  expect(records).toEqual([{ kind: "node", name: "n1", fields: { runtimeOverlays: ["generic"] } }]);
});

test("secrets are not repeated where something is said of them", () => {
  const { items } = planImportWarewulf(
    'nodes: {n1: {ipmi password: old, ipmi: {password: "a\\u0001b"}}}',
    KNOWN,
  );
  expect(items.map(({ key, value, why }) => ({ key, value, why }))).toEqual([
    { key: "ipmi password", value: undefined, why: "ipmi: password is there as well, and counts" },
    { key: "ipmi.password", value: undefined, why: "it holds control characters" },
  ]);
});

describe("a file that cannot be imported", () => {
  test.each([
    ["nodes: {a: [", "1:13 : cannot be read as YAML"],
    ["nodes:\n  n1: {}\n  n1: {}", "3:3 nodes.n1: this key is here twice, first in line 2"],
    ["nodes: [n1]", "1:8 nodes: is not a map of nodes"],
    ["nodes: {n1: text}", "1:13 nodes.n1: is not a map of fields"],
    ["just text", "1:1 : is not a nodes.conf: it has no keys"],
    ["", "1:1 : is not a nodes.conf: it has neither nodes nor nodeprofiles"],
    ["nodes: {n1: {comment: [a]}}", "1:23 n1: comment: is a list where Warewulf has one value"],
    ["nodes: {n1: {profiles: {a: b}}}", "1:24 n1: profiles: is a map where Warewulf has a list"],
    ["nodes: {n1: {tags: text}}", "1:20 n1: tags: is not a map"],
    ["nodes: {n1: {network devices: [a]}}", "1:31 n1: network devices: is not a map"],
    ["nodes: &a\n  n1: {tags: *a}\n", "2:7 nodes.n1.tags"],
    [
      "nodeprofiles: {a: {profiles: [b]}, b: {profiles: [a]}}\nnodes: {}",
      "1:20 profile a: profiles: the profile includes itself: a -> b -> a",
    ],
    [
      `nodes:\n  n1: {network devices: {e: {hwaddr: "52:54:00:00:00:01"}}}\n  n2: {network devices: {e: {hwaddr: 52-54-00-00-00-01}}}`,
      "3:30 node n2: device e: 52:54:00:00:00:01 is also that of n1, device e",
    ],
    [
      "nodeprofiles: {p: {network devices: {e: {ipaddr: 10.0.0.1}}}}\nnodes: {n1: {profiles: [p]}, n2: {profiles: [p]}}",
      "1:42 node n2: device e: 10.0.0.1 is also that of n1, device e, from profile p",
    ],
    ["nodes:\n  n1: {network devices: {v: {type: vlan, device: v7}}}", "2:30 node n1: devices.v"],
  ])("%s", (text, expected) => {
    const { findings } = planImportWarewulf(text, KNOWN);
    const [first = ""] = findings.map(({ line, column, key, what }) => `${line}:${column} ${key}: ${what}`);
    expect(first.slice(0, expected.length)).toBe(expected);
  });

  test("a bomb of aliases ends in a finding, and soon", () => {
    const levels = Array.from(
      { length: 30 },
      (_, at) => `l${at + 1}: &l${at + 1} [*l${at}, *l${at}, *l${at}]`,
    );
    const text = `l0: &l0 [x]\n${levels.join("\n")}\nnodes: {n1: {resources: {bomb: *l30}}}`;
    const start = performance.now();
    const { findings } = planImportWarewulf(text, KNOWN);
    expect(findings[0]?.what).toBe("makes the aliases of this file stand for more than 1000000 values");
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

test("anchors and merge keys mean what they mean to Warewulf", () => {
  const text = `x: &base {netmask: 255.255.0.0, mtu: 9000}
nodes:
  n1: {network devices: {e: {<<: *base, mtu: 1500}}}`;
  const { records } = planImportWarewulf(text, KNOWN);
  expect(records).toEqual([
    { kind: "node", name: "n1", fields: { devices: { e: { netmask: "255.255.0.0", mtu: 1500 } } } },
  ]);
});

test("10,000 nodes are read in seconds", () => {
  const nodes = Array.from(
    { length: 10_000 },
    (_, at) =>
      `  n${at}:\n    profiles: [default]\n    network devices:\n      default:\n        hwaddr: 52:54:00:00:${(at >> 8).toString(16).padStart(2, "0")}:${(at & 255).toString(16).padStart(2, "0")}\n        ipaddr: 10.${at >> 8}.${at & 255}.1\n`,
  );
  const start = performance.now();
  const { records, findings } = planImportWarewulf(
    `nodeprofiles: {default: {}}\nnodes:\n${nodes.join("")}`,
    KNOWN,
  );
  expect([records.length, findings]).toEqual([10_001, []]);
  expect(performance.now() - start).toBeLessThan(30_000);
});

test.each([
  ["constructor: x", "left constructor: it is not a key of Warewulf"],
  ["toString: x", "left toString: it is not a key of Warewulf"],
  ["__proto__: x", "left __proto__: it is not a key of Warewulf"],
  ["__proto__: {a: b}", "left __proto__: it is not a key of Warewulf"],
  [
    "network devices: {__proto__: {mtu: 1500}}",
    'left devices.__proto__: "__proto__" is not the name of a device',
  ],
  ["tags: {__proto__: x}", 'left tags: "__proto__" is not a tag: letters, digits and ._/- only'],
])("%s is told of, whatever JavaScript makes of the word", (line, said) => {
  expect(importNode(line)).toEqual({ fields: {}, said: [said], findings: [] });
  expect(({} as { mtu?: unknown }).mtu).toBeUndefined();
});
