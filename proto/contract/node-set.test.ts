import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { MusterError } from "./muster-error.ts";
import { compareNodeNames, foldNodeSet, MAX_NODE_SET_SIZE, parseNodeSet } from "./node-set.ts";

const NO_GROUPS = "groups (@NAME) and wildcards have no meaning here: only the controller knows them";

describe("parseNodeSet", () => {
  it.each([
    ["c1", ["c1"]],
    ["c[001-003,010],login", ["c001", "c002", "c003", "c010", "login"]],
    ["r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]],
    ["c[0-10/5]", ["c0", "c5", "c10"]],
    ["c[098-101]", ["c098", "c099", "c100", "c101"]],
    ["c[08-10]x", ["c08x", "c09x", "c10x"]],
    ["c[8-11]", ["c8", "c9", "c10", "c11"]],
    ["c[01-100/33]", ["c01", "c34", "c67", "c100"]],
    ["b,a,b", ["b", "a"]],
    [" c1 ,\tc2\n", ["c1", "c2"]],
    ["gpu[3]-[1-2]", ["gpu3-1", "gpu3-2"]],
    ["c[9-10,1]", ["c9", "c10", "c1"]],
    ["c1 c2\tc[4-5]\n", ["c1", "c2", "c4", "c5"]],
    ["c[1-5]!c2", ["c1", "c3", "c4", "c5"]],
    ["c[1-5] ! c[2-3],c2", ["c1", "c4", "c5", "c2"]],
    ["c[1-4]&c[3-9]", ["c3", "c4"]],
    ["c[1-4]^c[3-6,6]", ["c1", "c2", "c5", "c6"]],
    ["c[1-4]&c[2-9]^c[3-5]", ["c2", "c5"]],
    ["c1,c[1-4]&c[2-9]", ["c2", "c3", "c4"]],
    ["c1,(c[1-4]&c[2-9])", ["c1", "c2", "c3", "c4"]],
    ["c[1-9]!(c[1-9]!(c[2-4] c6))", ["c2", "c3", "c4", "c6"]],
    ["c[ 1 - 3 / 2 , 7 ]", ["c1", "c3", "c7"]],
    ["c[1-3,2]", ["c1", "c2", "c3"]],
    ["c[1,11][1,11]", ["c11", "c111", "c1111"]],
    ["c[1,11]1[1,11]", ["c111", "c1111", "c11111"]],
    ["c[1,01]", ["c1", "c01"]],
  ])("expands %s in the order written", (text, names) => {
    expect(parseNodeSet(text)).toEqual(names);
  });

  it.each([
    ["", 1, "no node is named"],
    ["  ", 3, "no node is named"],
    ["c1,", 4, "a name is missing here"],
    ["c1,,c2", 4, "a name is missing here"],
    ["c1,!c2", 4, "a name is missing here"],
    ["c1!", 4, "a name is missing here"],
    ["&c1", 1, "a name is missing here"],
    ["c[1-3]!c[1-3]", 1, "no node is in it now"],
    ["c1,(c2", 4, 'this "(" has no ")"'],
    ["c1,c2)", 6, 'this ")" has no "("'],
    ["c1,()", 5, "a name is missing here"],
    ["c1(c2)", 3, 'an operator is missing before this "("'],
    ["c1@up", 3, 'an operator is missing before this "@"'],
    [`${"(".repeat(21)}c1`, 21, "parentheses stand too deep"],
    ["c1,@", 4, "a group has no name"],
    ["@:gpu", 1, "a group has no name"],
    ["@[1-2]", 1, "a group has no name"],
    ["@rack[1-2]", 1, "a group has no name"],
    ["c[1-3", 2, 'this "[" has no "]"'],
    ["c1-3]", 5, 'this "]" has no "["'],
    ["c[]", 3, '"" is no number and no range'],
    ["c[1,a-b]", 5, '"a-b" is no number and no range'],
    ["c[3-1]", 3, "the range 3-1 runs backwards"],
    ["c[1-010]", 3, "the numbers of 1-010 differ in width"],
    ["c[1-9/0]", 3, "the step of 1-9/0 is 0"],
    ["c[1-9999999999999999]", 3, "numbers of more than 15 digits are not counted with"],
    ["c[0-1000000]", 3, "this names more than 1000000 nodes"],
    ["c[0-99999],r[1-1000]n[1-1000]", 12, "this names more than 1000000 nodes"],
    ["login,@rack1", 7, NO_GROUPS],
    ["login,c*", 7, NO_GROUPS],
    ["c1;reboot", 3, '";" cannot be part of a node name'],
    ["c1,C[1-2]", 4, '"C1" is not a node name'],
    ["../etc", 3, '"/" cannot be part of a node name'],
    [`${"a".repeat(60)}[8-1000]`, 1, `"${"a".repeat(60)}1000" is not a node name`],
    ["[1-2]", 1, '"1" is not a node name'],
  ])("refuses %j at column %i", (text, column, what) => {
    const error = catchError(() => parseNodeSet(text));
    expect(error).toBeInstanceOf(MusterError);
    expect(error).toMatchObject({
      code: "node-set-invalid",
      message: `node set ${JSON.stringify(text)}, column ${column}: ${what}`,
    });
  });

  it("takes a set of exactly the limit", () => {
    expect(parseNodeSet(`c[1-${MAX_NODE_SET_SIZE}]`)).toHaveLength(MAX_NODE_SET_SIZE);
  });
});

describe("foldNodeSet", () => {
  it.each([
    [[], ""],
    [["login"], "login"],
    [["login", "c002", "c001", "c010"], "c[001-002,010],login"],
    [["c2", "c10", "c1"], "c[1-2,10]"],
    [["r2n02", "r1n01", "r1n02", "r2n01"], "r[1-2]n[01-02]"],
    [["r1n1", "r1n2", "r2n1"], "r1n[1-2],r2n1"],
    [["c99", "c100", "c098", "c099"], "c[99,098-100]"],
    [["c01", "c1", "c2"], "c[1-2,01]"],
    [["c08", "c09", "c10", "c99", "c100"], "c[08-10,99-100]"],
    [["c08", "c98", "c99", "c100"], "c[08,98-100]"],
    [["c098", "c099", "c100"], "c[098-100]"],
    [["c08", "c09", "c10", "c11", "c100"], "c[08-11,100]"],
    [["c0", "c00", "c000", "c1", "c01"], "c[0-1,00-01,000]"],
    [["c1", "c1"], "c1"],
    [["r1n1", "r1", "r1n1", "r1", "r2n1"], "r1,r[1-2]n1"],
    [["r1n1", "r2", "r1n2", "r2n1s", "r2n1", "r2n2"], "r[1-2]n[1-2],r2,r2n1s"],
    [["a1b1c1", "a1b2c1", "a2b1c1", "a2b2c1", "a2b2c2"], "a1b[1-2]c1,a2b1c1,a2b2c[1-2]"],
    [["x9999999999999999999", "x1"], "x1,x9999999999999999999"],
  ])("folds %j to %s", (names, text) => {
    expect(foldNodeSet(names)).toBe(text);
  });

  const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,6}[a-z0-9])?$/);
  const numbered = fc
    .tuple(
      fc.constantFrom("c", "r1n", "gpu-"),
      fc.integer({ min: 0, max: 1200 }),
      fc.integer({ min: 1, max: 4 }),
    )
    .map(([prefix, number, width]) => prefix + String(number).padStart(width, "0"));
  const grid = fc
    .tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 2 }))
    .map(([rack, slot, width]) => `r${rack}-n${String(slot).padStart(width, "0")}x`);

  it("loses no name and invents none: what is folded expands to the same set, in any order given", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(label, numbered, grid), { minLength: 1, maxLength: 200 }),
        fc.infiniteStream(fc.nat()),
        (names, random: Iterator<number, number>) => {
          const folded = foldNodeSet(names);
          const sorted = [...new Set(names)].sort(compareNodeNames);
          expect([...parseNodeSet(folded)].sort(compareNodeNames)).toEqual(sorted);
          const shuffled = sorted
            .map((name) => ({ name, at: random.next().value }))
            .sort((a, b) => a.at - b.at)
            .map(({ name }) => name);
          expect(foldNodeSet(shuffled)).toBe(folded);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("folds and expands 100,000 names in well under a second of CPU time", () => {
    const names = Array.from({ length: 1000 }, (_, rack) =>
      Array.from({ length: 100 }, (_, slot) => `r${rack}n${String(slot).padStart(3, "0")}`),
    ).flat();
    const before = process.threadCpuUsage();
    const folded = foldNodeSet(names);
    const expanded = parseNodeSet(folded);
    const took = process.threadCpuUsage(before);
    expect(folded).toBe("r[0-999]n[000-099]");
    expect(expanded).toEqual(names);
    expect((took.user + took.system) / 1000).toBeLessThan(1000);
  });
});

describe("compareNodeNames", () => {
  it("orders numbers by value and is total", () => {
    const names = ["c10", "c2", "c02", "c1", "c01", "b9", "c", "c1a", "c-1"];
    expect([...names].sort(compareNodeNames)).toEqual([
      "b9",
      "c",
      "c-1",
      "c01",
      "c1",
      "c1a",
      "c02",
      "c2",
      "c10",
    ]);
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(Math.sign(compareNodeNames(a, b)) + Math.sign(compareNodeNames(b, a))).toBe(0);
        expect(compareNodeNames(a, b) === 0).toBe(a === b);
      }),
    );
  });
});

function catchError(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
