import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { canonicalFields } from "../fields/canonical-fields.ts";
import type { Fields } from "../fields/fields.ts";
import type { InventoryRecord, InventoryState } from "../inventory/changes.ts";
import { parseInventory } from "./parse-inventory.ts";
import { hasSecrets, planApply } from "./plan-apply.ts";
import { renderInventory } from "./render-inventory.ts";
import { renderTextFindings } from "./text-finding.ts";

const node = (name: string, fields: object, revision = 3): InventoryRecord => ({
  kind: "node",
  name,
  revision,
  fields,
});
const SITE: InventoryState = {
  profiles: [{ kind: "profile", name: "gpu", revision: 7, fields: {} }],
  nodes: [node("c001", { image: "debian12" }), node("c002", { bmc: { user: "a", password: "(kept)" } })],
};
const NO_PRUNE = { prune: false };

describe("what applying a text comes to", () => {
  it("is a change of each record that differs, against the revision that was seen", () => {
    const text = parseInventory(
      "f",
      "profiles: {}\nnodes:\n  c001: {image: debian13}\n  c002: {bmc: {password: (kept), user: a}}\n  c003: {}\n",
    );
    expect(planApply([text], SITE, NO_PRUNE)).toEqual({
      changes: [
        { kind: "node", name: "c001", revision: 3, fields: { image: "debian13" } },
        { kind: "node", name: "c003", revision: 0, fields: {} },
      ],
      same: 1,
      left: [{ kind: "profile", name: "gpu", revision: 7, fields: {} }],
      findings: [],
    });
    expect(planApply([text], SITE, { prune: true }).changes).toEqual([
      { kind: "node", name: "c001", revision: 3, fields: { image: "debian13" } },
      { kind: "node", name: "c003", revision: 0, fields: {} },
      { kind: "profile", name: "gpu", revision: 7, fields: undefined },
    ]);
  });

  it("prunes only the kinds that are spoken of", () => {
    const text = parseInventory("f", "nodes: {c001: {image: debian12}}\n");
    expect(planApply([text], SITE, { prune: true })).toMatchObject({
      changes: [{ kind: "node", name: "c002", fields: undefined }],
      left: [{ kind: "profile", name: "gpu" }],
    });
  });

  it("finds records that are in two texts, and secrets that cannot be kept", () => {
    const texts = [
      parseInventory("a.yaml", "nodes: {c001: {}}\n"),
      parseInventory("b.yaml", 'nodes:\n  c001: {}\n  c003: {bmc: {password: "(kept)"}}\n'),
    ];
    const plan = planApply(texts, SITE, NO_PRUNE);
    expect(renderTextFindings(plan.findings)).toEqual([
      "b.yaml:2:3: nodes.c001: is in a.yaml already; keep it in one of the two",
      "b.yaml:3:26: nodes.c003.bmc.password: is (kept), but there is none to keep; write the secret itself, or leave it out",
    ]);
  });

  it("keeps the secret that is there when the state has it", () => {
    const site = { ...SITE, nodes: [node("c002", { bmc: { user: "a", password: "s3cret" } })] };
    const shown = parseInventory("f", "nodes: {c002: {bmc: {user: b, password: (kept)}}}\n");
    expect(planApply([shown], site, NO_PRUNE).changes).toEqual([
      { kind: "node", name: "c002", revision: 3, fields: { bmc: { user: "b", password: "s3cret" } } },
    ]);
    expect(hasSecrets([shown], ["bmc.password"])).toBe(false);
    expect(hasSecrets([parseInventory("f", "nodes: {c2: {bmc: {password: x}}}")], ["bmc.password"])).toBe(
      true,
    );
    expect(
      hasSecrets([parseInventory("f", "nodes: {c2: {devices: {a: {mtu: 9000}}}}")], ["devices.*.mtu"]),
    ).toBe(false);
  });

  it("is nothing when the text is what was exported, whatever is in the inventory", () => {
    const fields = fc
      .record(
        {
          comment: fc.string({
            maxLength: 12,
            unit: fc.constantFrom("a", "1", ":", " ", "#", "~", "é", "'"),
          }),
          kernelArguments: fc.array(fc.stringMatching(/^[a-z0-9=.,:]{1,8}$/), { maxLength: 3 }),
          tags: fc.dictionary(
            fc.stringMatching(/^[a-z0-9]{1,3}$/),
            fc.constantFrom("", "0042", "yes", "1.10"),
            {
              noNullPrototype: true,
            },
          ),
          resources: fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), fc.jsonValue({ maxDepth: 2 }), {
            noNullPrototype: true,
          }),
        },
        { requiredKeys: [] },
      )
      .map((given) => canonicalFields({ ...given, comment: given.comment?.trim() } as unknown as Fields));
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,3}$/), { maxLength: 6 });
    fc.assert(
      fc.property(names, fc.array(fields, { minLength: 6, maxLength: 6 }), (all, each) => {
        const state: InventoryState = {
          nodes: all.map((name, at) => node(name, JSON.parse(JSON.stringify(each[at] ?? {})) as object)),
          profiles: [],
        };
        const text = parseInventory("f", renderInventory(state));
        fc.pre(!JSON.stringify(state).includes("__proto__"));
        expect(planApply([text], state, { prune: true })).toEqual({
          changes: [],
          same: all.length,
          left: [],
          findings: [],
        });
      }),
      { numRuns: 300 },
    );
  });
});
