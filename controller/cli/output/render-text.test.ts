import { expect, test } from "vitest";

import { renderTable } from "./render-text.ts";

test("a table of many rows has one head and the same columns throughout", () => {
  const rows = Array.from({ length: 1000 }, (_, index) => [
    `c${index}`,
    index === 777 ? "unreachable" : "",
    String(index),
  ]);
  const lines = renderTable(["NAME", "STATE", "BOOT(s)"], rows, ["BOOT(s)"]).split("\n");
  expect(lines).toHaveLength(1002);
  expect(lines.slice(0, 3)).toEqual([
    "NAME  STATE        BOOT(s)",
    "c0    -                  0",
    "c1    -                  1",
  ]);
  expect(lines[778]).toBe("c777  unreachable      777");
  expect(lines.slice(-2)).toEqual(["c999  -                999", ""]);
});

test("columns are counted as a terminal does: wide characters are two, combining ones none", () => {
  const rows = [
    ["c1", "計算", "x"],
    ["c2", "u\u0308ber", "x"],
    ["c3", "🚀", "x"],
    ["c4", "a\u001b[31m", ""],
  ];
  expect(renderTable(["NAME", "COMMENT", "LAST"], rows)).toBe(
    [
      "NAME  COMMENT  LAST",
      "c1    計算     x",
      "c2    u\u0308ber     x",
      "c3    🚀       x",
      "c4    a?[31m   -",
      "",
    ].join("\n"),
  );
});
