import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { arbitraryFields } from "../../test/fixtures/arbitrary-fields.ts";
import { canonicalFields } from "./canonical-fields.ts";
import { explainFields } from "./explain-fields.ts";
import { parseFieldPath } from "./field-path.ts";
import { findField } from "./field-tree.ts";
import type { Fields, FieldsRecord } from "./fields.ts";
import { leafPaths } from "./list-leaves.ts";
import { mergeFields } from "./merge-fields.ts";

const PROFILES = new Map<string, Fields>([
  [
    "base",
    { image: "debian", kernelArguments: ["quiet", "a=1"], comment: "not handed on", tags: { site: "x" } },
  ],
  [
    "login",
    {
      profiles: ["base"],
      image: "rocky",
      devices: { eno1: { onBoot: true, mtu: 1500 } },
      resources: { nfs: { home: "a" }, scratch: "/tmp" },
    },
  ],
]);

const node = (fields: Fields): FieldsRecord => ({ kind: "node", name: "c001", fields });

describe("explaining fields", () => {
  it("tells for each where it comes from and what it overrode, for lists element by element", () => {
    const own: Fields = {
      profiles: ["login"],
      image: "alma",
      kernelArguments: ["~quiet", "b=2"],
      devices: { eno1: { onBoot: false } },
      resources: { scratch: { path: "/scratch" } },
    };
    expect(explainFields(node(own), PROFILES)).toEqual([
      { path: "profiles[0]", value: "login", from: "node", overrode: [] },
      {
        path: "image",
        value: "alma",
        from: "node",
        overrode: [
          { from: "profile base", value: "debian" },
          { from: "profile login", value: "rocky" },
        ],
      },
      { path: "kernelArguments[0]", value: "a=1", from: "profile base", overrode: [] },
      { path: "kernelArguments[1]", value: "b=2", from: "node", overrode: [] },
      {
        path: "kernelArguments",
        value: "~quiet",
        from: "node",
        overrode: [{ from: "profile base", value: "quiet" }],
      },
      {
        path: "devices.eno1.onBoot",
        value: false,
        from: "node",
        overrode: [{ from: "profile login", value: true }],
      },
      { path: "devices.eno1.mtu", value: 1500, from: "profile login", overrode: [] },
      { path: "tags.site", value: "x", from: "profile base", overrode: [] },
      { path: "resources.nfs.home", value: "a", from: "profile login", overrode: [] },
      {
        path: "resources.scratch.path",
        value: "/scratch",
        from: "node",
        overrode: [{ from: "profile login", value: "/tmp" }],
      },
    ]);
  });

  it("tells a profile's own from those of a profile that is called node", () => {
    const profiles = new Map<string, Fields>([["node", { image: "debian" }]]);
    const fields: Fields = { profiles: ["node"], image: "rocky" };
    expect(explainFields({ kind: "profile", name: "gpu", fields }, profiles)).toEqual([
      { path: "profiles[0]", value: "node", from: "itself", overrode: [] },
      {
        path: "image",
        value: "rocky",
        from: "itself",
        overrode: [{ from: "profile node", value: "debian" }],
      },
    ]);
  });

  it("shows what takes nothing out, because nobody put it in", () => {
    expect(explainFields(node({ overlays: ["~chrony"] }), new Map())).toEqual([
      { path: "overlays", value: "~chrony", from: "node", overrode: [] },
    ]);
  });

  it("names the record whose profile does not exist", () => {
    expect(() => explainFields(node({ profiles: ["gone"] }), new Map())).toThrow(
      'c001: there is no profile "gone"',
    );
  });

  it("has every effective value, and only those", () => {
    fc.assert(
      fc.property(arbitraryFields, arbitraryFields, (own, profile) => {
        const profiles = new Map([["p", { ...profile, profiles: [] }]]);
        const fields = canonicalFields({ ...own, profiles: ["p"] });
        const explained = explainFields(node(fields), profiles)
          .map(({ path }) => path)
          .filter((path) => !isListItself(path))
          .map((path) => path.replace(/(?<!")\[\d+\]$/, ""));
        expect([...new Set(explained)]).toEqual(leafPaths(mergeFields(fields, profiles)));
      }),
    );
  });
});

/** Whether a path is that of a list, not of its elements: what was taken out of it stands there. */
function isListItself(path: string): boolean {
  const found = findField(parseFieldPath(path));
  return found?.node.kind === "leaf" && found.node.row.type.kind === "list" && found.rest.length === 0;
}
