import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";

import type { Fields } from "../fields/fields.ts";
import type { InventoryState, RecordChange } from "../inventory/changes.ts";
import type { ImportedFile } from "./imported-node.ts";
import { planExportedNodes } from "./plan-exported-nodes.ts";
import { planGendersImport } from "./plan-genders-import.ts";
import { planHostsImport } from "./plan-hosts-import.ts";
import { planImport } from "./plan-import.ts";
import { renderGenders } from "./render-genders.ts";
import { renderHosts } from "./render-hosts.ts";

const PROFILES = ["base", "gpu", "login"] as const;
const EMPTY: InventoryState = {
  nodes: [],
  profiles: PROFILES.map((name) => ({ kind: "profile", name, revision: 1, fields: {} })),
};

/** What an import into an empty inventory gives each node. */
function imported(file: ImportedFile): Readonly<Record<string, Fields | undefined>> {
  const { changes, findings } = planImport(file, EMPTY, { device: "eno1", keep: false, addProfiles: false });
  expect(findings).toEqual([]);
  return Object.fromEntries(changes.map(({ name, fields }: RecordChange) => [name, fields]));
}

function stateOf(nodes: Readonly<Record<string, Fields>>): InventoryState {
  return {
    ...EMPTY,
    nodes: Object.entries(nodes).map(([name, fields]) => ({ kind: "node", name, revision: 1, fields })),
  };
}

const names = fc.uniqueArray(
  fc.constantFrom("c1", "c2", "c10", "c001", "r1n1", "r2n1", "r2n2", "gpu1a", "login"),
  {
    minLength: 1,
  },
);

describe("what is exported and imported again is the same", () => {
  it("as genders: tags and profiles, %-signs and empty values included", () => {
    const tags = fc.dictionary(
      fc.constantFrom("rack", "row", "site.a", "x/y", "fast"),
      fc.constantFrom("", "1", "%n", "100%%", "a=b", "ü", "%"),
      { minKeys: 1 },
    );
    const fields = fc.record({ tags, profiles: fc.subarray([...PROFILES], { minLength: 1 }) });
    fc.assert(
      fc.property(names, fc.infiniteStream(fields), (chosen, stream) => {
        const nodes = Object.fromEntries(chosen.map((name) => [name, stream.next().value as Fields]));
        const { text, notes } = renderGenders(planExportedNodes(stateOf(nodes)));
        expect(notes).toEqual([]);
        const back = imported(planGendersImport(text, { profiles: new Set(PROFILES) }));
        expect(back).toEqual(nodes);
      }),
    );
  });

  it("as hosts: the addresses of all devices and of the BMC", () => {
    const address = fc
      .tuple(fc.integer({ min: 1, max: 220 }), fc.nat(255), fc.nat(255))
      .map(([a, b, c]) => `10.${a}.${b}.${c}`);
    const parts = fc.record({
      eno1: address,
      ib0: fc.option(address, { nil: undefined }),
      six: fc.boolean(),
      bmc: fc.option(address, { nil: undefined }),
    });
    fc.assert(
      fc.property(names, fc.infiniteStream(parts), (chosen, stream) => {
        const used = new Set<string>();
        const fresh = (text: string | undefined): string | undefined => {
          if (text === undefined || used.has(text)) return undefined;
          used.add(text);
          return text;
        };
        const nodes = Object.fromEntries(
          chosen.flatMap((name, index) => {
            const { eno1, ib0, six, bmc } = stream.next().value as {
              eno1: string;
              ib0?: string;
              six: boolean;
              bmc?: string;
            };
            const own = fresh(eno1);
            if (own === undefined) return [];
            const [other, controller] = [fresh(ib0), fresh(bmc)];
            const fields: Fields = {
              devices: {
                eno1: { address: own, ...(six ? { address6: `fd00::${index + 1}` } : {}) },
                ...(other === undefined ? {} : { ib0: { address: other } }),
              },
              ...(controller === undefined ? {} : { bmc: { address: controller } }),
            };
            return [[name, fields]];
          }),
        );
        const { text, notes } = renderHosts(planExportedNodes(stateOf(nodes)), "hpc.example");
        expect(notes).toEqual([]);
        const suffixes = new Map([
          ["-ib0", "ib0"],
          ["-bmc", "bmc"],
        ]);
        expect(imported(planHostsImport(text, { match: new Set(Object.keys(nodes)), suffixes }))).toEqual(
          nodes,
        );
      }),
    );
  });

  it("and a device keeps its name where the node is there already", () => {
    const mac = parseMacAddress("52:54:00:00:00:01");
    const nodes = { c001: { devices: { net7: { mac, address: "10.1.0.1" } } } };
    const { text } = renderHosts(planExportedNodes(stateOf(nodes)));
    const file = planHostsImport(text, { match: new Set(["c001"]), suffixes: new Map() });
    const { changes } = planImport(file, stateOf(nodes), { device: "eno1", keep: false, addProfiles: false });
    expect(changes).toEqual([{ kind: "node", name: "c001", revision: 1, fields: nodes.c001 }]);
  });
});
