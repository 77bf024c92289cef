import { describe, expect, it } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";

import type { Fields } from "../../fields/fields.ts";
import { type GroupFacts, listNodeGroups, planNodeGroups } from "./plan-node-groups.ts";

const node = (name: string, image?: string, tags: Readonly<Record<string, string>> = {}) => ({
  name: parseNodeName(name),
  ...(image === undefined ? {} : { image }),
  overlays: name === "c1" ? ["site", "extra"] : [],
  tags,
});

const record = (kind: "node" | "profile", name: string, fields: Fields) => ({
  kind,
  name,
  revision: 1,
  fields,
});

const FACTS: GroupFacts = {
  nodes: [node("c1", "rocky9"), node("c2"), node("c3", "debian12", { "a b": "x", rack: "" })],
  records: {
    nodes: [record("node", "c1", { profiles: ["a"] }), record("node", "c2", { profiles: ["a", "~b"] })],
    // A cycle, which the inventory refuses, does no harm.
    profiles: [record("profile", "a", { profiles: ["b"] }), record("profile", "b", { profiles: ["a"] })],
  },
  images: ["debian12", "old"],
  defaultImage: "debian12",
  overlays: ["site", "unused"],
  runtimeOverlaysOf: (name) => (name === "c2" ? ["site"] : ["site", "motd"]),
  stateOf: (name) => (name === "c3" ? "unreachable" : "ready"),
};

const groups = planNodeGroups(FACTS);

describe("planNodeGroups", () => {
  it.each([
    ["all", undefined, ["c1", "c2", "c3"]],
    ["up", undefined, ["c1", "c2"]],
    ["profile", "a", ["c1", "c2"]],
    ["profile", "b", ["c1"]],
    // Nodes without an image boot the site's.
    ["image", "debian12", ["c2", "c3"]],
    ["image", "rocky9", ["c1"]],
    ["image", "old", []],
    // System and runtime overlays, each node once.
    ["overlay", "site", ["c1", "c2", "c3"]],
    ["overlay", "motd", ["c1", "c3"]],
    ["overlay", "unused", []],
    ["state", "unreachable", ["c3"]],
    ["state", "failed", []],
    ["tag", "rack", ["c3"]],
    ["tag", "rack=", ["c3"]],
    ["image", "*", ["c1", "c2", "c3"]],
    ["image", "???????2", ["c2", "c3"]],
    ["overlay", "*e*", ["c1", "c2", "c3"]],
  ])("@%s %s", (source, name, nodes) => {
    expect([...groups(source, name)]).toEqual(nodes);
  });

  it.each([
    ["down", undefined, "there is no group @down", "`muster nodeset groups` shows all groups"],
    ["upp", undefined, "there is no group @upp", "did you mean @up?"],
    ["rocky9", undefined, "there is no group @rocky9", "did you mean @image:rocky9?"],
    ["site", undefined, "there is no group @site", "did you mean @overlay:site?"],
    ["image", "rocky8", 'there is no image "rocky8"', "did you mean @image:rocky9?"],
    ["image", "x*", 'there is no image "x*"', "`muster nodeset groups` shows all groups"],
    ["tag", "row=7", 'no node has the tag "row=7"', "`muster nodeset groups` shows all groups"],
    [
      "rack",
      "7",
      'there are no groups of "rack"',
      "write profile, image, overlay, state or tag, as in @profile:NAME",
    ],
    ["images", "a", 'there are no groups of "images"', "did you mean @image:a?"],
  ])("refuses @%s %s", (source, name, message, fix) => {
    expect(() => groups(source, name)).toThrow(
      expect.objectContaining({ code: "node-set-invalid", message, fix }),
    );
  });

  it("is made for 10,000 nodes, 200 racks of them at once, in well under half a second of CPU time", () => {
    const many: GroupFacts = {
      ...FACTS,
      nodes: Array.from({ length: 10_000 }, (_, i) => node(`n${i}`, undefined, { rack: String(i % 200) })),
    };
    const before = process.threadCpuUsage();
    const of = planNodeGroups(many);
    const found = Array.from({ length: 200 }, (_, rack) => [...of("tag", `rack=${rack}`)].length);
    const took = process.threadCpuUsage(before);
    expect(new Set(found)).toEqual(new Set([50]));
    expect((took.user + took.system) / 1000).toBeLessThan(500);
  });
});

describe("listNodeGroups", () => {
  it("has every group, also those that nobody is in", () => {
    expect(listNodeGroups(FACTS).map(({ name, count }) => `${name} ${count}`)).toEqual([
      ...["all 3", "up 2", "profile:a 2", "profile:b 1", "image:debian12 2", "image:old 0", "image:rocky9 1"],
      ...["overlay:extra 1", "overlay:motd 2", "overlay:site 3", "overlay:unused 0"],
      ...["state:booting 0", "state:failed 0", "state:new 0", "state:ready 2", "state:unreachable 1"],
      ...["tag:a b 1", "tag:a b=x 1", "tag:rack 1", "tag:rack= 1"],
    ]);
  });
});
