import { describe, expect, it } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import type { Fields } from "../fields/fields.ts";
import { KEPT_SECRET } from "../fields/fields.ts";
import { openMerger } from "../fields/merge-fields.ts";
import type { InventoryRecord, RecordChange, RecordKind } from "./changes.ts";
import { type InventoryView, openInventoryView } from "./inventory-view.ts";
import { type CommitCircumstances, type CommitPlan, planCommit } from "./plan-commit.ts";
import { entryOf, profileFields } from "./plan-delta.ts";

const NOW = new Date("2026-01-02T03:04:05Z");
const MAC1 = parseMacAddress("52:54:00:00:00:01");
const MAC2 = parseMacAddress("52:54:00:00:00:02");

type Contents = Readonly<Record<string, Fields>>;

/** An inventory of records at revision 3. */
function view(nodes: Contents, profiles: Contents = {}): InventoryView {
  const recordsOf = (kind: RecordKind, contents: Contents): readonly InventoryRecord[] =>
    Object.entries(contents).map(([name, fields]) => ({ kind, name, revision: 3, fields }));
  const profileRecords = recordsOf("profile", profiles);
  const merger = openMerger(profileFields({ profiles: () => profileRecords }));
  return openInventoryView({
    profiles: profileRecords,
    nodes: recordsOf("node", nodes).map((record) =>
      entryOf(record, merger.merge(record.fields), { machine: {}, createdAt: NOW, updatedAt: NOW }),
    ),
    dataVersion: 1,
  });
}

