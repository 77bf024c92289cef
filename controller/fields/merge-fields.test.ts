import fc from "fast-check";
import { describe, expect, it, test } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";

import { arbitraryFields } from "../../test/fixtures/arbitrary-fields.ts";
import { canonicalFields } from "./canonical-fields.ts";
import type { Plain } from "./field-tree.ts";
import type { Fields, Json } from "./fields.ts";
import { expandProfiles, mergeFields, openMerger } from "./merge-fields.ts";

type Written = Readonly<Record<string, Json>>;
type Case = readonly [
  what: string,
  profiles: Readonly<Record<string, Written>>,
  own: Written,
  effective: Written,
];

/** The rules of `wwctl`'s merge (see the table of mergeFields), each case one that they decide. */
const CASES: Readonly<Record<string, readonly Case[]>> = {
  "rule 1, profiles are expanded depth first": [
    ["a node without profiles keeps its own", { p1: { image: "a" } }, { image: "b" }, { image: "b" }],
    [
      "one profile gives what it has",
      { p1: { image: "a" } },
      { profiles: ["p1"] },
      { profiles: ["p1"], image: "a" },
    ],
    [
      "the second profile beats the first",
      { p1: { image: "a" }, p2: { image: "b" } },
      { profiles: ["p1", "p2"] },
      { profiles: ["p1", "p2"], image: "b" },
    ],
    [
      "order is that of the list, not of names",
      { p1: { image: "a" }, p2: { image: "b" } },
      { profiles: ["p2", "p1"] },
      { profiles: ["p2", "p1"], image: "a" },
    ],
    [
      "a nested profile applies before the one that names it",
      { p1: { profiles: ["p2"], image: "a" }, p2: { image: "b" } },
      { profiles: ["p1"] },
      { profiles: ["p1"], image: "a" },
    ],
    [
      "what only the nested profile has is handed on",
      { p1: { profiles: ["p2"] }, p2: { image: "b" } },
      { profiles: ["p1"] },
      { profiles: ["p1"], image: "b" },
    ],
    [
      "three deep, the deepest is first",
      {
        p1: { profiles: ["p2"], overlays: ["one"] },
        p2: { profiles: ["p3"], overlays: ["two"] },
        p3: { overlays: ["three"] },
      },
      { profiles: ["p1"] },
      { profiles: ["p1"], overlays: ["three", "two", "one"] },
    ],
    [
      "a profile that two others name applies once, where it is met first",
      {
        p1: { profiles: ["base"], overlays: ["one"] },
        p2: { profiles: ["base"], overlays: ["two"] },
        base: { overlays: ["base"] },
      },
      { profiles: ["p1", "p2"] },
      { profiles: ["p1", "p2"], overlays: ["base", "one", "two"] },
    ],
    [
      "a profile that was met below does not apply again where the node names it",
      { p1: { profiles: ["base"], image: "a" }, base: { image: "b" } },
      { profiles: ["p1", "base"] },
      { profiles: ["p1", "base"], image: "a" },
    ],
    [
      "a profile that names itself applies once",
      { p1: { profiles: ["p1"], overlays: ["one"] } },
      { profiles: ["p1"] },
      { profiles: ["p1"], overlays: ["one"] },
    ],
    [
      "a circle of profiles ends",
      {
        p1: { profiles: ["p2"], overlays: ["one"] },
        p2: { profiles: ["p3"], overlays: ["two"] },
        p3: { profiles: ["p1"], overlays: ["three"] },
      },
      { profiles: ["p1"] },
      { profiles: ["p1"], overlays: ["three", "two", "one"] },
    ],
    ["a profile without fields changes nothing", { p1: {} }, { profiles: ["p1"] }, { profiles: ["p1"] }],
  ],
  "rule 2, ~x takes out": [
    [
      "a profile that a later profile negates does not apply",
      { p1: { image: "a" }, p2: { profiles: ["~p1"] } },
      { profiles: ["p1", "p2"] },
      { profiles: ["p1", "p2"] },
    ],
    [
      "nor one that an earlier profile negates: order does not matter",
      { p1: { image: "a" }, p2: { profiles: ["~p1"] } },
      { profiles: ["p2", "p1"] },
      { profiles: ["p2", "p1"] },
    ],
    [
      "a node can negate what its profile nests",
      { p1: { profiles: ["p2"], image: "a" }, p2: { cluster: "x" } },
      { profiles: ["p1", "~p2"] },
      { profiles: ["p1", "~p2"], image: "a" },
    ],
    [
      "a profile can negate the profile that names it",
      { p1: { profiles: ["p2"], image: "a" }, p2: { profiles: ["~p1"], cluster: "x" } },
      { profiles: ["p1"] },
      { profiles: ["p1"], cluster: "x" },
    ],
    [
      "what a negated profile nests stays",
      { p1: { profiles: ["p2"], image: "a" }, p2: { cluster: "x" } },
      { profiles: ["p1", "~p1"] },
      { profiles: ["p1", "~p1"], cluster: "x" },
    ],
    [
      "a negated profile's own negations are still heard",
      { p1: { profiles: ["~p2"] }, p2: { image: "a" } },
      { profiles: ["p1", "~p1", "p2"] },
      { profiles: ["p1", "~p1", "p2"] },
    ],
    [
      "negating a profile that does not exist does no harm",
      { p1: { image: "a" } },
      { profiles: ["p1", "~p9"] },
      { profiles: ["p1", "~p9"], image: "a" },
    ],
    [
      "a node takes a system overlay of its profile out",
      { p1: { overlays: ["one", "two"] } },
      { profiles: ["p1"], overlays: ["~one"] },
      { profiles: ["p1"], overlays: ["two"] },
    ],
    [
      "a runtime overlay too",
      { p1: { runtimeOverlays: ["one", "two"] } },
      { profiles: ["p1"], runtimeOverlays: ["~two", "three"] },
      { profiles: ["p1"], runtimeOverlays: ["one", "three"] },
    ],
    [
      "a kernel argument too",
      { p1: { kernelArguments: ["quiet", "crashkernel=no"] } },
      { profiles: ["p1"], kernelArguments: ["~quiet"] },
      { profiles: ["p1"], kernelArguments: ["crashkernel=no"] },
    ],
    [
      "a kernel argument is meant whole: ~console takes no console=ttyS0 out",
      { p1: { kernelArguments: ["console=ttyS0"] } },
      { profiles: ["p1"], kernelArguments: ["~console"] },
      { profiles: ["p1"], kernelArguments: ["console=ttyS0"] },
    ],
    [
      "every x goes, before and after ~x",
      { p1: { overlays: ["one"] }, p2: { overlays: ["~one"] }, p3: { overlays: ["one", "two"] } },
      { profiles: ["p1", "p2", "p3"], overlays: ["one"] },
      { profiles: ["p1", "p2", "p3"], overlays: ["two"] },
    ],
    [
      "a list can be left with nothing",
      { p1: { overlays: ["one"] } },
      { profiles: ["p1"], overlays: ["~one"] },
      { profiles: ["p1"] },
    ],
    ["~x alone leaves nothing behind", {}, { overlays: ["~one"] }, {}],
    [
      "~x in a profile does not reach the node that lacks x",
      { p1: { overlays: ["~one"] } },
      { profiles: ["p1"] },
      { profiles: ["p1"] },
    ],
    [
      "~x in one list takes nothing out of another",
      { p1: { overlays: ["one"], runtimeOverlays: ["one"] } },
      { profiles: ["p1"], overlays: ["~one"] },
      { profiles: ["p1"], runtimeOverlays: ["one"] },
    ],
    [
      "what is there twice and not negated stays twice",
      { p1: { kernelArguments: ["a", "b"] } },
      { profiles: ["p1"], kernelArguments: ["a"] },
      { profiles: ["p1"], kernelArguments: ["a", "b", "a"] },
    ],
    [
      "name servers of a device can be taken out like anything in a list",
      { p1: { devices: { eno1: { dns: ["10.0.0.1", "10.0.0.2"] } } } },
      { profiles: ["p1"], devices: { eno1: { dns: ["~10.0.0.1"] } } },
      { profiles: ["p1"], devices: { eno1: { dns: ["10.0.0.2"] } } },
    ],
    [
      "a device of which nothing is left is gone",
      { p1: { devices: { eno1: { dns: ["10.0.0.1"] } } } },
      { profiles: ["p1"], devices: { eno1: { dns: ["~10.0.0.1"] } } },
      { profiles: ["p1"] },
    ],
    [
      "tags know no ~",
      { p1: { tags: { a: "1" } } },
      { profiles: ["p1"], tags: { b: "~1" } },
      { profiles: ["p1"], tags: { a: "1", b: "~1" } },
    ],
  ],
  "rule 3, scalars: later beats earlier, the node beats all": [
    [
      "the node beats its profile",
      { p1: { image: "a" } },
      { profiles: ["p1"], image: "b" },
      { profiles: ["p1"], image: "b" },
    ],
    [
      "the node beats all its profiles",
      { p1: { image: "a" }, p2: { image: "b" } },
      { profiles: ["p1", "p2"], image: "c" },
      { profiles: ["p1", "p2"], image: "c" },
    ],
    [
      "a later profile without the field leaves the earlier one's",
      { p1: { image: "a" }, p2: { cluster: "x" } },
      { profiles: ["p1", "p2"] },
      { profiles: ["p1", "p2"], cluster: "x", image: "a" },
    ],
    [
      "a kernel version",
      { p1: { kernelVersion: "6.1" }, p2: { kernelVersion: "6.12" } },
      { profiles: ["p1", "p2"] },
      { profiles: ["p1", "p2"], kernelVersion: "6.12" },
    ],
    [
      "a number",
      { p1: { rootSizeBytes: 1 } },
      { profiles: ["p1"], rootSizeBytes: 2 },
      { profiles: ["p1"], rootSizeBytes: 2 },
    ],
    [
      "a word",
      { p1: { rootMode: "tmpfs" } },
      { profiles: ["p1"], rootMode: "squashfs" },
      { profiles: ["p1"], rootMode: "squashfs" },
    ],
    ["no address at all", {}, { devices: { eno1: { mtu: 9000 } } }, { devices: { eno1: { mtu: 9000 } } }],
    [
      "an address of the node",
      {},
      { devices: { eno1: { address: "10.0.0.1" } } },
      { devices: { eno1: { address: "10.0.0.1" } } },
    ],
    [
      "an address of a profile",
      { p1: { devices: { eno1: { address: "10.0.0.1" } } } },
      { profiles: ["p1"] },
      { profiles: ["p1"], devices: { eno1: { address: "10.0.0.1" } } },
    ],
    [
      "the address of the later profile",
      {
        p1: { devices: { eno1: { address: "10.0.0.1" } } },
        p2: { devices: { eno1: { address: "10.0.0.2" } } },
      },
      { profiles: ["p1", "p2"] },
      { profiles: ["p1", "p2"], devices: { eno1: { address: "10.0.0.2" } } },
    ],
    [
      "the address of the node",
      {
        p1: { devices: { eno1: { address: "10.0.0.1" } } },
        p2: { devices: { eno1: { address: "10.0.0.2" } } },
      },
      { profiles: ["p1", "p2"], devices: { eno1: { address: "10.0.0.3" } } },
      { profiles: ["p1", "p2"], devices: { eno1: { address: "10.0.0.3" } } },
    ],
    [
      "the user and password of a BMC",
      { p1: { bmc: { user: "admin", password: "one" } } },
      { profiles: ["p1"], bmc: { password: "two" } },
      { profiles: ["p1"], bmc: { user: "admin", password: "two" } },
    ],
    [
      "a BMC is put together from several profiles",
      { p1: { bmc: { user: "admin" } }, p2: { bmc: { netmask: "255.255.255.0" } } },
      { profiles: ["p1", "p2"], bmc: { address: "10.9.0.1" } },
      { profiles: ["p1", "p2"], bmc: { address: "10.9.0.1", netmask: "255.255.255.0", user: "admin" } },
    ],
  ],
  "rule 4, lists append": [
    ["a list of the node alone", {}, { overlays: ["b", "a"] }, { overlays: ["b", "a"] }],
    [
      "a list of a profile",
      { p1: { overlays: ["b", "a"] } },
      { profiles: ["p1"] },
      { profiles: ["p1"], overlays: ["b", "a"] },
    ],
    [
      "profiles in their order, the node last",
      { p1: { overlays: ["a"] }, p2: { overlays: ["b"] } },
      { profiles: ["p1", "p2"], overlays: ["c", "d"] },
      { profiles: ["p1", "p2"], overlays: ["a", "b", "c", "d"] },
    ],
    [
      "runtime overlays",
      { p1: { runtimeOverlays: ["a"] } },
      { profiles: ["p1"], runtimeOverlays: ["b"] },
      { profiles: ["p1"], runtimeOverlays: ["a", "b"] },
    ],
    [
      "kernel arguments",
      { p1: { kernelArguments: ["a"] }, p2: { kernelArguments: ["b"] } },
      { profiles: ["p1", "p2"], kernelArguments: ["c"] },
      { profiles: ["p1", "p2"], kernelArguments: ["a", "b", "c"] },
    ],
    [
      "routes of a device",
      { p1: { devices: { ib0: { routes: ["10.2.0.0/16 via 10.1.0.1"] } } } },
      { profiles: ["p1"], devices: { ib0: { routes: ["10.3.0.0/16 via 10.1.0.1"] } } },
      {
        profiles: ["p1"],
        devices: { ib0: { routes: ["10.2.0.0/16 via 10.1.0.1", "10.3.0.0/16 via 10.1.0.1"] } },
      },
    ],
    [
      "options of a file system",
      { p1: { fileSystems: { "/dev/sda1": { options: ["-f"] } } } },
      { profiles: ["p1"], fileSystems: { "/dev/sda1": { options: ["-L", "x"] } } },
      { profiles: ["p1"], fileSystems: { "/dev/sda1": { options: ["-f", "-L", "x"] } } },
    ],
  ],
  "rule 5, maps merge key by key": [
    ["a tag of the node", {}, { tags: { a: "n" } }, { tags: { a: "n" } }],
    [
      "a tag of a profile",
      { p1: { tags: { a: "1" } } },
      { profiles: ["p1"] },
      { profiles: ["p1"], tags: { a: "1" } },
    ],
    [
      "the tag of the later profile",
      { p1: { tags: { a: "1" } }, p2: { tags: { a: "2" } } },
      { profiles: ["p1", "p2"] },
      { profiles: ["p1", "p2"], tags: { a: "2" } },
    ],
    [
      "the tag of the node",
      { p1: { tags: { a: "1" } }, p2: { tags: { a: "2" } } },
      { profiles: ["p1", "p2"], tags: { a: "n" } },
      { profiles: ["p1", "p2"], tags: { a: "n" } },
    ],
    [
      "tags of everybody, in natural order",
      { p1: { tags: { t10: "1" } }, p2: { tags: { t2: "2" } } },
      { profiles: ["p1", "p2"], tags: { t1: "n" } },
      { profiles: ["p1", "p2"], tags: { t1: "n", t2: "2", t10: "1" } },
    ],
    [
      "a tag set to nothing is still a tag",
      { p1: { tags: { a: "1" } } },
      { profiles: ["p1"], tags: { a: "" } },
      { profiles: ["p1"], tags: { a: "" } },
    ],
    [
      "a tag may be called like what every object has",
      { p1: { tags: { constructor: "1" } } },
      { profiles: ["p1"], tags: { valueOf: "2" } },
      { profiles: ["p1"], tags: { constructor: "1", valueOf: "2" } },
    ],
    [
      "tags of a device: node over profiles",
      {
        p1: { devices: { d: { tags: { a: "1", b: "1" } } } },
        p2: { devices: { d: { tags: { a: "2", c: "2" } } } },
      },
      { profiles: ["p1", "p2"], devices: { d: { tags: { a: "n" } } } },
      { profiles: ["p1", "p2"], devices: { d: { tags: { a: "n", b: "1", c: "2" } } } },
    ],
    [
      "tags of a BMC",
      { p1: { bmc: { tags: { a: "1" } } } },
      { profiles: ["p1"], bmc: { tags: { b: "2" } } },
      { profiles: ["p1"], bmc: { tags: { a: "1", b: "2" } } },
    ],
    [
      "a device is put together from everybody",
      { p1: { devices: { d: { netmask: "255.255.255.0", mtu: 1500 } } } },
      { profiles: ["p1"], devices: { d: { mtu: 9000, address: "10.0.0.1" } } },
      { profiles: ["p1"], devices: { d: { address: "10.0.0.1", netmask: "255.255.255.0", mtu: 9000 } } },
    ],
    [
      "different devices stand side by side",
      { p1: { devices: { ib0: { type: "infiniband" } } } },
      { profiles: ["p1"], devices: { eno1: { mtu: 9000 } } },
      { profiles: ["p1"], devices: { eno1: { mtu: 9000 }, ib0: { type: "infiniband" } } },
    ],
    [
      "partitions of a disk, recursively",
      {
        p1: {
          disks: { "/dev/sda": { wipeTable: true, partitions: { scratch: { number: 1, sizeMib: 100 } } } },
        },
      },
      {
        profiles: ["p1"],
        disks: { "/dev/sda": { partitions: { scratch: { sizeMib: 200 }, swap: { number: 2 } } } },
      },
      {
        profiles: ["p1"],
        disks: {
          "/dev/sda": {
            wipeTable: true,
            partitions: { scratch: { number: 1, sizeMib: 200 }, swap: { number: 2 } },
          },
        },
      },
    ],
    [
      "file systems",
      { p1: { fileSystems: { "/dev/sda1": { format: "ext4", path: "/scratch" } } } },
      { profiles: ["p1"], fileSystems: { "/dev/sda1": { format: "xfs" } } },
      { profiles: ["p1"], fileSystems: { "/dev/sda1": { format: "xfs", path: "/scratch" } } },
    ],
  ],
  "rule 6, a set boolean overrides, also with false": [
    [
      "false over true",
      { p1: { devices: { d: { onBoot: true } } } },
      { profiles: ["p1"], devices: { d: { onBoot: false } } },
      { profiles: ["p1"], devices: { d: { onBoot: false } } },
    ],
    [
      "true over false",
      { p1: { disks: { "/dev/sda": { wipeTable: false } } } },
      { profiles: ["p1"], disks: { "/dev/sda": { wipeTable: true } } },
      { profiles: ["p1"], disks: { "/dev/sda": { wipeTable: true } } },
    ],
    [
      "what is absent leaves false",
      { p1: { bmc: { write: false } } },
      { profiles: ["p1"], bmc: { user: "x" } },
      { profiles: ["p1"], bmc: { user: "x", write: false } },
    ],
  ],
  "rule 7, resources: nested maps merge, lists append, all else replaces": [
    [
      "a resource of a profile",
      { p1: { resources: { a: 1 } } },
      { profiles: ["p1"] },
      { profiles: ["p1"], resources: { a: 1 } },
    ],
    [
      "different resources stand side by side",
      { p1: { resources: { b: 1 } } },
      { profiles: ["p1"], resources: { a: 2 } },
      { profiles: ["p1"], resources: { a: 2, b: 1 } },
    ],
    [
      "maps merge at any depth",
      { p1: { resources: { a: { b: { c: 1, d: 1 } } } } },
      { profiles: ["p1"], resources: { a: { b: { d: 2, e: 2 } } } },
      { profiles: ["p1"], resources: { a: { b: { c: 1, d: 2, e: 2 } } } },
    ],
    [
      'a list is appended to a list, as Warewulf\'s own test "resources" has it',
      { p1: { resources: { fstab: [{ spec: "warewulf:/home" }] } } },
      { profiles: ["p1"], resources: { fstab: [{ spec: "warewulf:/opt" }] } },
      { profiles: ["p1"], resources: { fstab: [{ spec: "warewulf:/home" }, { spec: "warewulf:/opt" }] } },
    ],
    [
      "a list in a nested map, too",
      { p1: { resources: { a: { b: ["1"] } } } },
      { profiles: ["p1"], resources: { a: { b: ["2"] } } },
      { profiles: ["p1"], resources: { a: { b: ["1", "2"] } } },
    ],
    [
      "a scalar replaces a map",
      { p1: { resources: { a: { b: 1 } } } },
      { profiles: ["p1"], resources: { a: "x" } },
      { profiles: ["p1"], resources: { a: "x" } },
    ],
    [
      "a map replaces a scalar",
      { p1: { resources: { a: "x" } } },
      { profiles: ["p1"], resources: { a: { b: 1 } } },
      { profiles: ["p1"], resources: { a: { b: 1 } } },
    ],
    [
      "false, 0 and nothing are values",
      { p1: { resources: { a: true, b: 1, c: ["x"] } } },
      { profiles: ["p1"], resources: { a: false, b: 0, c: null } },
      { profiles: ["p1"], resources: { a: false, b: 0, c: null } },
    ],
    [
      "an empty list adds nothing",
      { p1: { resources: { a: ["x"] } } },
      { profiles: ["p1"], resources: { a: [] } },
      { profiles: ["p1"], resources: { a: ["x"] } },
    ],
    [
      "a list replaces a scalar, and a scalar a list",
      { p1: { resources: { a: "x", b: ["x"] } } },
      { profiles: ["p1"], resources: { a: ["y"], b: "y" } },
      { profiles: ["p1"], resources: { a: ["y"], b: "y" } },
    ],
    [
      "~x in a resource is a text like any",
      { p1: { resources: { a: ["x"] } } },
      { profiles: ["p1"], resources: { a: ["~x", "x"] } },
      { profiles: ["p1"], resources: { a: ["x", "~x", "x"] } },
    ],
  ],
  "rule 8, comment and profiles are not inherited": [
    ["a node's comment", {}, { comment: "n" }, { comment: "n" }],
    [
      "a profile's comment stays with it",
      { p1: { comment: "1" } },
      { profiles: ["p1"] },
      { profiles: ["p1"] },
    ],
    [
      "a node keeps its comment",
      { p1: { comment: "1" }, p2: { comment: "2" } },
      { profiles: ["p1", "p2"], comment: "n" },
      { profiles: ["p1", "p2"], comment: "n" },
    ],
    [
      "the list of profiles is that of the node, as it was written",
      { p1: { profiles: ["p2"] }, p2: {}, p3: {} },
      { profiles: ["p1", "~p3"] },
      { profiles: ["p1", "~p3"] },
    ],
    [
      "what only nodes can have is not taken from a profile either",
      { p1: { assetKey: "x", discoverable: true, image: "a" } },
      { profiles: ["p1"] },
      { profiles: ["p1"], image: "a" },
    ],
  ],
};

