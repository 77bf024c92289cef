import { describe, expect, test } from "vitest";

import { parsePrintable, parsePrintableLines, parseStages } from "./parse-boot-report.ts";

describe("parseStages", () => {
  test("keeps unknown stages of newer agents, drops names that are none, mends times that run backwards", () => {
    const stage = { startedMs: 10, endedMs: 20, detail: "x\u001b[31m" };
    expect(
      parseStages([
        { ...stage, stage: "fetch" },
        { ...stage, stage: "warp", endedMs: 0, detail: "" },
        { ...stage, stage: "mount", endedMs: 5, detail: "" },
        { ...stage, stage: "<b>" },
        { ...stage, stage: "a".repeat(33) },
      ]),
    ).toEqual([
      { stage: "fetch", startedMs: 10, endedMs: 20, detail: "x [31m" },
      { stage: "warp", startedMs: 10, detail: "" },
      { stage: "mount", startedMs: 10, endedMs: 10, detail: "" },
    ]);
    expect(parseStages(Array.from({ length: 500 }, () => ({ ...stage, stage: "fetch" }))).length).toBe(64);
  });
});

describe("parsePrintable", () => {
  test.each([
    ["a\u0000b\r\nc", "a b c"],
    ["\u202Eevil", "evil"],
    ["Gerät 再", "Gerät 再"],
    ["\ud800x", "\ufffdx"],
    ["x".repeat(20), "x".repeat(10)],
  ])("%j becomes %j", (text, expected) => {
    expect(parsePrintable(text, 10)).toBe(expected);
  });

  test("of a log keeps lines and the end", () => {
    expect(parsePrintableLines("start\n\u001b[2Jmiddle\nend", 13)).toBe("[2Jmiddle\nend");
  });
});
