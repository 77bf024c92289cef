import { describe, expect, it } from "vitest";

import { MusterError } from "../muster-error.ts";
import type { NodeName } from "../node-name.ts";
import { evaluateNodeSet, type NodeGroups } from "./evaluate-node-set.ts";
import { needsInventory } from "./node-expression.ts";
import { parseNodeExpression } from "./parse-node-expression.ts";

const ALL = ["c1", "c2", "c3", "c10", "gpu1", "gpu2", "login"] as NodeName[];
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  all: ALL,
  up: ["c1", "gpu1"],
  "profile:gpu": ["gpu2", "gpu1"],
  "profile:rack1": ["c1", "c2"],
  "profile:rack2": ["c3", "c2"],
  "tag:room=7/b": ["login"],
  "state:failed": [],
};

const groups: NodeGroups = (source, name) => {
  const group = name === undefined ? source : `${source}:${name}`;
  const members = MEMBERS[group];
  if (members !== undefined) return members as readonly NodeName[];
  throw new MusterError({ code: "node-set-invalid", what: `no ${group} here`, fix: "take another" });
};

const evaluate = (text: string): readonly string[] => evaluateNodeSet(parseNodeExpression(text), groups);

describe("evaluateNodeSet", () => {
  it.each([
    ["@all", ALL],
    ["@*", ALL],
    ["@up", ["c1", "gpu1"]],
    ["@profile:gpu", ["gpu2", "gpu1"]],
    ["login,@profile:gpu", ["login", "gpu2", "gpu1"]],
    ["@all!@profile:gpu", ["c1", "c2", "c3", "c10", "login"]],
    ["@up&@profile:gpu", ["gpu1"]],
    ["@up^@profile:rack1", ["gpu1", "c2"]],
    ["@profile:rack[1-2]", ["c1", "c2", "c3"]],
    ["@profile:rack[1-2]!(@up c3)", ["c2"]],
    ["@tag:room=7/b", ["login"]],
    ["@state:failed", []],
    ["@up!@up", []],
    ["c[1-2],new7", ["c1", "c2", "new7"]],
    ["c*", ["c1", "c2", "c3", "c10"]],
    ["*", ALL],
    ["c?", ["c1", "c2", "c3"]],
    ["*1*", ["c1", "c10", "gpu1"]],
    ["c*0", ["c10"]],
    ["*[1-2]", ["c1", "c2", "gpu1", "gpu2"]],
    ["?pu*2", ["gpu2"]],
    ["x*", []],
    ["c*!c1*", ["c2", "c3"]],
    ["C*", []],
  ])("takes %s for %j", (text, names) => {
    expect(evaluate(text)).toEqual(names);
  });

  it.each([
    ["c1,@profile:gpuu", 4, "no profile:gpuu here", "take another"],
    ["@down", 1, "no down here", "take another"],
    ["@profile:", 1, "no profile: here", "take another"],
    [
      "c1 c[1-2000]*",
      4,
      "wildcards stand with 2000 numbers in brackets, and at most 1000 can be looked for",
      "name fewer numbers, or leave the wildcard out",
    ],
  ])("refuses %s at column %i", (text, column, what, fix) => {
    expect(() => evaluate(text)).toThrow(
      new MusterError({
        code: "node-set-invalid",
        what: `node set "${text}", column ${column}: ${what}`,
        fix,
      }),
    );
  });

  it("passes a bug of whoever knows the groups on", () => {
    const bug = new TypeError("undefined is not a function");
    const broken = (): never => {
      throw bug;
    };
    expect(() => evaluateNodeSet(parseNodeExpression("@up"), broken)).toThrow(bug);
  });

  it("looks through 63 characters for many asterisks without trying every way", () => {
    const long = "a".repeat(63) as NodeName;
    const before = process.threadCpuUsage();
    const found = evaluateNodeSet(parseNodeExpression(`${"*a".repeat(60)}*b`), () =>
      Array.from({ length: 10 }, () => long),
    );
    const took = process.threadCpuUsage(before);
    expect(found).toEqual([]);
    expect((took.user + took.system) / 1000).toBeLessThan(1000);
  });
});

describe("needsInventory", () => {
  it.each([
    ["c[1-4]!c2", false],
    ["c1,(c2,(c3))", false],
    ["c1,@up", true],
    ["c1,(c2,(c3*))", true],
    ["c?", true],
  ])("is for %s %j", (text, needs) => {
    expect(needsInventory(parseNodeExpression(text))).toBe(needs);
  });
});