describe.each(Object.entries(CASES))("%s", (_rule, cases) => {
  test.each(cases)("%s", (_what, profiles, own, effective) => {
    const known = new Map(Object.entries(profiles as Record<string, Fields>));
    const merged = mergeFields(own, known);
    // As text: keys must stand in canonical order as well.
    expect(JSON.stringify(merged, null, 1)).toBe(JSON.stringify(effective, null, 1));
  });
});

describe("merging", () => {
  it("is checked by at least as many cases as Warewulf's", () => {
    expect(Object.values(CASES).flat().length).toBeGreaterThanOrEqual(60);
  });

  it("refuses a profile that does not exist, where Warewulf only warns", () => {
    const merge = (): Fields => mergeFields({ profiles: ["p1"] }, new Map([["p1", { profiles: ["gone"] }]]));
    expect(merge).toThrow(
      new MusterError({
        code: "profile-unknown",
        what: 'there is no profile "gone"',
        fix: "add it (muster profile add gone) or take it out of the list of profiles",
      }),
    );
  });

  it("does not miss a profile that does not exist when it is negated", () => {
    expect(mergeFields({ profiles: ["gone", "~gone"] }, new Map())).toEqual({ profiles: ["gone", "~gone"] });
  });

  it.each<
    readonly [
      what: string,
      nested: Readonly<Record<string, readonly string[]>>,
      list: readonly string[],
      applied: readonly string[],
    ]
  >([
    ["two that negate one", { a: [], b: ["~a"], c: ["~a"] }, ["a", "b", "c"], ["b", "c"]],
    [
      "one negated between two that are nested",
      { a: ["b"], b: ["c"], c: [], d: ["~b"] },
      ["a", "d"],
      ["c", "a", "d"],
    ],
    ["a circle with a negation in it", { a: ["b"], b: ["~a", "c"], c: ["a"] }, ["a"], ["c", "b"]],
    [
      "one negated and named again below",
      { a: ["b"], b: [], c: ["~b", "d"], d: ["b"] },
      ["a", "c"],
      ["a", "d", "c"],
    ],
  ])("applies the profiles that are left: %s", (_what, nested, list, applied) => {
    const profiles = new Map(
      Object.entries(nested).map(([name, names]): [string, Fields] => [name, { profiles: names }]),
    );
    expect(expandProfiles(list, profiles)).toEqual(applied);
  });

  it("tells in which order profiles apply", () => {
    const profiles = new Map<string, Fields>([
      ["a", { profiles: ["b", "~d"] }],
      ["b", { profiles: ["c", "d"] }],
      ["c", {}],
      ["d", {}],
    ]);
    expect(expandProfiles(["a", "c"], profiles)).toEqual(["c", "b", "a"]);
  });

  it("without profiles is the identity, but for ~", () => {
    fc.assert(
      fc.property(arbitraryFields, (fields) => {
        const own = canonicalFields({ ...withoutMarks(fields as Plain), profiles: [] });
        expect(mergeFields(own, new Map())).toEqual(canonicalFields(own));
      }),
    );
  });

  it("gives canonical fields, the same from a merger that was used before", () => {
    fc.assert(
      fc.property(
        arbitraryFields,
        arbitraryFields,
        arbitraryFields,
        arbitraryFields,
        (own, other, p1, p2) => {
          const profiles = new Map<string, Fields>([
            ["p1", { ...p1, profiles: ["p2"] }],
            ["p2", { ...p2, profiles: [] }],
          ]);
          const merger = openMerger(profiles);
          merger.merge({ ...other, profiles: ["p1"] });
          const merged = merger.merge({ ...own, profiles: ["p1"] });
          expect(JSON.stringify(merged)).toBe(JSON.stringify(canonicalFields(merged)));
          expect(merged).toEqual(mergeFields({ ...own, profiles: ["p1"] }, profiles));
        },
      ),
    );
  });

  it("merges 10,000 nodes with three nested profiles in well under a second", () => {
    const profiles = new Map<string, Fields>(
      [0, 1, 2].map((depth): [string, Fields] => [
        `p${depth}`,
        {
          ...(depth === 0 ? {} : { profiles: [`p${depth - 1}`] }),
          kernelArguments: [`k${depth}`],
          overlays: [`o${depth}`],
          devices: { eno1: { netmask: "255.255.0.0", mtu: 9000 }, ib0: { type: "infiniband" } },
          tags: { [`t${depth}`]: "1" },
          resources: { fstab: [{ spec: "x" }], [`r${depth}`]: { a: 1 } },
        },
      ]),
    );
    const merger = openMerger(profiles);
    const start = performance.now();
    for (let index = 0; index < 10_000; index++) {
      merger.merge({
        profiles: ["p2"],
        devices: { eno1: { address: "10.0.0.1" }, ib0: { address: "10.1.0.1" } },
        bmc: { address: "10.9.0.1" },
      });
    }
    // 45 ms on a quiet core; the bound is ten times that of the design, for busy machines.
    expect(performance.now() - start).toBeLessThan(4000);
  });
});

/** The same with "x" for every "~x" in lists, and without what is empty then. */
function withoutMarks(fields: Plain): Fields {
  return JSON.parse(JSON.stringify(fields), (_key, value: unknown) =>
    Array.isArray(value)
      ? value.map((item: unknown) => (typeof item === "string" ? item.replace(/^~/, "") : item))
      : value,
  ) as Fields;
}
