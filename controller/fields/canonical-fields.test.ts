import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { arbitraryFields } from "../../test/fixtures/arbitrary-fields.ts";
import { canonicalFields } from "./canonical-fields.ts";
import type { Fields } from "./fields.ts";
import { validateFields } from "./validate-fields.ts";

describe("canonical fields", () => {
  it("have no empty values, keys in the order of the table, names in natural order", () => {
    const fields = {
      tags: { rack10: "b", rack2: "a" },
      overlays: [],
      devices: { eno10: { mtu: 1500, mac: "52:54:00:00:00:01" }, eno2: { type: "bond" }, eno3: {} },
      bmc: { tags: {} },
      comment: "",
      image: "debian",
    } as unknown as Fields;
    expect(JSON.stringify(canonicalFields(fields))).toBe(
      JSON.stringify({
        image: "debian",
        devices: { eno2: { type: "bond" }, eno10: { mac: "52:54:00:00:00:01", mtu: 1500 } },
        tags: { rack2: "a", rack10: "b" },
      }),
    );
  });

  it("keep what is empty in tags and resources", () => {
    const fields: Fields = { tags: { spare: "" }, resources: { b: {}, a: { list: [], none: null } } };
    expect(JSON.stringify(canonicalFields(fields))).toBe(
      '{"tags":{"spare":""},"resources":{"a":{"list":[],"none":null},"b":{}}}',
    );
  });

  it("have one zero: JSON, and so the history, has no other", () => {
    const fields: Fields = { resources: { gpus: -0, list: [-0, { at: -0 }] } };
    expect(canonicalFields(fields)).toStrictEqual({ resources: { gpus: 0, list: [0, { at: 0 }] } });
  });

  it("stay as they are when made canonical again", () => {
    fc.assert(
      fc.property(arbitraryFields, (fields) => {
        expect(JSON.stringify(canonicalFields(fields))).toBe(JSON.stringify(fields));
      }),
    );
  });

  it("are what validation gives, whatever the order in which they were written", () => {
    fc.assert(
      fc.property(arbitraryFields, (fields) => {
        const { fields: valid, findings } = validateFields("node", reversed(fields), "");
        expect(findings).toEqual([]);
        expect(JSON.stringify(valid)).toBe(JSON.stringify(fields));
      }),
    );
  });
});

/** The same with the keys of every map in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, below]) => [key, reversed(below)]),
  );
}
