import { expect, test } from "vitest";

import type { AgentRelease } from "#proto/gen/muster/v1/session.ts";

import { NOTHING_TRIED, planAgentUpdate, withAttempt } from "./plan-agent-update.ts";

const blob = { digest: "sha256:bb", sizeBytes: 33, ticket: Buffer.alloc(0) };
const release: AgentRelease = { version: "0.2.0", digest: "new", sizeBytes: 109, blob, spreadSeconds: 528 };

test("another build is fetched at a moment within the spread", () => {
  expect(planAgentUpdate("old", release, NOTHING_TRIED, 0)).toEqual({ kind: "fetch", delayMs: 0 });
  expect(planAgentUpdate("old", release, NOTHING_TRIED, 0.5)).toEqual({ kind: "fetch", delayMs: 264_000 });
});

test.each([
  ["none is offered", "old", undefined],
  ["it is this one", "new", release],
  ["this one has no name", "", release],
])("nothing is done when %s", (_title, own, offered) => {
  expect(planAgentUpdate(own, offered, NOTHING_TRIED, 0)).toEqual({ kind: "none" });
});

const tried = withAttempt(withAttempt(withAttempt(NOTHING_TRIED, "new"), "new"), "new");
test.each([
  ["put in place in this boot", { attempts: {}, installed: ["new"] }, release, /did not stay$/],
  ["tried three times", tried, release, /tried 3 times$/],
  ["nowhere to be fetched", NOTHING_TRIED, { ...release, blob: undefined }, /does not say where it is$/],
  ["of no size", NOTHING_TRIED, { ...release, sizeBytes: 0 }, /0 bytes is no size/],
  ["of more than a gibibyte", NOTHING_TRIED, { ...release, sizeBytes: 2 ** 30 + 1 }, /is no size/],
])("one that was %s is left", (_title, record, offered, why) => {
  expect(planAgentUpdate("old", offered, record, 0)).toEqual({
    kind: "left",
    why: expect.stringMatching(why) as string,
  });
});

test("twice tried is not yet left, and attempts of another build do not count", () => {
  const record = withAttempt(withAttempt(withAttempt(NOTHING_TRIED, "new"), "new"), "other");
  expect(record).toEqual({ attempts: { new: 2, other: 1 }, installed: [] });
  expect(planAgentUpdate("old", release, record, 0).kind).toBe("fetch");
});
