import { expect, it } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { type OverlayReport, planOverlayVerdict, withReactionsOf } from "./overlay-report.ts";

const [WANTED, OTHER] = [digestOfHex("aa".repeat(32)), digestOfHex("bb".repeat(32))];
const REPORT: OverlayReport = {
  ...{ digest: WANTED, appliedAt: new Date(1), reportedAt: new Date(2), failure: undefined },
  ...{ drift: [], driftCount: 0, reactions: [] },
};
const FAILURE = { digest: WANTED, code: "disk-full", what: "w", fix: "f" };
const DRIFT = { path: "/a", what: "content" };
const REACTION = { command: "c", outputTail: "", durationMs: 1 };

it.each([
  [false, REPORT, WANTED, "unreachable"],
  [true, undefined, WANTED, "unknown"],
  [true, { ...REPORT, failure: FAILURE }, WANTED, "failed"],
  [true, { ...REPORT, digest: OTHER }, WANTED, "outdated"],
  [true, { ...REPORT, digest: undefined }, WANTED, "outdated"],
  [true, { ...REPORT, digest: OTHER }, undefined, "current"],
  [true, { ...REPORT, drift: [{ ...DRIFT, repaired: false }] }, WANTED, "drifted"],
  [true, { ...REPORT, drift: [{ ...DRIFT, repaired: true }] }, WANTED, "current"],
  [true, { ...REPORT, reactions: [{ ...REACTION, failure: "exit status 1" }] }, WANTED, "reaction-failed"],
  [true, { ...REPORT, reactions: [{ ...REACTION, failure: "" }] }, WANTED, "current"],
] as const)("with a session %j, %j and %s wanted, a node is %s", (hasSession, report, wanted, verdict) => {
  expect(planOverlayVerdict(hasSession, report, wanted)).toBe(verdict);
});

it("keeps the reactions of an update until the next one, and no longer", () => {
  const reactions = [{ ...REACTION, failure: "exit status 1" }];
  const before = { ...REPORT, reactions };
  expect(withReactionsOf(before, REPORT).reactions).toEqual(reactions);
  expect(withReactionsOf(before, { ...REPORT, appliedAt: new Date(9) }).reactions).toEqual([]);
  expect(withReactionsOf(before, { ...REPORT, digest: OTHER }).reactions).toEqual([]);
  expect(withReactionsOf(undefined, REPORT)).toEqual(REPORT);
});
