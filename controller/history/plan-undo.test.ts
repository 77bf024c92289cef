import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Fields } from "../fields/fields.ts";
import type { ChangeDetails, InventoryRecord, InventoryState, RecordedEffect } from "../inventory/changes.ts";
import { findLastTouches } from "./find-last-touch.ts";
import { planUndo } from "./plan-undo.ts";

const change = (id: number, ...effects: RecordedEffect[]): ChangeDetails => ({
  id,
  at: new Date(0),
  user: "anna",
  groups: [],
  effects,
});
const node = (name: string, fields: Fields, revision = 3): InventoryRecord => ({
  kind: "node",
  name,
  revision,
  fields,
});
const state = (...nodes: InventoryRecord[]): InventoryState => ({ nodes, profiles: [] });
const effect = (before: Fields | undefined, after: Fields | undefined, name = "c001"): RecordedEffect => ({
  kind: "node",
  name,
  before,
  after,
});
const OLD: Fields = { image: "debian12", devices: { eno1: { mtu: 1500 }, ib0: { mtu: 2044 } } };
const NEW: Fields = { image: "rocky9", devices: { eno1: { mtu: 9000 }, ib0: { mtu: 2044 } } };

describe("planUndo", () => {
  test("puts the touched fields back and keeps what was changed elsewhere in the record since", () => {
    const now: Fields = {
      comment: "new",
      image: "rocky9",
      devices: { eno1: { mtu: 9000, address: "10.0.0.1" }, ib0: { mtu: 4096 } },
    };
    expect(planUndo(change(1, effect(OLD, NEW)), state(node("c001", now)))).toEqual({
      conflicts: [],
      changes: [
        {
          kind: "node",
          name: "c001",
          revision: 3,
          fields: {
            comment: "new",
            image: "debian12",
            devices: { eno1: { mtu: 1500, address: "10.0.0.1" }, ib0: { mtu: 4096 } },
          },
        },
      ],
    });
  });

  test("changes nothing at all when one field of one record was changed since, and names each such field", () => {
    const now: Fields = { image: "alma9", devices: { eno1: { mtu: 4000 } } };
    const effects = [effect(OLD, NEW), effect(OLD, NEW, "c002")];
    expect(planUndo(change(1, ...effects), state(node("c001", now), node("c002", NEW)))).toEqual({
      changes: [],
      conflicts: [
        {
          kind: "node",
          name: "c001",
          why: "fields",
          fields: [
            { path: ["image"], back: "debian12", left: "rocky9", now: "alma9" },
            { path: ["devices", "eno1", "mtu"], back: 1500, left: 9000, now: 4000 },
          ],
        },
      ],
    });
  });

  test.each<[string, RecordedEffect, InventoryState, unknown]>([
    [
      "deletes what was made",
      effect(undefined, OLD),
      state(node("c001", OLD)),
      { kind: "node", name: "c001", revision: 3, fields: undefined },
    ],
    [
      "makes again what was deleted",
      effect(OLD, undefined),
      state(),
      { kind: "node", name: "c001", revision: 0, fields: OLD },
    ],
    [
      "renames back",
      { ...effect(OLD, NEW), renamedTo: "c009" },
      state(node("c009", NEW)),
      { kind: "node", name: "c009", revision: 3, fields: OLD, renameTo: "c001" },
    ],
    ["leaves gone what was made and is gone", effect(undefined, OLD), state(), undefined],
    [
      "leaves what was deleted and is there again",
      effect(OLD, undefined),
      state(node("c001", OLD)),
      undefined,
    ],
    ["leaves what is as it was before", effect(OLD, NEW), state(node("c001", OLD)), undefined],
  ])("%s", (_, done, now, expected) => {
    expect(planUndo(change(1, done), now)).toEqual({
      conflicts: [],
      changes: expected === undefined ? [] : [expected],
    });
  });

  test.each<[string, RecordedEffect, InventoryState, object]>([
    ["gone since", effect(OLD, NEW), state(), { why: "deleted", fields: [] }],
    ["made anew", effect(OLD, undefined), state(node("c001", NEW)), { why: "exists", fields: [] }],
    [
      "made by the change and written to since",
      effect(undefined, { image: "a" }),
      state(node("c001", { image: "a", tags: { rack: "1" } })),
      { why: "fields", fields: [{ path: ["tags", "rack"], back: undefined, left: undefined, now: "1" }] },
    ],
    [
      "a map where a value was",
      effect({ resources: { a: 1 } }, { resources: { a: 2 } }),
      state(node("c001", { resources: { a: { b: 1 } } })),
      { why: "fields", fields: [{ path: ["resources", "a"], back: 1, left: 2, now: { b: 1 } }] },
    ],
  ])("a record that was %s is a conflict", (_, done, now, expected) => {
    expect(planUndo(change(1, done), now)).toEqual({
      changes: [],
      conflicts: [{ kind: "node", name: "c001", ...expected }],
    });
  });

  test.each(["image", "channel", "identity", "machine", "alert", "other"])(
    "a change of nothing but an %s is refused with what to do",
    (kind) => {
      const done = change(7, { kind, name: "x", before: undefined, after: {} });
      expect(() => planUndo(done, state())).toThrow(
        expect.objectContaining({ code: "argument-invalid", fix: expect.stringMatching(/./) as string }),
      );
    },
  );

  test.each<RecordedEffect>([
    { kind: "refused-machine", name: "52:54:00:00:00:01", before: undefined, after: {} },
    { kind: "machine", name: "c001", before: { serial: "1" }, after: { serial: "2" } },
  ])("another machine behind a node is not undone by fields: $kind", (moved) => {
    expect(() => planUndo(change(7, effect(OLD, NEW), moved), state(node("c001", NEW)))).toThrow(
      /says which machine is behind a node/,
    );
  });
});

