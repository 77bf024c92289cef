import { expect, test } from "vitest";

import { median, renderMegabytes, renderSpread, renderTable } from "./render-table.ts";

test("the median is the value in the middle, or between the two in the middle", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([7])).toBe(7);
  expect(median([])).toBeNaN();
});

test("a spread shows lowest and highest unless they read the same", () => {
  expect(renderSpread([1.2, 1.31, 1.23], 2)).toBe("1.23 (1.20-1.31)");
  expect(renderSpread([1.201, 1.202], 1)).toBe("1.2");
});

test("a table is Markdown with figures to the right", () => {
  expect(renderTable(["what", "MB"], [["agent", renderMegabytes(109_448_000)]])).toBe(
    "| what | MB |\n|---|--:|\n| agent | 109 |\n",
  );
});
