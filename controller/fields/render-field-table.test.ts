import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

import { FIELD_TABLE } from "./field-table.ts";
import { renderFieldTable } from "./render-field-table.ts";

const DOCUMENT = fileURLToPath(new URL("../../docs/fields.md", import.meta.url));

describe("the documentation of fields", () => {
  // After a change of the table: paste what the assertion prints between the markers.
  it("has the table that muster works by", async () => {
    const text = await readFile(DOCUMENT, "utf8");
    const [, table] = /<!-- fields -->\n\n([\s\S]*)\n<!-- end of fields -->/.exec(text) ?? [];
    expect(table).toBe(renderFieldTable());
  });

  it("names every field once", () => {
    const paths = FIELD_TABLE.map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    const flags = FIELD_TABLE.flatMap(({ flag }) => flag ?? []);
    expect(new Set(flags).size).toBe(flags.length);
  });

  it("promises no effect of what muster does nothing with", () => {
    expect(FIELD_TABLE.filter((row) => row.keptOnly === true && row.effect !== "none")).toEqual([]);
  });
});
