import { expect, test } from "vitest";

import { foldTexts, renderFolded, renderTroubles } from "./fold-output.ts";

test("nodes that wrote the same are named together, and those that wrote nothing not at all", () => {
  const folded = foldTexts([
    { node: "c010", text: "a\n" },
    { node: "c003", text: "" },
    { node: "c002", text: "b\n" },
    { node: "c001", text: "a\n" },
  ]);
  expect(folded).toEqual([
    { nodes: "c[001,010]", count: 2, text: "a\n" },
    { nodes: "c002", count: 1, text: "b\n" },
  ]);
  expect(renderFolded(folded)).toBe(`---------------
c[001,010] (2)
---------------
a
---------------
c002
---------------
b
`);
});

test("no output is no text, and a last line without an end gets one", () => {
  expect(renderFolded(foldTexts([]))).toBe("");
  expect(renderFolded([{ nodes: "c1", count: 1, text: "x" }]).endsWith("x\n")).toBe(true);
});

test("nodes with the same trouble share a line, and nodes without have none", () => {
  const output = { stdout: "", stderr: "" };
  expect(
    renderTroubles([
      { ...output, node: "c1", exitCode: 0 },
      { ...output, node: "c2", exitCode: 2 },
      { ...output, node: "c3", failure: "ssh: connect to port 22: Connection timed out" },
      { ...output, node: "c4", exitCode: 2 },
      { ...output, node: "c7", failure: "ssh: connect to port 22: Connection timed out" },
      { ...output, node: "c9" },
    ]),
  ).toEqual(["c[2,4]: exited with 2", "c[3,7]: ssh: connect to port 22: Connection timed out"]);
});
