import fc from "fast-check";
import { expect, it } from "vitest";

import { arbitraryFields } from "../../../test/fixtures/arbitrary-fields.ts";
import { renderFieldPath } from "../../fields/field-path.ts";
import type { Fields, Json } from "../../fields/fields.ts";
import { listLeaves } from "../../fields/list-leaves.ts";
import { mergeFields } from "../../fields/merge-fields.ts";
import type { InventoryRecord } from "../../inventory/changes.ts";
import { planFieldChanges, planUnset } from "./plan-field-changes.ts";
import { planSetPaths, planSettablePaths, rowAtPath } from "./plan-field-completion.ts";
import { planFieldEdits } from "./plan-field-edits.ts";
import { planNodeDiff } from "./plan-node-diff.ts";

const NONE = new Map<string, Fields>();
const node = (fields: Fields): InventoryRecord => ({ kind: "node", name: "c001", revision: 1, fields });
/** As `muster node set c001 WORD...` leaves them. */
const assigned = (fields: Fields, words: readonly string[], profiles = NONE): Fields =>
  planFieldChanges(
    [node(fields)],
    planFieldEdits({ given: [], selectors: [], assignments: words }),
    profiles,
  )[0]?.fields ?? fields;

it("fields typed as PATH=VALUE one after the other are the fields", () => {
  fc.assert(
    fc.property(arbitraryFields, (fields) => {
      const words = listLeaves(fields)
        .filter(({ value }) => value !== "")
        .map(({ path, value }) => {
          const isText = typeof value === "string" && rowAtPath(path)?.type.kind !== "tree";
          return `${renderFieldPath(path)}=${isText ? value : JSON.stringify(value)}`;
        });
      const texts = assigned({}, words);
      const left = listLeaves(texts).filter(({ value }) => value !== "");
      expect(left).toEqual(listLeaves(fields).filter(({ value }) => value !== ""));
    }),
  );
});

it("what completion offers to unset can be unset, and nothing is left in the end", () => {
  fc.assert(
    fc.property(arbitraryFields, (fields) => {
      const paths = planSetPaths([fields]);
      for (const path of paths) expect(planUnset([node(fields)], [path], NONE)).toHaveLength(1);
      if (paths.length > 0) expect(planUnset([node(fields)], paths, NONE)[0]?.fields).toEqual({});
    }),
    { numRuns: 30 },
  );
});

it("what completion offers to set is a field", () => {
  fc.assert(
    fc.property(arbitraryFields, (fields) => {
      for (const path of planSettablePaths("node", [fields]))
        expect(assigned(fields, [`${path}=`])).toBeDefined();
    }),
    { numRuns: 10 },
  );
});

it("a node differs from another where and only where the other differs from it", () => {
  fc.assert(
    fc.property(arbitraryFields, arbitraryFields, (a, b) => {
      const [one, other] = [
        { name: "a", fields: a },
        { name: "b", fields: b },
      ];
      expect(planNodeDiff([one], [one])).toEqual([]);
      const there = planNodeDiff([one], [other]);
      const back = planNodeDiff([other], [one]);
      expect(new Set(back.map(({ path }) => path))).toEqual(new Set(there.map(({ path }) => path)));
      expect(there.length === 0).toBe(JSON.stringify(a) === JSON.stringify(b));
    }),
    { numRuns: 50 },
  );
});

it("a word that was put into a list is in effect, and one that was taken out is not, whoever says it", () => {
  const words = fc.uniqueArray(fc.constantFrom("a", "b", "c"), { maxLength: 3 });
  const own = fc.uniqueArray(fc.constantFrom("a", "b", "~a", "~c"), { maxLength: 4 });
  fc.assert(
    fc.property(words, own, fc.constantFrom("a", "b", "c"), (inherited, overlays, word) => {
      const profiles = new Map<string, Fields>([
        ["p", inherited.length === 0 ? {} : { overlays: inherited }],
      ]);
      const before: Fields = { profiles: ["p"], ...(overlays.length === 0 ? {} : { overlays }) };
      const effective = (fields: Fields): readonly Json[] => mergeFields(fields, profiles).overlays ?? [];
      const appended = assigned(before, [`overlays+=${word}`], profiles);
      expect(effective(appended)).toContain(word);
      const removed = assigned(appended, [`overlays-=${word}`], profiles);
      expect(effective(removed)).not.toContain(word);
      const others = (list: readonly Json[]): readonly Json[] => list.filter((one) => one !== word);
      expect(others(effective(removed))).toEqual(others(effective(before)));
    }),
  );
});
