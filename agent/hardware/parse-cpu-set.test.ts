import { expect, it } from "vitest";

import { firstOf, listCpus, parseCpuList, parseCpuMask } from "./parse-cpu-set.ts";

it.each([
  ["", []],
  ["0", [0]],
  ["0-3,8\n", [0, 1, 2, 3, 8]],
  ["62-66", [62, 63, 64, 65, 66]],
  ["5-3", []],
])("the list %j holds %j", (text, cpus) => {
  expect(listCpus(parseCpuList(text))).toEqual(cpus);
});

it.each([
  ["", []],
  ["0", []],
  ["00000000,00000003\n", [0, 1]],
  ["1,00000000,80000000", [31, 64]],
  ["0xf", [0, 1, 2, 3]],
])("the mask %j holds %j", (text, cpus) => {
  expect(listCpus(parseCpuMask(text))).toEqual(cpus);
});

it("the first of a set is its lowest member", () => {
  expect(firstOf(parseCpuList("70,65"))).toBe(1n << 65n);
  expect(firstOf(0n)).toBe(0n);
});
