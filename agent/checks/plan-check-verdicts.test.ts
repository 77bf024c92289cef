import { expect, test } from "vitest";

import { parseVerdict, renderVerdict } from "#proto/contract/check-verdict.ts";

import { planClockVerdict, planLineVerdicts, planRootVerdict } from "./plan-check-verdicts.ts";

test.each([
  [0, "ok clock: within 2 s of the controller's"],
  [2000, "ok clock: within 2 s of the controller's"],
  [2001, "failed clock: 2.0 s ahead of the controller's"],
  [-2000, "ok clock: within 2 s of the controller's"],
  [-3_600_000, "failed clock: 3600.0 s behind the controller's"],
])("a clock that differs by %d ms: %s", (offsetMs, line) => {
  expect(renderVerdict(planClockVerdict(1_000_000, 1_000_000 + offsetMs))).toBe(line);
});

const MIB = 1024 * 1024;
test.each([
  ["5 % and no count of files", [1000, 50, 0, 0], "ok root: at least 5 % of / free"],
  ["under 5 %", [1000, 49, 0, 0], "failed root: 4 % of / free, 49 of 1000 MiB"],
  ["enough space and files", [1000, 900, 100, 5], "ok root: at least 5 % of / free"],
  ["too few files", [1000, 900, 100, 4], "failed root: 4 % of the files of / free, 4 of 100"],
  ["no size at all", [0, 0, 0, 0], "failed root: 0 % of / free, 0 of 0 MiB"],
] as const)("a root with %s", (_title, [total, free, files, freeFiles], line) => {
  const space = { totalBytes: total * MIB, freeBytes: free * MIB, files, freeFiles };
  expect(renderVerdict(planRootVerdict(space))).toBe(line);
});

test("each thing that is wrong is a verdict; none is one too", () => {
  expect(planLineVerdicts("overlay", []).map(renderVerdict)).toEqual(["ok overlay: as it should be"]);
  expect(planLineVerdicts("overlay", ["/etc/motd: content", "/a: missing"]).map(renderVerdict)).toEqual([
    "failed overlay: /etc/motd: content",
    "failed overlay: /a: missing",
  ]);
});

test("of more than a hundred things that are wrong, the number of the rest is told", () => {
  const lines = Array.from({ length: 103 }, (_, i) => `/f${i}: missing`);
  const verdicts = planLineVerdicts("overlay", lines);
  expect(verdicts).toHaveLength(101);
  expect(verdicts.at(-1)).toEqual({ check: "overlay", isRight: false, text: "... and 3 more" });
});

test("a verdict's line is read as it was written, and other lines are not verdicts", () => {
  const verdict = { check: "overlay", isRight: false, text: "/etc/motd: content: odd" } as const;
  expect(parseVerdict(renderVerdict(verdict))).toEqual(verdict);
  expect(["", "ok", "ok weather: fine", "maybe clock: 3"].map(parseVerdict)).toEqual(
    Array.from({ length: 4 }, () => undefined),
  );
});
