import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";

import { canonicalFields } from "../fields/canonical-fields.ts";
import type { Fields } from "../fields/fields.ts";
import type { InventoryState, RecordChange } from "../inventory/changes.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { openInventory } from "../inventory/open-inventory.ts";
import { planUndo } from "./plan-undo.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-undo-"));
});
afterEach(() => rm(directory, { recursive: true }));

const NODES = ["c1", "c2", "c3"] as const;
const PROFILES = ["p1", "p2"] as const;

/** So that names of profiles mean something from the first step on. */
const FIRST: readonly RecordChange[] = [
  ...PROFILES.map((name): RecordChange => ({ kind: "profile", name, revision: 0, fields: {} })),
  { kind: "node", name: "c1", revision: 0, fields: { profiles: ["p1"], tags: { rack: "1" } } },
];

/** Fields that no two nodes may have in common are left out: a refused change has nothing to undo. */
const someFields: fc.Arbitrary<Fields> = fc
  .record(
    {
      profiles: fc.subarray([...PROFILES, "~p2"], { minLength: 1 }),
      comment: fc.constantFrom("a", "b"),
      kernelArguments: fc.subarray(["quiet", "splash", "~quiet"], { minLength: 1 }),
      devices: fc.dictionary(
        fc.constantFrom("eno1", "bond0.100"),
        fc.record(
          { mtu: fc.constantFrom(1500, 9000), tags: fc.constant({ "a.b": "1" }) },
          { requiredKeys: ["mtu"] },
        ),
        { minKeys: 1 },
      ),
      bmc: fc.record(
        { user: fc.constantFrom("x", "y"), password: fc.constantFrom("s1", "s2") },
        { requiredKeys: ["user"] },
      ),
      tags: fc.dictionary(fc.constantFrom("rack", "row.x"), fc.constantFrom("1", "2"), { minKeys: 1 }),
      resources: fc.dictionary(fc.constantFrom("r", "s"), fc.jsonValue({ maxDepth: 2 }), { minKeys: 1 }),
    },
    { requiredKeys: [] },
  )
  .map((fields) => canonicalFields(fields as Fields));

const someSteps = fc.array(
  fc.array(
    fc.record({
      kind: fc.constantFrom("node", "node", "profile"),
      at: fc.nat(2),
      fields: fc.option(someFields, { nil: undefined, freq: 4 }),
      renameTo: fc.option(fc.nat(2), { nil: undefined, freq: 5 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  { minLength: 1, maxLength: 6 },
);

test("whatever is changed, undoing it gives exactly the records of before, and undoing that those of after", async () => {
  let runs = 0;
  let undone = 0;
  await fc.assert(
    fc.asyncProperty(someSteps, async (steps) => {
      runs += 1;
      const path = join(directory, `${runs}.db`);
      await using inventory = await openInventory({ path, now: () => new Date(0) });
      await inventory.commit(FIRST, { user: "root" });
      for (const step of steps) {
        const before = await textOf(inventory);
        const id = await tryToCommit(inventory, planStep(await inventory.listRecords(), step));
        if (id === undefined) continue;
        const after = await textOf(inventory);
        const undo = await undoChange(inventory, id);
        expect(await textOf(inventory)).toBe(before);
        await undoChange(inventory, undo);
        expect(await textOf(inventory)).toBe(after);
        undone += 1;
      }
    }),
    { numRuns: 40 },
  );
  // Or nothing was proven.
  expect(undone).toBeGreaterThan(20);
}, 120_000);

async function undoChange(inventory: Inventory, id: number): Promise<number> {
  const change = await inventory.findChange(id);
  if (change === undefined) throw new Error(`change ${id} is in the history`);
  const plan = planUndo(change, await inventory.listRecords());
  expect(plan.conflicts).toEqual([]);
  const done = await inventory.commit(plan.changes, { user: "root" });
  if (done.id === undefined) throw new Error("undoing a change is a change");
  return done.id;
}

async function tryToCommit(
  inventory: Inventory,
  changes: readonly RecordChange[],
): Promise<number | undefined> {
  try {
    return changes.length === 0 ? undefined : (await inventory.commit(changes, { user: "root" })).id;
  } catch (error) {
    if (error instanceof MusterError) return undefined;
    throw error;
  }
}

function planStep(
  state: InventoryState,
  step: readonly {
    readonly kind: string;
    readonly at: number;
    readonly fields: Fields | undefined;
    readonly renameTo: number | undefined;
  }[],
): readonly RecordChange[] {
  const named = new Set<string>();
  return step.flatMap(({ kind: word, at, fields, renameTo }): readonly RecordChange[] => {
    const kind = word === "node" ? "node" : "profile";
    const names = kind === "node" ? NODES : PROFILES;
    const name = names[at % names.length] ?? "";
    const to = renameTo === undefined ? undefined : names[renameTo % names.length];
    const known = [...state.nodes, ...state.profiles].find((one) => one.kind === kind && one.name === name);
    if (named.has(`${kind} ${name}`) || (known === undefined && fields === undefined)) return [];
    named.add(`${kind} ${name}`);
    return [
      {
        ...{ kind, name, fields, revision: known?.revision ?? 0 },
        ...(to === undefined || to === name || known === undefined || fields === undefined
          ? {}
          : { renameTo: to }),
      },
    ];
  });
}

/** What every record says, without revisions. */
async function textOf(inventory: Inventory): Promise<string> {
  const { nodes, profiles } = await inventory.listRecords();
  return JSON.stringify([...nodes, ...profiles].map(({ kind, name, fields }) => [kind, name, fields]));
}
