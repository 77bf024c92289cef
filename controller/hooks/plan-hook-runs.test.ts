import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { HookBatch, HookNews } from "./hook-event.ts";
import { planHookRuns } from "./plan-hook-runs.ts";

const AT = new Date(0);
const nodeNews = (event: "node-up" | "node-down", name: string, state = ""): HookNews => ({
  event,
  node: { name, at: AT, state },
});
const committed = (id: number): HookNews => ({
  event: "change-committed",
  change: { id, at: AT, user: "root", touched: [] },
});
const read = (text: string): readonly HookNews[] =>
  text.split(", ").map((part) => {
    const [word = "", name = ""] = part.split(" ");
    return word === "change"
      ? committed(Number(name))
      : nodeNews(word === "up" ? "node-up" : "node-down", name);
  });
const write = (batches: readonly HookBatch[]): string =>
  batches
    .map(({ event, nodes, changes }) =>
      [event.replace("node-", ""), ...nodes.map(({ name }) => name), ...changes.map(({ id }) => id)].join(
        " ",
      ),
    )
    .join("; ");

describe("planHookRuns", () => {
  test.each([
    ["down c1, down c2, down c3", "down c1 c2 c3"],
    ["down c1, up c2, down c3", "down c1 c3; up c2"],
    ["down c1, up c1, down c2", "down c1 c2; up c1"],
    ["down c1, up c1, down c1", "down c1; up c1; down c1"],
    ["up c1, up c1", "up c1"],
    ["change 1, down c1, change 2", "change-committed 1 2; down c1"],
  ])("tells %s as %s", (news, runs) => {
    expect(write(planHookRuns(read(news)))).toBe(runs);
  });

  test("tells what is known of a node last", () => {
    const news = [nodeNews("node-up", "c1", "old"), nodeNews("node-up", "c1", "new")];
    expect(planHookRuns(news).map(({ nodes }) => nodes)).toEqual([[{ name: "c1", at: AT, state: "new" }]]);
  });

  test("nothing is no run", () => {
    expect(planHookRuns([])).toEqual([]);
  });

  test("10,000 nodes that go down and up again are two runs, planned in a moment", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `c${index}`);
    const news = [
      ...names.map((name) => nodeNews("node-down", name)),
      ...names.map((name) => nodeNews("node-up", name)),
    ];
    const start = performance.now();
    expect(planHookRuns(news).map(({ event, nodes }) => [event, nodes.length])).toEqual([
      ["node-down", 10_000],
      ["node-up", 10_000],
    ]);
    expect(performance.now() - start).toBeLessThan(500);
  });

  test("whatever happens, each node is told of in the order in which it happened to it", () => {
    const some = fc.array(
      fc.tuple(fc.constantFrom("node-up", "node-down"), fc.constantFrom("c1", "c2", "c3")),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(some, (happened) => {
        const runs = planHookRuns(happened.map(([event, name]) => nodeNews(event as "node-up", name)));
        for (const name of ["c1", "c2", "c3"]) {
          const wanted = happened.filter((one) => one[1] === name).map(([event]) => event);
          const told = runs
            .filter(({ nodes }) => nodes.some((node) => node.name === name))
            .map(({ event }) => event);
          // The same twice in a row may be told once.
          expect(withoutRepeats(told)).toEqual(withoutRepeats(wanted));
        }
      }),
    );
  });
});

function withoutRepeats(words: readonly string[]): readonly string[] {
  return words.filter((word, index) => word !== words[index - 1]);
}