describe("findLastTouches", () => {
  test("names the latest change of each field, and of a record that is gone", () => {
    const later = [
      change(4, effect({ image: "b", comment: "x" }, { image: "b" })),
      change(3, effect({ image: "a" }, { image: "b" })),
      change(2, effect({ image: "a" }, { image: "c" }, "c002")),
    ];
    const fields = [["image"], ["tags", "rack"]].map((path) => ({
      path,
      back: undefined,
      left: undefined,
      now: undefined,
    }));
    const conflict = { kind: "node", name: "c001", fields } as const;
    expect(findLastTouches({ ...conflict, why: "fields" }, later).map((t) => [t.path, t.change?.id])).toEqual(
      [
        ["image", 3],
        ["tags.rack", undefined],
      ],
    );
    expect(findLastTouches({ ...conflict, why: "deleted" }, later).map((t) => t.change?.id)).toEqual([4]);
  });
});

/** A small world: three nodes of few fields, so that changes meet. */
const someFields: fc.Arbitrary<Fields> = fc
  .record(
    {
      image: fc.constantFrom("a", "b"),
      overlays: fc.subarray(["x", "y"], { minLength: 1 }),
      tags: fc.dictionary(fc.constantFrom("r", "rack.row", "constructor"), fc.constantFrom("1", "2"), {
        minKeys: 1,
      }),
      devices: fc.dictionary(
        fc.constantFrom("eno1", "ib0.8001"),
        fc.record({ mtu: fc.constantFrom(1500, 9000) }, { requiredKeys: ["mtu"] }),
        { minKeys: 1 },
      ),
    },
    { requiredKeys: [] },
  )
  .map(canonical);
const someSteps = fc.array(
  fc.record({
    name: fc.constantFrom("c1", "c2", "c3"),
    fields: fc.option(someFields, { nil: undefined }),
    renameTo: fc.option(fc.constantFrom("c1", "c2", "c3"), { nil: undefined, freq: 4 }),
  }),
  { minLength: 1, maxLength: 12 },
);

/** Keys in one order: equal fields have equal JSON. */
function canonical<T>(value: T): T {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, of]) => [key, canonical(of)]),
  ) as T;
}

/** A map of records that does what commit does, and keeps what each step did. */
function makeWorld(): {
  readonly records: Map<string, Fields>;
  readonly text: () => string;
  readonly state: () => InventoryState;
  readonly apply: (
    step: { name: string; fields: Fields | undefined; renameTo?: string | undefined },
    id: number,
  ) => ChangeDetails | undefined;
} {
  const records = new Map<string, Fields>();
  return {
    records,
    text: () => JSON.stringify([...records].sort(([a], [b]) => (a < b ? -1 : 1))),
    state: () => state(...[...records].map(([name, fields]) => node(name, fields, 1))),
    apply: ({ name, fields, renameTo }, id) => {
      const before = records.get(name);
      const to =
        fields === undefined || before === undefined || records.has(renameTo ?? "") ? undefined : renameTo;
      if (before === undefined && fields === undefined) return undefined;
      records.delete(name);
      if (fields !== undefined) records.set(to ?? name, canonical(fields));
      const done = effect(before, fields === undefined ? undefined : canonical(fields), name);
      return change(id, { ...done, ...(to === undefined ? {} : { renamedTo: to }) });
    },
  };
}

describe("after any changes", () => {
  test("undoing the last restores exactly the state before it, and undoing that the state after it", () => {
    fc.assert(
      fc.property(someSteps, (steps) => {
        const world = makeWorld();
        for (const [id, step] of steps.entries()) {
          const before = world.text();
          const done = world.apply(step, id);
          if (done === undefined) continue;
          const after = world.text();
          const undo = planUndo(done, world.state());
          expect(undo.conflicts).toEqual([]);
          const undone = undo.changes.map((part) => world.apply(part, id));
          expect(world.text()).toBe(before);
          for (const again of undone.flatMap((one) =>
            one === undefined ? [] : planUndo(one, world.state()).changes,
          ))
            world.apply(again, id);
          expect(world.text()).toBe(after);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("undoing any of them either names a conflict or gives exactly its fields back and no others", () => {
    fc.assert(
      fc.property(someSteps, fc.nat(), (steps, pick) => {
        const world = makeWorld();
        const done = steps.flatMap((step, id) => world.apply({ ...step, renameTo: undefined }, id) ?? []);
        const chosen = done[pick % Math.max(1, done.length)];
        if (chosen === undefined) return;
        const [what] = chosen.effects;
        const { name = "", before = {}, after = {} } = what ?? {};
        const current = world.records.get(name) ?? {};
        const undo = planUndo(chosen, world.state());
        for (const part of undo.changes) world.apply(part, 99);
        const result = world.records.get(name) ?? {};
        for (const key of ["image", "overlays", "tags", "devices"] as const) {
          const [b, a] = [leaves(before, key), leaves(after, key)];
          for (const leaf of new Set([...b.keys(), ...a.keys(), ...leaves(current, key).keys()])) {
            const isTouched = b.get(leaf) !== a.get(leaf);
            const isUndone = undo.conflicts.length === 0 && isTouched;
            const expected = isUndone ? b.get(leaf) : leaves(current, key).get(leaf);
            expect([leaf, leaves(result, key).get(leaf)]).toEqual([leaf, expected]);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

function leaves(fields: object, key: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const walk = (value: unknown, at: string): void => {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [name, of] of Object.entries(value)) walk(of, `${at}/${name}`);
    } else if (value !== undefined) found.set(at, JSON.stringify(value));
  };
  walk((fields as Record<string, unknown>)[key], key);
  return found;
}
