import { describe, expect, it } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";

import { renderConfigFindings } from "../config/config-finding.ts";
import type { Json } from "../fields/fields.ts";
import type { InventoryState } from "../inventory/changes.ts";
import { BOOT_DEVICE, type ImportedNode, type ImportedSetting } from "./imported-node.ts";
import { type ImportOptions, planImport } from "./plan-import.ts";

const OPTIONS: ImportOptions = { device: "eno1", keep: false, addProfiles: false };
let line = 1;
const set = (path: string, value: Json, isAppended?: true): ImportedSetting => ({
  path: path.split(".").map((word) => (word === "*" ? BOOT_DEVICE : word)),
  value,
  line,
  column: 10,
  ...(isAppended === undefined ? {} : { isAppended }),
});
const node = (name: string, ...settings: ImportedSetting[]): ImportedNode => ({
  name: parseNodeName(name),
  line: line++,
  column: 1,
  settings,
});
const stateOf = (
  nodes: Readonly<Record<string, object>>,
  profiles: Readonly<Record<string, object>> = {},
): InventoryState => ({
  nodes: Object.entries(nodes).map(([name, fields]) => ({
    kind: "node",
    name,
    revision: 7,
    fields,
  })),
  profiles: Object.entries(profiles).map(([name, fields]) => ({
    kind: "profile",
    name,
    revision: 3,
    fields,
  })),
});

function planned(
  nodes: readonly ImportedNode[],
  state: InventoryState,
  options: Partial<ImportOptions> = {},
) {
  const plan = planImport({ nodes, findings: [], leftOver: [] }, state, { ...OPTIONS, ...options });
  line = 1;
  return {
    changes: plan.changes.map(
      ({ kind, name, revision, fields }) => `${kind} ${name} ${revision} ${JSON.stringify(fields)}`,
    ),
    told: renderConfigFindings("file", [...plan.findings, ...plan.leftOver]),
  };
}

describe("nodes", () => {
  it("that are new take from the profile default, as others that are added, unless the file says their profiles", () => {
    const state = stateOf({ c003: {} }, { default: { devices: { eno1: { mtu: 9000 } } }, gpu: {} });
    expect(
      planned(
        [
          node("c001", set("devices.*.mtu", 9000), set("tags.a", "1")),
          node("c002", set("profiles", ["gpu"], true)),
          node("c003", set("tags.a", "1")),
        ],
        state,
      ).changes,
    ).toEqual([
      'node c001 0 {"profiles":["default"],"tags":{"a":"1"}}',
      'node c002 0 {"profiles":["gpu"]}',
      'node c003 7 {"tags":{"a":"1"}}',
    ]);
  });

  it("that are new get the device that was named, those that are there keep everything else", () => {
    const state = stateOf({ c002: { comment: "mine", devices: { ib0: { mtu: 2044 } }, tags: { a: "1" } } });
    expect(
      planned(
        [
          node("c001", set("devices.*.address", "10.1.0.1"), set("devices.ib0.address", "10.2.0.1")),
          node("c002", set("tags.b", "2")),
          node("c003"),
        ],
        state,
      ),
    ).toEqual({
      changes: [
        'node c001 0 {"devices":{"eno1":{"address":"10.1.0.1"},"ib0":{"address":"10.2.0.1"}}}',
        'node c002 7 {"comment":"mine","devices":{"ib0":{"mtu":2044}},"tags":{"a":"1","b":"2"}}',
        "node c003 0 {}",
      ],
      told: [],
    });
  });

  it.each([
    [
      "the one with the MAC of the file",
      { devices: { a: { mac: "52:54:00:00:00:09" }, b: { mac: "52:54:00:00:00:01" } } },
      "b",
    ],
    [
      "its primary device",
      { primaryDevice: "z", devices: { a: { mac: "52:54:00:00:00:09" }, z: { mtu: 1500 } } },
      "z",
    ],
    ["the first with a MAC", { devices: { a: { mtu: 1500 }, b: { mac: "52:54:00:00:00:09" } } }, "b"],
    ["its only one", { devices: { a: { mtu: 1500 } } }, "a"],
    ["that of its profile", { profiles: ["p"] }, "ens1"],
  ])("boot from %s", (_, fields, device) => {
    const state = stateOf({ c001: fields }, { p: { devices: { ens1: { netmask: "255.255.0.0" } } } });
    const plan = planImport(
      {
        nodes: [
          node("c001", set("devices.*.mac", "52:54:00:00:00:01"), set("devices.*.address", "10.1.0.1")),
        ],
        findings: [],
        leftOver: [],
      },
      state,
      OPTIONS,
    );
    expect(plan.changes[0]?.fields?.devices?.[device]).toMatchObject({
      mac: "52:54:00:00:00:01",
      address: "10.1.0.1",
    });
  });

  it("do not say again what a profile says for them", () => {
    const state = stateOf(
      { c001: { profiles: ["p"] } },
      { p: { devices: { eno1: { netmask: "255.255.0.0" } } } },
    );
    expect(planned([node("c001", set("devices.*.netmask", "255.255.0.0"))], state).changes).toEqual([
      'node c001 7 {"profiles":["p"]}',
    ]);
  });
});

