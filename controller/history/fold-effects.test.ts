import { describe, expect, test } from "vitest";

import { foldEffects, renderEffectGroups } from "./fold-effects.ts";
import { openEffectSummary } from "./summarise-effects.ts";

const mtu = (name: string, before: number, after: number) => ({
  kind: "node",
  name,
  before: { image: "a", devices: { eno1: { mtu: before } } },
  after: { image: "a", devices: { eno1: { mtu: after } } },
});

describe("foldEffects", () => {
  test("puts together what was done alike, with values before and after", () => {
    expect(foldEffects([mtu("c010", 1, 2), mtu("c002", 3, 2), mtu("c001", 3, 2), mtu("c003", 3, 2)])).toEqual(
      [
        {
          kind: "node",
          names: "c[001-003]",
          action: "changed",
          fields: [{ path: "devices.eno1.mtu", before: 3, after: 2 }],
        },
        {
          kind: "node",
          names: "c010",
          action: "changed",
          fields: [{ path: "devices.eno1.mtu", before: 1, after: 2 }],
        },
      ],
    );
  });

  test("tells all of what was added, deleted and renamed", () => {
    const profile = { kind: "profile", name: "gpu" };
    expect(
      foldEffects([
        { ...profile, after: { tags: { "a.b": "1" } } },
        { kind: "node", name: "c1", before: { image: "a" } },
        { kind: "node", name: "c2", before: { image: "a" }, after: { image: "a" }, renamedTo: "c3" },
      ]),
    ).toEqual([
      { kind: "node", names: "c1", action: "deleted", fields: [{ path: "image", before: "a" }] },
      { kind: "node", names: "c2", action: "renamed", renamedTo: "c3", fields: [] },
      { kind: "profile", names: "gpu", action: "added", fields: [{ path: 'tags."a.b"', after: "1" }] },
    ]);
  });
});

describe("a summary of effects in one line", () => {
  test.each([
    ["c[001-003]: devices.eno1.mtu", [mtu("c001", 1, 2), mtu("c002", 3, 2), mtu("c003", 1, 9)]],
    [
      "c1 renamed c2; profile gpu added",
      [
        { kind: "node", name: "c1", before: {}, after: {}, renamedTo: "c2" },
        { kind: "profile", name: "gpu", after: {} },
      ],
    ],
    [
      "c1: a, b, c, d, and 1 more",
      [{ kind: "node", name: "c1", before: {}, after: { a: 1, b: 1, c: 1, d: 1, e: 1 } }],
    ],
    [
      "channel x/stable: version; image y deleted; identity c[1-2] deleted; and 1 more",
      [
        { kind: "channel", name: "x/stable", before: { version: 1 }, after: { version: 2 } },
        { kind: "image", name: "y", before: {} },
        { kind: "identity", name: "c1", before: {} },
        { kind: "identity", name: "c2", before: {} },
        { kind: "alert", name: "c2", before: {} },
      ],
    ],
  ])("%s", (line, effects) => {
    const summary = openEffectSummary();
    effects.forEach(summary.add);
    expect(renderEffectGroups(summary.groups())).toBe(line);
  });
});
