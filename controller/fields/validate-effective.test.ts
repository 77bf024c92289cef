import fc from "fast-check";
import { describe, expect, it, test } from "vitest";

import { arbitraryFields } from "../../test/fixtures/arbitrary-fields.ts";
import type { Fields, Json } from "./fields.ts";
import { validateEffective } from "./validate-effective.ts";

type Written = Readonly<Record<string, Json>>;

const FINE: readonly (readonly [what: string, fields: Written])[] = [
  ["nothing", {}],
  ["an address without a netmask: that of the boot network", { devices: { e: { address: "10.0.0.1" } } }],
  ["a primary device while no machine was seen", { primaryDevice: "eno1" }],
  [
    "a bond of two cards with a VLAN and a bridge on it",
    {
      primaryDevice: "eno1",
      devices: {
        bond0: { type: "bond", bondMode: "802.3ad" },
        "bond0.100": { type: "vlan", master: "br0" },
        br0: { type: "bridge" },
        eno1: { master: "bond0" },
        eno2: { master: "bond0" },
        storage: { interface: "vlan7", type: "vlan", vlanId: 7, parent: "bond0" },
      },
    },
  ],
  [
    "a device whose interface has a good name",
    { devices: { "a-name-longer-than-a-card": { interface: "eno1" } } },
  ],
  [
    "partitions that take the next number",
    { disks: { "/dev/sda": { partitions: { a: { number: 0 }, b: { number: 0 } } } } },
  ],
  ["several swaps", { fileSystems: { "/dev/sda1": { path: "swap" }, "/dev/sda2": { path: "swap" } } }],
  [
    "a cloned MAC that is that of a card",
    { devices: { b: { type: "bond", clonedMac: "52:54:00:00:00:01" }, e: { mac: "52:54:00:00:00:01" } } },
  ],
];

const WRONG: readonly (readonly [what: string, fields: Written, at: string, said: string, fix?: string])[] = [
  [
    "an interface given twice",
    { devices: { a: { interface: "eno1" }, eno1: { mtu: 1500 } } },
    "devices.eno1.interface",
    '"eno1" is already that of device a',
  ],
  [
    "a device whose name is not that of an interface",
    { devices: { "a-name-longer-than-a-card": { mtu: 1500 } } },
    "devices.a-name-longer-than-a-card",
    '"a-name-longer-than-a-card" is not the name of a network interface',
    "set its interface",
  ],
  [
    "a MAC twice",
    { devices: { a: { mac: "52:54:00:00:00:01" }, b: { mac: "52:54:00:00:00:01" } } },
    "devices.b.mac",
    '"52:54:00:00:00:01" is already that of device a of the node',
  ],
  [
    "an address twice",
    { devices: { a: { address: "10.0.0.1" }, b: { address: "10.0.0.1" } } },
    "devices.b.address",
    '"10.0.0.1" is already that of device a of the node',
  ],
  [
    "an IPv6 address twice",
    { devices: { a: { address6: "fd00::1" }, b: { address6: "fd00::1" } } },
    "devices.b.address6",
    '"fd00::1" is already that of device a of the node',
  ],
  [
    "the address of a device for the BMC",
    { devices: { a: { address: "10.0.0.1" } }, bmc: { address: "10.0.0.1" } },
    "bmc.address",
    '"10.0.0.1" is already that of device a of the node',
  ],
  [
    "a primary device that is not there",
    { primaryDevice: "eno9", devices: { eno1: { mtu: 1500 }, eno2: { mtu: 1500 } } },
    "primaryDevice",
    'there is no device "eno9": there are eno1, eno2',
  ],
  [
    "a master that is not there",
    { devices: { eno1: { master: "bond0" } } },
    "devices.eno1.master",
    'there is no device "bond0": there are eno1',
  ],
  [
    "a master that is a card",
    { devices: { eno1: { master: "eno2" }, eno2: { mtu: 1500 } } },
    "devices.eno1.master",
    "device eno2 is neither a bond nor a bridge",
    "set its type: devices.eno2.type",
  ],
  [
    "a parent that is not there",
    { devices: { v: { type: "vlan", vlanId: 7, parent: "eno1" } } },
    "devices.v.parent",
    'there is no device "eno1": there are v',
  ],
  [
    "a VLAN without a number",
    { devices: { e: { mtu: 1500 }, v: { type: "vlan", parent: "e" } } },
    "devices.v",
    "a VLAN needs vlanId",
    "set devices.v.vlanId",
  ],
  [
    "a VLAN without a parent",
    { devices: { v: { type: "vlan", vlanId: 7 } } },
    "devices.v",
    "a VLAN needs parent",
    "set devices.v.parent",
  ],
  [
    "a bond that is its own port",
    { devices: { b: { type: "bond", master: "b" } } },
    "devices.b",
    "is built on itself: b on b",
  ],
  [
    "bonds on each other",
    { devices: { a: { type: "bond", master: "b" }, b: { type: "bridge", master: "a" } } },
    "devices.b",
    "is built on itself: b on a on b",
  ],
  [
    "a VLAN that is a port of the bond it is on",
    { devices: { b: { type: "bond" }, v: { type: "vlan", vlanId: 7, parent: "b", master: "b" } } },
    "devices.b",
    "is built on itself: b on v on b",
  ],
  [
    "a number of a partition twice",
    { disks: { "/dev/sda": { partitions: { a: { number: 1 }, b: { number: 1 } } } } },
    "disks./dev/sda.partitions.b.number",
    "1 is already that of partition a",
  ],
  [
    "a place to mount twice",
    { fileSystems: { "/dev/sda1": { path: "/scratch" }, "/dev/sda2": { path: "/scratch" } } },
    "fileSystems./dev/sda2.path",
    "/scratch is already that of /dev/sda1",
  ],
  [
    "kernel arguments of all profiles that are too long together",
    { kernelArguments: ["a".repeat(500), "b".repeat(500), "c".repeat(50)] },
    "kernelArguments",
    "together they are longer than 1024 bytes",
  ],
  [
    "devices of all profiles that are too many together",
    { devices: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`e${at}`, { mtu: 1500 }])) },
    "devices",
    "there are more than 32",
  ],
];

describe("merged fields may have", () => {
  test.each(FINE)("%s", (_what, fields) => {
    expect(validateEffective(fields as Fields)).toEqual([]);
  });
});

describe("merged fields are refused for", () => {
  test.each(WRONG)("%s", (_what, fields, at, what, fix) => {
    expect(validateEffective(fields as Fields)).toEqual([
      { at, what, ...(fix === undefined ? {} : { fix }) },
    ]);
  });
});

it("findings stand at places in the whole document", () => {
  const fields: Fields = { devices: { eno1: { master: "bond0" } } };
  expect(validateEffective(fields, "nodes.c001").map(({ at }) => at)).toEqual([
    "nodes.c001.devices.eno1.master",
  ]);
});

it("judging merged fields ends for any", () => {
  fc.assert(
    fc.property(arbitraryFields, (fields) => {
      expect(validateEffective(fields)).toBeInstanceOf(Array);
    }),
  );
});