describe("values that are there already", () => {
  const state = stateOf(
    { c001: { devices: { eno1: { address: "10.1.0.9" } }, profiles: ["a"] } },
    { a: {}, b: {} },
  );
  const nodes = () => [node("c001", set("devices.*.address", "10.1.0.1"), set("profiles", ["a", "b"], true))];

  it("give way to the file; lists are added to", () => {
    expect(planned(nodes(), state)).toEqual({
      changes: ['node c001 7 {"profiles":["a","b"],"devices":{"eno1":{"address":"10.1.0.1"}}}'],
      told: [],
    });
  });

  it("stay with --keep, and what the file says is listed", () => {
    expect(planned(nodes(), state, { keep: true })).toEqual({
      changes: ['node c001 7 {"profiles":["a","b"],"devices":{"eno1":{"address":"10.1.0.9"}}}'],
      told: ["file:1:10: c001 devices.eno1.address: 10.1.0.1 is not taken: the node has 10.1.0.9 (--keep)"],
    });
  });
});

describe("findings", () => {
  it("are those of every value, at its place", () => {
    const told = planned(
      [node("c001", set("devices.*.address", "224.0.0.1"), set("tags.a b", "x"), set("devices.*.mtu", 9))],
      stateOf({}),
    ).told;
    expect(told).toEqual([
      'file:1:1: c001 tags: "a b" is not a tag: letters, digits and ._/- only',
      'file:1:10: c001 devices.eno1.address: "224.0.0.1" is not the IPv4 address of a host',
      'file:1:10: c001 devices.eno1.mtu: "9" is not a whole number from 68 to 65520',
    ]);
  });

  it("are profiles and images that do not exist, each once", () => {
    const nodes = () => [
      node("c001", set("profiles", ["gpu", "~old"]), set("image", "debian12")),
      node("c002", set("profiles", ["gpu"]), set("image", "debain12")),
      node("c003", set("image", "debain12")),
    ];
    const state = stateOf({}, { gpus: {} });
    const images = new Set(["debian12"]);
    expect(planned(nodes(), state, { images }).told).toEqual([
      "file:1:10: gpu: there is no such profile; did you mean gpus? Or muster profile add gpu, or pass --add-profiles",
      "file:1:10: old: there is no such profile; muster profile add old, or pass --add-profiles",
      "file:2:10: debain12: there is no such image; did you mean debian12?",
    ]);
    expect(planned([node("c001", set("profiles", ["gpu"]))], state, { addProfiles: true })).toEqual({
      changes: ["profile gpu 0 {}", 'node c001 0 {"profiles":["gpu"]}'],
      told: [],
    });
  });

  it("are MACs and addresses that two devices would have, of the file or of others", () => {
    const state = stateOf({
      c001: { devices: { eno1: { address: "10.1.0.1" } } },
      c002: { devices: { eno1: { address: "10.1.0.2" } } },
      c009: { devices: { ib0: { address: "10.1.0.9", mac: "52:54:00:00:00:09" } } },
    });
    expect(
      planned(
        [
          node("c001", set("devices.*.address", "10.1.0.9"), set("devices.*.mac", "52:54:00:00:00:01")),
          node("c003", set("devices.*.address", "10.1.0.2")),
          node("c004", set("devices.*.mac", "52:54:00:00:00:01")),
        ],
        state,
      ).told,
    ).toEqual([
      "file:1:10: c001 devices.eno1.address: 10.1.0.9 is that of c009 ib0; each belongs to one device only",
      "file:2:10: c003 devices.eno1.address: 10.1.0.2 is that of c002 eno1; each belongs to one device only",
      "file:3:10: c004 devices.eno1.mac: 52:54:00:00:00:01 is that of c001 eno1; each belongs to one device only",
    ]);
    // Nodes of the file may trade theirs.
    expect(
      planned(
        [
          node("c001", set("devices.*.address", "10.1.0.2")),
          node("c002", set("devices.*.address", "10.1.0.1")),
        ],
        state,
      ).told,
    ).toEqual([]);
  });
});
