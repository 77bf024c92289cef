import { describe, expect, test } from "vitest";

import { DOWN_AFTER_MS, NEVER_SEEN, type NodeLife, planNodeLife } from "./plan-node-life.ts";

const UP: NodeLife = { upIn: "b1", waningSinceMs: undefined };
const WANING: NodeLife = { upIn: "b1", waningSinceMs: 1000 };
type Status = Parameters<typeof planNodeLife>[1];

describe("planNodeLife", () => {
  test.each<[NodeLife, Status, number, readonly string[], NodeLife]>([
    [NEVER_SEEN, { state: "ready", bootId: "b1" }, 0, ["node-up"], UP],
    [NEVER_SEEN, { state: "booting" }, 0, [], NEVER_SEEN],
    [NEVER_SEEN, { state: "new" }, 0, [], NEVER_SEEN],
    [UP, { state: "ready", bootId: "b1" }, 0, [], UP],
    [WANING, { state: "ready", bootId: "b1" }, 20_000, [], UP],
    [WANING, { state: "ready", bootId: "b2" }, 20_000, ["node-down", "node-up"], { ...UP, upIn: "b2" }],
    [UP, { state: "unreachable", bootId: "b1" }, 1000, [], WANING],
    [WANING, { state: "unreachable", bootId: "b1" }, 999 + DOWN_AFTER_MS, [], WANING],
    [WANING, { state: "unreachable", bootId: "b1" }, 1000 + DOWN_AFTER_MS, ["node-down"], NEVER_SEEN],
    [UP, { state: "booting", stage: "restarting", bootId: "b1" }, 0, ["node-down"], NEVER_SEEN],
    [UP, { state: "booting", stage: "fetch", bootId: "b2" }, 0, ["node-down"], NEVER_SEEN],
    [UP, { state: "booting", stage: "script" }, 1000, [], WANING],
    [UP, { state: "failed", bootId: "b2" }, 1000, [], WANING],
    [UP, { state: "new" }, 0, ["node-down"], NEVER_SEEN],
  ])("of %j, now %j at %d, tells %j", (life, status, nowMs, news, then) => {
    expect(planNodeLife(life, status, nowMs)).toEqual({ news, life: then });
  });
});
