import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import { canonicalFields } from "../fields/canonical-fields.ts";
import type { Fields } from "../fields/fields.ts";
import type { RefusedMachine } from "../inventory/inventory.ts";
import { planNodeReplace } from "./plan-node-replace.ts";
import { planNodeSwap } from "./plan-node-swap.ts";
import { findRefusal, refusalError } from "./plan-refusal.ts";

const [M1, M2, M3, M4] = [1, 2, 3, 4].map((n) => parseMacAddress(`52:54:00:00:00:0${n}`)) as [
  ReturnType<typeof parseMacAddress>,
  ReturnType<typeof parseMacAddress>,
  ReturnType<typeof parseMacAddress>,
  ReturnType<typeof parseMacAddress>,
];

describe("planNodeReplace", () => {
  test("gives the boot device the MAC, takes every other of the old machine, and leaves all else", () => {
    const own: Fields = {
      image: "debian12",
      primaryDevice: "eno2",
      devices: {
        eno1: { mac: M1 },
        eno2: { mac: M2, address: "10.77.0.17" },
        ib0: { type: "infiniband", mac: M3, address: "10.78.0.17" },
      },
    };
    expect(planNodeReplace(own, own, M4)).toEqual({
      fields: {
        image: "debian12",
        primaryDevice: "eno2",
        devices: {
          eno1: { type: "ethernet" },
          eno2: { mac: M4, address: "10.77.0.17" },
          ib0: { type: "infiniband", address: "10.78.0.17" },
        },
      },
      bootDevice: "eno2",
      oldMacs: [M2, M1, M3],
      without: ["eno1", "ib0"],
    });
  });

  test.each<[Fields, Fields, string]>([
    [{}, {}, "eno1"],
    [{}, { devices: { br0: { type: "bridge" }, enp1s0: { mtu: 9000 } } }, "enp1s0"],
    [{ devices: { eno2: { address: "10.0.0.1" } } }, { devices: { eno2: { address: "10.0.0.1" } } }, "eno2"],
  ])("of %j with %j boots from %s, which had no MAC", (own, merged, device) => {
    const plan = planNodeReplace(own, merged, M1);
    expect([plan.bootDevice, plan.fields.devices?.[device]?.mac, plan.oldMacs]).toEqual([device, M1, []]);
  });
});

describe("planNodeSwap", () => {
  test("exchanges what belongs to the machines, device by device of the same name", () => {
    const a: Fields = {
      image: "debian12",
      assetKey: "A-1",
      primaryDevice: "eno2",
      devices: { eno1: { mac: M1, address: "10.0.0.1" }, ib0: { type: "infiniband", mac: M2 } },
      bmc: { address: "10.9.0.1", user: "root" },
    };
    const b: Fields = {
      image: "rocky9",
      devices: { eno1: { mac: M3, address: "10.0.0.2" }, eno3: { mtu: 9000 } },
    };
    expect(planNodeSwap(a, b)).toEqual([
      {
        image: "debian12",
        devices: { eno1: { mac: M3, address: "10.0.0.1" }, ib0: { type: "infiniband" } },
      },
      {
        image: "rocky9",
        assetKey: "A-1",
        primaryDevice: "eno2",
        devices: {
          eno1: { mac: M1, address: "10.0.0.2" },
          eno3: { mtu: 9000 },
          ib0: { type: "infiniband", mac: M2 },
        },
        bmc: { address: "10.9.0.1", user: "root" },
      },
    ]);
  });

  test("twice is not at all, for nodes with the same devices", () => {
    const some = fc
      .record({
        m1: fc.constantFrom(M1, undefined),
        m2: fc.constantFrom(M2, undefined),
        user: fc.constantFrom("x", "y", undefined),
        image: fc.constantFrom("a", "b"),
      })
      .map(({ m1, m2, user, image }) =>
        canonicalFields({
          image,
          devices: {
            eno1: { address: "10.0.0.1", ...(m1 === undefined ? {} : { mac: m1 }) },
            ib0: { type: "infiniband", ...(m2 === undefined ? {} : { mac: m2 }) },
          },
          ...(user === undefined ? {} : { bmc: { user } }),
        }),
      );
    fc.assert(
      fc.property(some, some, (a, b) => {
        expect(planNodeSwap(...(planNodeSwap(a, b) as [Fields, Fields]))).toEqual([a, b]);
      }),
    );
  });
});

const REFUSED: RefusedMachine = {
  mac: M1,
  macs: [M1, M2],
  smbiosUuid: "4c4c4544-0000-1000-8000-000000000001",
  serial: "S1",
  node: parseNodeName("c017"),
  user: "anna",
  reason: "board dead",
  at: new Date("2026-11-20T12:00:00Z"),
};

describe("findRefusal", () => {
  const machine = (facts: Partial<Parameters<typeof findRefusal>[1]>) => ({
    ...{ macs: [M4], smbiosUuid: "", serial: "" },
    ...facts,
  });
  test.each<[boolean, Partial<Parameters<typeof findRefusal>[1]>, Partial<RefusedMachine>]>([
    [true, { macs: [M4, M2] }, {}],
    [false, {}, {}],
    [true, { smbiosUuid: "4C4C4544-0000-1000-8000-000000000001" }, {}],
    [true, { smbiosUuid: REFUSED.smbiosUuid ?? "", serial: "S1" }, {}],
    [false, { smbiosUuid: REFUSED.smbiosUuid ?? "", serial: "S2" }, {}],
    [false, { serial: "S1" }, {}],
    ...[
      "00000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff",
      "03000200-0400-0500-0006-000700080009",
    ].map((smbiosUuid): [boolean, object, object] => [false, { smbiosUuid }, { smbiosUuid }]),
  ])("is %s for %j", (expected, facts, refused) => {
    expect(findRefusal([{ ...REFUSED, ...refused }], machine(facts)) !== undefined).toBe(expected);
  });

  test("the sentence says by whom, when, why, and what to do", () => {
    const error = refusalError(REFUSED);
    expect([error.code, error.message, error.fix]).toEqual([
      "enrolment-refused",
      "this machine was replaced as c017 by anna on 2026-11-20 (board dead)",
      "ask the operator; to let it in again: muster node refused readmit 52:54:00:00:00:01",
    ]);
  });
});