function plan(
  base: InventoryView,
  changes: readonly RecordChange[],
  more: Partial<CommitCircumstances> = {},
): CommitPlan {
  const steps = planCommit(base, changes, {
    now: NOW,
    images: new Set(["debian12"]),
    overlays: new Set(["chrony"]),
    machines: new Map(),
    firstRevision: () => 1,
    ...more,
  });
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

function set(kind: RecordKind, name: string, fields: Fields | undefined, revision = 3): RecordChange {
  return { kind, name, revision, fields };
}

function refusal(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("it was not refused");
}

describe("planCommit", () => {
  it("writes what differs and nothing else", () => {
    const base = view({ c1: { comment: "a" }, c2: { comment: "b" } });
    const planned = plan(base, [set("node", "c1", { comment: "a" }), set("node", "c2", { comment: "c" })]);
    expect(planned.written).toEqual([
      { record: { kind: "node", name: "c2", revision: 4, fields: { comment: "c" } } },
    ]);
    expect(planned.effects).toEqual([
      { kind: "node", name: "c2", before: { comment: "b" }, after: { comment: "c" }, revision: 4 },
    ]);
    expect(planned.records.map(({ name, revision }) => [name, revision])).toEqual([
      ["c1", 3],
      ["c2", 4],
    ]);
  });

  it("takes fields in any order for what they are", () => {
    const base = view({ c1: { comment: "a", tags: { a: "1", b: "2" } } });
    expect(plan(base, [set("node", "c1", { tags: { b: "2", a: "1" }, comment: "a" })]).effects).toEqual([]);
  });

  it("gives a record of a name that was there before a revision that nobody has seen", () => {
    const planned = plan(view({}), [set("node", "c1", {}, 0)], { firstRevision: () => 8 });
    expect(planned.records).toEqual([{ kind: "node", name: "c1", revision: 8, fields: {} }]);
  });

  it("merges nodes anew that use a changed profile, also by way of another, and no others", () => {
    const base = view(
      { c1: { profiles: ["gpu"] }, c2: { profiles: ["default"] }, c3: {} },
      { default: { tags: { a: "1" } }, gpu: { profiles: ["default"] } },
    );
    const planned = plan(base, [set("profile", "default", { tags: { a: "2" } })]);
    expect(
      [...planned.delta.nodes].map(([name, entry]) => [name, entry?.node.tags, entry?.node.revision]),
    ).toEqual([
      ["c1", { a: "2" }, 3],
      ["c2", { a: "2" }, 3],
    ]);
    expect(planned.written.map(({ record }) => record.name)).toEqual(["default"]);
  });

  it("keeps a secret that is written as kept, and refuses it where there is none", () => {
    const base = view({ c1: { bmc: { user: "a", password: "s3cret" } }, c2: {} });
    const kept = { bmc: { user: "b", password: KEPT_SECRET } };
    expect(plan(base, [set("node", "c1", kept)]).records[0]?.fields).toEqual({
      bmc: { user: "b", password: "s3cret" },
    });
    // also where nothing else is different
    const nothingElse = set("node", "c2", { bmc: { password: "(kept)" } });
    expect(refusal(() => plan(base, [nothingElse]))).toMatchObject({ code: "request-invalid" });
    expect(refusal(() => plan(base, [set("node", "c2", kept)]))).toMatchObject({
      code: "request-invalid",
      findings: [{ at: "c2: bmc.password" }],
    });
  });

  it("says of all records at once that they are not what was seen, with both versions and no secrets", () => {
    const base = view({ c1: { bmc: { password: "s3cret" } }, c3: {} });
    const yours = { comment: "x" };
    expect(
      refusal(() =>
        plan(base, [set("node", "c1", yours, 2), set("node", "c2", undefined, 1), set("node", "c3", yours)]),
      ),
    ).toMatchObject({
      code: "revision-stale",
      message:
        "c1 was changed meanwhile: it has revision 3, the change was made for revision 2; " +
        "c2 was deleted meanwhile: the change was made for revision 1",
      stale: {
        current: [
          { kind: "node", name: "c1", revision: 3, fields: { bmc: { password: KEPT_SECRET } } },
          null,
        ],
        yours: [
          { kind: "node", name: "c1", revision: 2, fields: yours },
          { kind: "node", name: "c2", revision: 1, fields: null },
        ],
      },
    });
  });

  it("neither deletes nor overwrites what its author did not know of", () => {
    const base = view({ c1: { comment: "theirs" } }, { gpu: {} });
    expect(refusal(() => plan(base, [set("node", "c1", undefined, 0)]))).toMatchObject({
      code: "revision-stale",
    });
    expect(refusal(() => plan(base, [set("node", "c1", {}, 0)]))).toMatchObject({
      code: "node-exists",
      message: "there is a node c1 already",
    });
    expect(refusal(() => plan(base, [set("profile", "gpu", {}, 0)]))).toMatchObject({
      code: "profile-exists",
    });
  });

  it("refuses names that are none, and records named twice", () => {
    expect(
      refusal(() => plan(view({}), [set("node", "C 1", {}, 0), set("profile", "-p", {}, 0)])),
    ).toMatchObject({
      code: "name-invalid",
      findings: [{ what: '"C 1" is not a node name' }, { what: '"-p" is not the name of a profile' }],
    });
    // as long as a node may name it in its list of profiles, or nothing could use it
    const long = set("profile", "p".repeat(64), {}, 0);
    expect(refusal(() => plan(view({}), [long]))).toMatchObject({ code: "name-invalid" });
    expect(plan(view({}), [{ ...long, name: "p".repeat(63) }]).written).toHaveLength(1);
    const twice = [set("node", "c1", {}, 0), set("profile", "p", {}, 0), set("node", "c1", {}, 0)];
    expect(refusal(() => plan(view({}), [...twice, set("profile", "p", {}, 0)]))).toMatchObject({
      code: "argument-invalid",
      message: "named more than once in one change: c1, profile p",
    });
  });

  it("finds the same MAC or address on any devices and BMCs, as they are with profiles", () => {
    const base = view(
      { c1: { devices: { eno1: { mac: MAC1, address: "10.0.0.1" } }, bmc: { address: "10.1.0.1" } } },
      { gw: {} },
    );
    const eno1 = (fields: Fields["devices"]): Fields => ({ devices: fields ?? {} });
    expect(
      refusal(() =>
        plan(base, [
          set("node", "c2", eno1({ ib0: { mac: MAC1 }, eno1: { address: "10.1.0.1" } }), 0),
          set("node", "c3", { profiles: ["gw"] }, 0),
          set("node", "c4", { profiles: ["gw"] }, 0),
          set("profile", "gw", eno1({ eno1: { address6: "fd00::1", mac: MAC2 } })),
        ]),
      ),
    ).toMatchObject({
      code: "request-invalid",
      findings: [
        { at: "c2 device eno1", what: "10.1.0.1 already belongs to c1 bmc" },
        { at: "c2 device ib0", what: "52:54:00:00:00:01 already belongs to c1 device eno1" },
        { at: "c4 device eno1", what: "52:54:00:00:00:02 already belongs to c3 device eno1" },
        { at: "c4 device eno1", what: "fd00::1 already belongs to c3 device eno1" },
      ],
    });
  });

  it("lets two nodes swap what they claim, and a new one take what a deleted one had", () => {
    const own = (mac: typeof MAC1): Fields => ({ devices: { eno1: { mac } } });
    const base = view({ c1: own(MAC1), c2: own(MAC2) });
    expect(plan(base, [set("node", "c1", own(MAC2)), set("node", "c2", own(MAC1))]).effects).toHaveLength(2);
    const replaced = plan(base, [set("node", "c1", undefined), set("node", "c9", own(MAC1), 0)]);
    expect(replaced.deleted.map(({ name }) => name)).toEqual(["c1"]);
    expect([...replaced.delta.claims]).toMatchObject([["mac 52:54:00:00:00:01", { owner: "c9" }]]);
  });

  it("says once, for all nodes that have it, what is wrong with them as they will be", () => {
    const base = view(
      { c1: { profiles: ["net"] }, c2: { profiles: ["net"] } },
      { net: { devices: { eno1: { mtu: 9000 } } } },
    );
    const net: Fields = { devices: { eno1: { master: "bond0" } } };
    expect(refusal(() => plan(base, [set("profile", "net", net)]))).toMatchObject({
      code: "request-invalid",
      findings: [{ at: "c[1-2]: devices.eno1.master" }],
    });
  });

  it("does not blame a change for what was wrong with the node before", () => {
    const base = view({ c1: { devices: { eno1: { master: "bond0" } } } });
    const planned = plan(base, [set("node", "c1", { comment: "x", devices: { eno1: { master: "bond0" } } })]);
    expect(planned.effects).toHaveLength(1);
  });

  it("renames a node: it goes and comes in one effect", () => {
    const base = view({ c1: { devices: { eno1: { mac: MAC1 } } } });
    const fields = { devices: { eno1: { mac: MAC1 } } };
    const planned = plan(base, [{ ...set("node", "c1", fields), renameTo: "login" }]);
    expect(planned.written).toEqual([
      { from: "c1", record: { kind: "node", name: "login", revision: 4, fields } },
    ]);
    expect(planned.deleted).toEqual([]);
    expect(planned.effects).toEqual([
      { kind: "node", name: "c1", before: fields, after: fields, revision: 4, renamedTo: "login" },
    ]);
    expect([...planned.delta.nodes.keys()]).toEqual(["c1", "login"]);
    expect(planned.records.map(({ name }) => name)).toEqual(["login"]);
  });

  it("refuses a name that is taken, or that two would get", () => {
    const base = view({ c1: {}, c2: {}, c3: {} });
    const rename = (name: string, renameTo: string): RecordChange => ({ ...set("node", name, {}), renameTo });
    expect(refusal(() => plan(base, [rename("c1", "c2")]))).toMatchObject({
      code: "node-exists",
      message: "c1: there is a node c2 already",
    });
    expect(refusal(() => plan(base, [rename("c1", "x"), rename("c2", "x")]))).toMatchObject({
      code: "argument-invalid",
    });
    expect(refusal(() => plan(base, [rename("c1", "c2"), set("node", "c2", undefined)]))).toMatchObject({
      code: "argument-invalid",
    });
  });
});

describe("what records name", () => {
  it("must be there: profiles, images and overlays, all said at once", () => {
    const base = view({}, { default: {} });
    const fields: Fields = { profiles: ["defualt"], image: "rocky9", overlays: ["chrony", "slurm"] };
    expect(
      refusal(() => plan(base, [set("node", "c1", fields, 0), set("node", "c2", fields, 0)])),
    ).toMatchObject({
      code: "request-invalid",
      findings: [
        { at: "c[1-2]", what: 'there is no profile "defualt"', fix: "did you mean default?" },
        {
          at: "c[1-2]",
          what: 'there is no image "rocky9"',
          fix: "there are: debian12; `muster image import` adds another",
        },
        { at: "c[1-2]", what: 'there is no overlay "slurm"', fix: "there are: chrony" },
      ],
    });
    expect(
      refusal(() =>
        plan(base, [set("node", "c1", { image: "x", runtimeOverlays: ["y"] }, 0)], {
          images: new Set(),
          overlays: new Set(),
        }),
      ),
    ).toMatchObject({
      findings: [
        { fix: "import one first: `muster image import DIR --name NAME`" },
        { fix: "there is none yet: make NAME/rootfs below paths.overlays (docs/overlays.md)" },
      ],
    });
  });

  it("may stay when it was named before, and overlays may be what nobody looks at", () => {
    const base = view({ c1: { image: "gone", overlays: ["gone"] } });
    const fields: Fields = { image: "gone", overlays: ["gone"], comment: "x" };
    expect(plan(base, [set("node", "c1", fields)]).effects).toHaveLength(1);
    const more: Fields = { overlays: ["other", "~gone"] };
    expect(plan(view({}), [set("node", "c1", more, 0)], { overlays: undefined }).effects).toHaveLength(1);
  });

  it("may come in the same change", () => {
    const changes = [set("node", "c1", { profiles: ["gpu"] }, 0), set("profile", "gpu", { comment: "x" }, 0)];
    expect(plan(view({}), changes).delta.nodes.get("c1")?.node.profiles).toEqual(["gpu"]);
  });

  it("is not deleted while it is named, also to take it out", () => {
    const base = view(
      { c1: { profiles: ["gpu"] }, c2: { profiles: ["~gpu"] } },
      { gpu: {}, big: { profiles: ["gpu"] } },
    );
    expect(refusal(() => plan(base, [set("profile", "gpu", undefined)]))).toMatchObject({
      code: "profile-in-use",
      message: "profile gpu is used by profile big, c[1-2]",
    });
    const all = [
      set("profile", "gpu", undefined),
      set("profile", "big", {}),
      set("node", "c1", {}),
      set("node", "c2", {}),
    ];
    expect(plan(base, all).effects).toHaveLength(4);
  });

  it("does not include itself", () => {
    const base = view({}, { a: { profiles: ["b"] }, b: {}, c: { profiles: ["a"] } });
    expect(refusal(() => plan(base, [set("profile", "b", { profiles: ["c"] })]))).toMatchObject({
      code: "profile-cycle",
      message: "profile b: it includes itself: b -> c -> a -> b",
    });
    expect(refusal(() => plan(base, [set("profile", "b", { profiles: ["b"] })]))).toMatchObject({
      code: "profile-cycle",
      message: "profile b: it includes itself: b -> b",
    });
  });

  it("follows a profile that is called something else, in lists and where it is taken out", () => {
    const base = view(
      {
        c1: { profiles: ["default", "gpu"] },
        c2: { profiles: ["big", "~gpu"] },
        c3: { profiles: ["default"] },
      },
      { default: {}, gpu: { tags: { a: "1" } }, big: { profiles: ["gpu"] } },
    );
    const planned = plan(base, [
      { ...set("profile", "gpu", { tags: { a: "1" } }), renameTo: "gpus" },
      set("node", "c1", { profiles: ["default", "gpu"], comment: "x" }),
    ]);
    expect(
      planned.written.map(({ record, from }) => [from, record.name, record.revision, record.fields]),
    ).toEqual([
      ["gpu", "gpus", 4, { tags: { a: "1" } }],
      [undefined, "c1", 4, { comment: "x", profiles: ["default", "gpus"] }],
      [undefined, "big", 4, { profiles: ["gpus"] }],
      [undefined, "c2", 4, { profiles: ["big", "~gpus"] }],
    ]);
    expect(planned.delta.nodes.get("c1")?.node.tags).toEqual({ a: "1" });
    expect(planned.records.map(({ name }) => name)).toEqual(["gpus", "c1"]);
  });
});
