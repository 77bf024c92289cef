import { expect, test } from "vitest";

import { openEffectSummary } from "./summarise-effects.ts";

const summaryOf = (effects: Parameters<ReturnType<typeof openEffectSummary>["add"]>[0][]) => {
  const summary = openEffectSummary();
  effects.forEach(summary.add);
  return summary.groups();
};

test("what was done alike is one group, with the fields whatever their values were", () => {
  expect(
    summaryOf([
      { kind: "node", name: "c2", before: { devices: { eno1: { mtu: 1 } } }, after: { comment: "x" } },
      { kind: "node", name: "c1", before: { devices: { eno1: { mtu: 2 } } }, after: { comment: "y" } },
      { kind: "profile", name: "gpu", after: {} },
      { kind: "node", name: "c3", before: {} },
    ]),
  ).toEqual([
    {
      ...{ kind: "node", names: "c[1-2]", count: 2, action: "changed" },
      fields: ["devices.eno1.mtu", "comment"],
    },
    { kind: "profile", names: "gpu", count: 1, action: "added", fields: [] },
    { kind: "node", names: "c3", count: 1, action: "deleted", fields: [] },
  ]);
});

test("renamed nodes are one group, under both names", () => {
  expect(
    summaryOf(
      [1, 2, 3].map((n) => ({ kind: "node", name: `c${n}`, before: {}, after: {}, renamedTo: `n${n}` })),
    ),
  ).toEqual([
    { kind: "node", names: "c[1-3]", renamedTo: "n[1-3]", count: 3, action: "renamed", fields: [] },
  ]);
});

test("a change that does something else to each of 10,000 nodes has a short summary that names them all", () => {
  const groups = summaryOf(
    Array.from({ length: 10_000 }, (_, at) => ({
      ...{ kind: "node", name: `c${at}`, before: {}, after: { tags: { [`t${at}`]: "1" } } },
    })),
  );
  expect(groups).toHaveLength(21);
  expect(groups.at(-1)).toEqual({
    ...{ kind: "node", names: "c[20-9999]", count: 9980, action: "changed", fields: [] },
  });
  expect(JSON.stringify(groups).length).toBeLessThan(3000);
});

test("of a change of very many fields the first are named", () => {
  const tags = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`t${at}`, "1"]));
  const [group] = summaryOf([{ kind: "node", name: "c1", before: {}, after: { tags } }]);
  expect(group?.fields).toHaveLength(50);
});
