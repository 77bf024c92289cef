import { expect, test } from "vitest";

import type { ImportItem } from "./import-item.ts";
import { groupImportItems, renderImportItems } from "./render-import-items.ts";

function item(
  kind: ImportItem["kind"],
  name: string,
  line: number,
  more: Partial<ImportItem> = {},
): ImportItem {
  return {
    kind,
    name,
    line,
    column: 5,
    key: "colour",
    value: "red",
    outcome: "left",
    why: "unknown",
    ...more,
  };
}
const told = (items: readonly ImportItem[]): readonly string[] =>
  renderImportItems("nodes.conf", groupImportItems(items));

test("what is the same of many nodes is said once, with all names", () => {
  const items = Array.from({ length: 64 }, (_, at) =>
    item("node", `c${String(at + 1).padStart(3, "0")}`, at + 10),
  );
  expect(told(items)).toEqual([
    "nodes.conf:10:5: nodes c[001-064]: colour: red: unknown (and in 63 more places)",
  ]);
});

test("other values, keys and reasons are lines of their own, with what to do below", () => {
  const items = [
    item("node", "c1", 1),
    item("node", "c2", 2, { value: "blue" }),
    item("profile", "gpu", 3, { fix: "did you mean color?" }),
    item("file", "", 4, { key: "WW_INTERNAL", value: "45" }),
    item("node", "C3.site", 5, { key: "", why: "is not a name" }),
    item("node", "c1", 6),
  ];
  expect(told(items)).toEqual([
    "nodes.conf:1:5: node c1: colour: red: unknown (and in 1 more place)",
    "nodes.conf:2:5: node c2: colour: blue: unknown",
    "nodes.conf:3:5: profile gpu: colour: red: unknown",
    "  fix: did you mean color?",
    "nodes.conf:4:5: WW_INTERNAL: 45: unknown",
    "nodes.conf:5:5: node C3.site: red: is not a name",
  ]);
});

test("of many profiles some are named", () => {
  const items = ["a", "b", "c", "d", "e", "f", "g"].map((name, at) => item("profile", name, at + 1));
  expect(told(items)).toEqual([
    "nodes.conf:1:5: profiles a, b, c, d, e and 2 more: colour: red: unknown (and in 6 more places)",
  ]);
});
