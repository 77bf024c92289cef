import { expect, it } from "vitest";

import { closestWords } from "./closest-words.ts";

it.each([
  ["adress", ["address", "names"], ["address"]],
  ["c0012", ["c001", "c002", "c012", "login"], ["c001", "c002", "c012"]],
  ["lgoin", ["login", "logs"], ["login"]],
  ["C001", ["c001"], ["c001"]],
  ["gpu", ["cpu", "login"], ["cpu"]],
  ["x", ["login"], []],
  ["", ["a"], ["a"]],
])("takes %j among %j for %j", (word, known, meant) => {
  expect(closestWords(word, known)).toEqual(meant);
});
