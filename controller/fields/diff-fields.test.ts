import { describe, expect, it, test } from "vitest";

import { diffFields, effectOf } from "./diff-fields.ts";
import type { FieldEffect } from "./field-table.ts";
import { leafPaths } from "./list-leaves.ts";

describe("differences of fields", () => {
  it("are told value by value, lists as one, in the order in which fields are written", () => {
    expect(
      diffFields(
        {
          image: "a",
          kernelArguments: ["quiet"],
          devices: { eno1: { mtu: 1500 }, "eno1.7": { type: "vlan" } },
          tags: { rack: "1" },
          resources: { nfs: { home: "x", list: [1] } },
        },
        {
          image: "a",
          kernelArguments: ["quiet", "debug"],
          overlays: ["chrony"],
          devices: { eno1: { mtu: 9000 } },
          tags: { rack: "1", row: "" },
          resources: { nfs: { home: "y", list: [1] } },
        },
      ),
    ).toEqual([
      { path: "kernelArguments", before: ["quiet"], after: ["quiet", "debug"] },
      { path: "overlays", after: ["chrony"] },
      { path: "devices.eno1.mtu", before: 1500, after: 9000 },
      { path: 'devices."eno1.7".type', before: "vlan" },
      { path: "tags.row", after: "" },
      { path: "resources.nfs.home", before: "x", after: "y" },
    ]);
  });

  it("of a record that is new or gone are all its fields", () => {
    expect(diffFields(undefined, { image: "a" })).toEqual([{ path: "image", after: "a" }]);
    expect(diffFields({ image: "a" }, undefined)).toEqual([{ path: "image", before: "a" }]);
    expect(diffFields(undefined, {})).toEqual([]);
  });
});

describe("the effect of a change", () => {
  test.each<readonly [paths: readonly string[], effect: FieldEffect]>([
    [[], "none"],
    [["comment", "tags.rack", "profiles"], "none"],
    [["bmc.user", "disks./dev/sda.wipeTable", "resources.a.b"], "none"],
    [["comment", "runtimeOverlays"], "refresh"],
    [["runtimeOverlays", 'devices."eno1.7".mtu', "comment"], "reboot"],
    [["kernelArguments[0]"], "reboot"],
  ])("of %j is %s", (paths, effect) => {
    expect(effectOf(paths)).toBe(effect);
  });
});

it("paths of values stand in the order in which fields are written", () => {
  expect(
    leafPaths({
      image: "a",
      overlays: ["b"],
      devices: { "eno1.7": { mtu: 1500 } },
      resources: { a: {}, b: { c: [] } },
    }),
  ).toEqual(["image", "overlays", 'devices."eno1.7".mtu', "resources.a", "resources.b.c"]);
});
