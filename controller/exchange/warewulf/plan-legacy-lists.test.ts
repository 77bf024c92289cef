import fc from "fast-check";
import { expect, test } from "vitest";

import type { Fields } from "../../fields/fields.ts";
import { effectiveNode } from "../../fields/effective-node.ts";
import { mergeFields } from "../../fields/merge-fields.ts";
import { planLegacyLists, replacingLists } from "./plan-legacy-lists.ts";

test.each([
  ["4.2", ["kernelArguments", "overlays", "runtimeOverlays"]],
  ["4.4", ["kernelArguments", "overlays", "runtimeOverlays"]],
  ["4.5", ["kernelArguments"]],
  ["4.6", []],
  ["4.7", []],
] as const)("in %s the lists that replace are %s", (version, lists) => {
  expect(replacingLists(version)).toEqual(lists);
});

const PROFILES = new Map<string, Fields>([
  ["a", { kernelArguments: ["quiet", "splash"] }],
  ["b", { kernelArguments: ["quiet", "debug"] }],
  ["none", {}],
]);

test.each([
  ["a node without a list has that of its last profile", { profiles: ["a", "b"] }, ["~splash"]],
  ["a profile without one does not count", { profiles: ["a", "none"] }, undefined],
  ["a node's own replaces", { profiles: ["a"], kernelArguments: ["ro"] }, ["~quiet", "~splash", "ro"]],
  [
    "what both say is not said again",
    { profiles: ["a"], kernelArguments: ["quiet", "ro"] },
    ["~splash", "ro"],
  ],
  ["nothing is to be done without profiles", { kernelArguments: ["ro"] }, undefined],
] as const)("%s", (_, own, expected) => {
  const [adjusted] = planLegacyLists(own, PROFILES, ["kernelArguments"]);
  expect(adjusted?.own).toEqual(expected);
});

test("a node with a list of which nothing is left does not fall back to its profiles", () => {
  const [adjusted] = planLegacyLists({ profiles: ["a"] }, PROFILES, ["kernelArguments"], () => true);
  expect(adjusted).toEqual({ list: "kernelArguments", own: ["~quiet", "~splash"], isReordered: false });
});

test("whatever replacing gave, appending gives too", () => {
  const words = fc.uniqueArray(fc.constantFrom("p", "q", "r", "s", "t"), { maxLength: 4 });
  fc.assert(
    fc.property(words, words, words, (first, second, mine) => {
      const profiles = new Map<string, Fields>([
        ["first", { overlays: first }],
        ["second", { overlays: second }],
      ]);
      const own: Fields = { profiles: ["first", "second"], ...(mine.length === 0 ? {} : { overlays: mine }) };
      const replaced = [mine, second, first].find((list) => list.length > 0) ?? [];
      const [adjusted] = planLegacyLists(own, profiles, ["overlays"]);
      const appended = mergeFields(
        { ...own, ...(adjusted === undefined ? {} : { overlays: adjusted.own }) },
        profiles,
      );
      const { overlays } = effectiveNode(appended);
      if (adjusted?.isReordered === true) expect([...overlays].sort()).toEqual([...replaced].sort());
      else expect(overlays).toEqual(replaced);
    }),
  );
});
