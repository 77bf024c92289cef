import fc from "fast-check";
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";

import { arbitraryFields } from "../../../test/fixtures/arbitrary-fields.ts";
import type { Fields, FieldsRecord } from "../../fields/fields.ts";
import { openMerger } from "../../fields/merge-fields.ts";
import { planImportWarewulf } from "./plan-import-warewulf.ts";
import { renderNodesConf } from "./render-nodes-conf.ts";

const FIXTURES = new URL("../../../test/fixtures/warewulf/", import.meta.url);

/** Every image and overlay there could be. */
class Everything extends Set<string> {
  override has(): boolean {
    return true;
  }
}
const ALL = { images: new Everything(), overlays: new Everything() };

function node(fields: Fields): readonly FieldsRecord[] {
  return [{ kind: "node", name: "n1", fields }];
}

test("a record has Warewulf's words, and comments for what it has none for", () => {
  const records: readonly FieldsRecord[] = [
    {
      kind: "profile",
      name: "default",
      fields: {
        comment: "for all",
        image: "rocky-9",
        rootMode: "squashfs",
        rootSizeBytes: 8589934592,
        kernelArguments: ["quiet", "~splash"],
        bmc: { user: "admin", password: "(kept)", vlanId: 17 },
        resources: { fstab: [{ spec: "server:/home" }] },
      },
    },
    { kind: "profile", name: "empty", fields: {} },
    {
      kind: "node",
      name: "c001",
      fields: {
        profiles: ["default"],
        devices: {
          a: { interface: "eno1", mac: "52:54:00:00:00:01" as never, mtu: 9000, master: "bond" },
          bond: {
            interface: "bond0",
            type: "bond",
            address: "10.0.0.1",
            dns: ["10.0.0.53", "10.0.0.54"],
            dnsSearch: ["a.example", "b.example"],
            routes: ["10.2.0.0/16 via 10.0.0.9", "10.3.0.0/16 via 10.0.0.9 metric 5"],
            bondMode: "802.3ad",
          },
          br: { type: "bridge", stp: true, routes: ["blackhole 10.9.0.0/16"] },
        },
      },
    },
  ];
  expect(renderNodesConf(records)).toEqual({
    text: `# nodes.conf for Warewulf 4.6 and 4.7, written by muster.
# What Warewulf has no words for stands in lines that begin with "# muster:".
nodeprofiles:
  default:
    # muster: rootSizeBytes: 8589934592 (Warewulf has no word for it)
    # muster: bmc.password: "(kept)" (written with --secrets only)
    comment: for all
    image name: rocky-9
    root: initramfs
    kernel:
      args:
        - quiet
        - ~splash
    ipmi:
      username: admin
      tags:
        vlan: "17"
    resources:
      fstab:
        -
          spec: server:/home
  empty: {}
nodes:
  c001:
    # muster: devices.br.stp: true (Warewulf has no word for it)
    # muster: devices.br.routes: ["blackhole 10.9.0.0/16"] (Warewulf has no word for a route like this)
    profiles:
      - default
    network devices:
      a:
        device: eno1
        hwaddr: "52:54:00:00:00:01"
        mtu: "9000"
        tags:
          master: bond0
      bond:
        device: bond0
        type: bond
        ipaddr: 10.0.0.1
        tags:
          mode: "802.3ad"
          DNS1: 10.0.0.53
          DNS2: 10.0.0.54
          DNSSEARCH: a.example b.example
          route1: "10.2.0.0/16,10.0.0.9"
          route2: "10.3.0.0/16,10.0.0.9,5"
      br:
        type: bridge
`,
    left: [
      { kind: "profile", name: "default", path: "rootSizeBytes", why: "Warewulf has no word for it" },
      { kind: "profile", name: "default", path: "bmc.password", why: "written with --secrets only" },
      { kind: "node", name: "c001", path: "devices.br.stp", why: "Warewulf has no word for it" },
      {
        kind: "node",
        name: "c001",
        path: "devices.br.routes",
        why: "Warewulf has no word for a route like this",
      },
    ],
  });
});

test("nothing gives an empty file that Warewulf and the import read", () => {
  const { text } = renderNodesConf([]);
  expect(text).toMatch(/nodeprofiles: \{\}\nnodes: \{\}\n$/);
  expect(planImportWarewulf(text, ALL)).toEqual({ version: "4.6", records: [], items: [], findings: [] });
});

