import { expect, it } from "vitest";

import { type ComparedNode, planNodeDiff } from "./plan-node-diff.ts";

const node = (name: string, fields: object): ComparedNode => ({ name, fields });

it("finds no difference between nodes that differ in name only", () => {
  const fields = { image: "debian12", devices: { eno1: { mtu: 9000 } } };
  expect(planNodeDiff([node("c001", fields)], [node("login", fields)])).toEqual([]);
});

it("shows fields in the order in which they are written, and lists whole", () => {
  const left = node("c001", { overlays: ["a"], devices: { ib0: { mtu: 4092 }, eno1: { mtu: 1500 } } });
  const right = node("login", { image: "debian12", overlays: ["a", "b"], devices: { eno1: { mtu: 9000 } } });
  expect(planNodeDiff([left], [right])).toEqual([
    { path: "image", left: [{ nodes: "c001" }], right: [{ nodes: "login", value: "debian12" }] },
    {
      path: "overlays",
      left: [{ nodes: "c001", value: ["a"] }],
      right: [{ nodes: "login", value: ["a", "b"] }],
    },
    {
      path: "devices.eno1.mtu",
      left: [{ nodes: "c001", value: 1500 }],
      right: [{ nodes: "login", value: 9000 }],
    },
    { path: "devices.ib0.mtu", left: [{ nodes: "c001", value: 4092 }], right: [{ nodes: "login" }] },
  ]);
});

it("folds the nodes of a side that say the same, and shows what one of them says alone", () => {
  const left = ["c001", "c002", "c003"].map((name) => node(name, { image: name === "c002" ? "old" : "new" }));
  expect(planNodeDiff(left, [node("login", { image: "new" })])).toEqual([
    {
      path: "image",
      left: [
        { nodes: "c[001,003]", value: "new" },
        { nodes: "c002", value: "old" },
      ],
      right: [{ nodes: "login", value: "new" }],
    },
  ]);
});

it("leaves out what is one machine's own when asked to", () => {
  const left = node("c001", { devices: { eno1: { mac: "52:54:00:00:00:01", address: "10.0.0.1" } } });
  const right = node("c002", { devices: { eno1: { mac: "52:54:00:00:00:02", address: "10.0.0.2" } } });
  expect(planNodeDiff([left], [right]).map(({ path }) => path)).toEqual([
    "devices.eno1.mac",
    "devices.eno1.address",
  ]);
  expect(planNodeDiff([left], [right], { ignoreUnique: true })).toEqual([]);
});

it("compares each node with itself at another time", () => {
  const address = (name: string): object => ({ devices: { eno1: { address: `10.0.0.${name.slice(-1)}` } } });
  const then = ["c001", "c002", "c003"].map((name) => node(name, address(name)));
  const now = [node("c001", { ...address("c001"), image: "x" }), node("c002", address("c002"))];
  expect(planNodeDiff(then, now, { byName: true })).toEqual([
    { path: "image", left: [{ nodes: "c001" }], right: [{ nodes: "c001", value: "x" }] },
    { path: "devices.eno1.address", left: [{ nodes: "c003", value: "10.0.0.3" }], right: [] },
  ]);
});

it("keeps a path under resources that is a map on one node and a value on another", () => {
  const left = node("c001", { resources: { mounts: { home: "nfs" } } });
  const right = node("c002", { resources: { mounts: "none" } });
  expect(planNodeDiff([left], [right]).map(({ path }) => path)).toEqual([
    "resources.mounts",
    "resources.mounts.home",
  ]);
});

it("tells that secrets differ, and never what they are", () => {
  const [a, b, c] = ["one", "two", "one"].map((password, at) => node(`c00${at}`, { bmc: { password } }));
  expect(
    planNodeDiff(
      [a, b].flatMap((one) => one ?? []),
      [c].flatMap((one) => one ?? []),
    ),
  ).toEqual([
    {
      path: "bmc.password",
      left: [
        { nodes: "c000", value: "(secret 1)" },
        { nodes: "c001", value: "(secret 2)" },
      ],
      right: [{ nodes: "c002", value: "(secret 1)" }],
    },
  ]);
});
