import { expect, test } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";

import type { LogLine } from "../events/log-history.ts";
import { keepLogs } from "./keep-logs.ts";
import { fullLogBudget, LOG_LIMITS, planLogLines } from "./plan-log-budget.ts";

const NOW = new Date("2026-11-20T12:00:00Z");
const node = parseNodeName("c001");
const session = { node, bootId: "b1", address: "10.0.0.1", send: () => undefined };

function listen(clock: { now: Date } = { now: NOW }): {
  readonly kept: Omit<LogLine, "id">[];
  readonly say: (texts: readonly string[], from?: string) => Promise<void>;
} {
  const kept: Omit<LogLine, "id">[] = [];
  const { received } = keepLogs({
    history: { recordLogs: (lines) => void kept.push(...lines) },
    now: () => clock.now,
  });
  return {
    kept,
    say: async (texts, from = "c001") => {
      const lines = texts.map((text) => ({ atMs: clock.now.getTime() - 5, source: "agent", text }));
      await received?.({ ...session, node: parseNodeName(from) }, { $case: "logLines", value: { lines } });
    },
  };
}

test("a line is kept without what would drive a terminal, cut, and with a time and source one can believe", async () => {
  const kept: Omit<LogLine, "id">[] = [];
  const { received } = keepLogs({
    history: { recordLogs: (lines) => void kept.push(...lines) },
    now: () => NOW,
  });
  const lines = [
    { atMs: NOW.getTime() - 1000, source: "boot", text: "\u001b[31mred\u202e\n" },
    { atMs: 5, source: "\u001b]0;x", text: "x".repeat(2000) },
  ];
  await received?.(session, { $case: "logLines", value: { lines } });
  await received?.(session, { $case: "logLines", value: { lines: [] } });
  await received?.(session, { $case: "heartbeat", value: { uptimeSeconds: 5 } });
  expect(kept).toEqual([
    { node, bootId: "b1", at: new Date(NOW.getTime() - 1000), source: "boot", text: "[31mred" },
    { node, bootId: "b1", at: NOW, source: "agent", text: "x".repeat(500) },
  ]);
});

test("a node in a loop is cut off, which is said later, and does not cost another node a line", async () => {
  const clock = { now: NOW };
  const { kept, say } = listen(clock);
  const many = Array.from({ length: 1000 }, (_, n) => `loop ${n}`);
  await say(many);
  await say(many);
  await say(many);
  expect(kept.length).toBe(LOG_LIMITS.burst);
  await say(["fine"], "c002");
  expect(kept.at(-1)).toMatchObject({ node: "c002", text: "fine" });
  clock.now = new Date(NOW.getTime() + 60_000);
  await say(["still too early"]);
  expect(kept.length).toBe(LOG_LIMITS.burst + 1);
  clock.now = new Date(NOW.getTime() + 200_000);
  await say(["heard again"]);
  expect(kept.slice(-2).map(({ source, text }) => `${source}: ${text}`)).toEqual([
    "muster: 1501 lines are missing here: the node said too much at once",
    "agent: heard again",
  ]);
});

test("a budget grows with time up to its burst, also when the clock goes back", () => {
  const empty = planLogLines(fullLogBudget(0), LOG_LIMITS.burst, 0);
  expect(empty).toEqual({ kept: LOG_LIMITS.burst, told: 0, budget: { lines: 0, atMs: 0, denied: 0 } });
  expect(planLogLines(empty.budget, 3, 4000)).toEqual({
    kept: 2,
    told: 0,
    budget: { lines: 0, atMs: 4000, denied: 1 },
  });
  expect(planLogLines(empty.budget, 1, -10_000).kept).toBe(0);
  expect(planLogLines(empty.budget, 0, 1e9).budget.lines).toBe(LOG_LIMITS.burst);
});