describe("import, export, import", () => {
  test.each(["4.2", "4.4", "4.5", "4.6"])("gives the same fields of nodes.conf of %s", async (version) => {
    const first = planImportWarewulf(await readFile(new URL(`nodes-${version}.conf`, FIXTURES), "utf8"), ALL);
    const { text, left } = renderNodesConf(first.records);
    const second = planImportWarewulf(text, ALL);
    expect(left).toEqual([]);
    expect(second.records).toEqual(first.records);
    expect(second.items.filter(({ outcome }) => outcome === "left")).toEqual([]);
  });

  test("gives the same fields of whatever an import can bring", () => {
    fc.assert(
      fc.property(arbitraryFields, arbitraryFields, arbitraryFields, (own, p1, p2) => {
        const wild: readonly FieldsRecord[] = [
          { kind: "profile", name: "p1", fields: { ...p1, profiles: [] } },
          { kind: "profile", name: "p2", fields: { ...p2, profiles: ["p1"] } },
          { kind: "node", name: "n1", fields: { ...own, profiles: ["p2"] } },
        ];
        const first = planImportWarewulf(renderNodesConf(wild).text, ALL);
        expect(first.records).toHaveLength(3);
        const second = planImportWarewulf(renderNodesConf(first.records).text, ALL);
        expect(second.records).toEqual(first.records);
      }),
      { numRuns: 100 },
    );
  });
});

describe("name servers and routes, which Warewulf merges tag by tag", () => {
  const conf = (own: string) => `nodeprofiles:
  p: {network devices: {e: {tags: {DNS1: 10.0.0.1, DNS2: 10.0.0.2}}}}
nodes:
  n1: {profiles: [p], network devices: {e: {device: eno1, tags: {${own}}}}}
`;
  test.each([
    ["DNS1: 10.0.0.9", ["~10.0.0.1", "10.0.0.9"], ["10.0.0.2", "10.0.0.9"]],
    ["DNS3: 10.0.0.3", ["10.0.0.3"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]],
    ["DNS2: 10.0.0.2", undefined, ["10.0.0.1", "10.0.0.2"]],
  ])("a node with %s keeps the servers it had", (own, written, effective) => {
    const { records } = planImportWarewulf(conf(own), ALL);
    const profiles = new Map(records.map(({ name, fields }) => [name, fields]));
    const fields: Fields = records[1]?.fields ?? {};
    expect(fields.devices?.["e"]?.dns).toEqual(written);
    expect(openMerger(profiles).merge(fields).devices?.["e"]?.dns).toEqual(effective);
    expect(planImportWarewulf(renderNodesConf(records).text, ALL).records).toEqual(records);
  });

  test("a list that takes out more than it adds has no counterpart, and is told", () => {
    const { left } = renderNodesConf([
      { kind: "profile", name: "p", fields: { devices: { e: { dns: ["10.0.0.1", "10.0.0.2"] } } } },
      ...node({ profiles: ["p"], devices: { e: { mtu: 9000, dns: ["~10.0.0.1"] } } }),
    ]);
    expect(left).toEqual([
      { kind: "node", name: "n1", path: "devices.e.dns", why: "Warewulf cannot take out what profiles add" },
    ]);
  });
});

test("the address of an InfiniBand port is its hwaddr, unless the device has a MAC", () => {
  const infinibandAddress = "80:00:02:08:fe:80:00:00:00:00:00:00:e4:1d:2d:03:00:4f:12:a1";
  const { text } = renderNodesConf([
    {
      kind: "node",
      name: "c001",
      fields: {
        devices: {
          ib0: { infinibandAddress },
          ib1: { mac: "52:54:00:00:00:01" as never, infinibandAddress },
        },
      },
    },
  ]);
  expect(text.split("nodes:\n")[1]).toBe(`  c001:
    # muster: devices.ib1.infinibandAddress: "${infinibandAddress}" (Warewulf has one hardware address, and this device has a MAC)
    network devices:
      ib0:
        hwaddr: "${infinibandAddress}"
      ib1:
        hwaddr: "52:54:00:00:00:01"
`);
});
