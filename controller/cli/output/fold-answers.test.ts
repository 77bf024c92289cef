import { expect, test } from "vitest";

import { foldFailures } from "./fold-answers.ts";

const noSession = (node: string) => ({ node, what: "no session", fix: `see muster node list ${node}` });

test("failures that differ by the name of their node only are one, with the names of all in the remedy", () => {
  expect(
    foldFailures([
      noSession("c003"),
      noSession("c001"),
      { node: "c002", what: "no space left on /", fix: "make room" },
      { node: "c004", what: "cannot be asked" },
    ]),
  ).toEqual([
    "c[001,003]: no session\n  fix: see muster node list c[001,003]",
    "c002: no space left on /\n  fix: make room",
    "c004: cannot be asked",
  ]);
});

test("a name that is part of another word is that word's", () => {
  expect(
    foldFailures([
      { node: "c1", what: "c1 is not c1-gpu, nor c10" },
      { node: "gpu.c2", what: "gpuxc2 is not gpu.c2" },
    ]),
  ).toEqual(["c1: c1 is not c1-gpu, nor c10", "gpu.c2: gpuxc2 is not gpu.c2"]);
});
