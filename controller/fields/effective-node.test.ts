import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { MacAddress } from "#proto/contract/mac-address.ts";

import { arbitraryFields } from "../../test/fixtures/arbitrary-fields.ts";
import { canonicalFields } from "./canonical-fields.ts";
import { effectiveNode, fieldsOfFlat } from "./effective-node.ts";
import { unsetField } from "./edit-fields.ts";
import type { DeviceFields, Fields } from "./fields.ts";

const A = "52:54:00:00:00:0a" as MacAddress;
const B = "52:54:00:00:00:0b" as MacAddress;
const C = "52:54:00:00:00:0c" as MacAddress;

function namesInOrder(fields: Fields): readonly string[] {
  return effectiveNode(fields).devices.map(({ name }) => name);
}

describe("the effective node", () => {
  it("has every list and map that consumers walk, also without fields", () => {
    expect(effectiveNode({})).toEqual({
      kernelArguments: [],
      overlays: [],
      runtimeOverlays: [],
      tags: {},
      devices: [],
    });
  });

  it("has devices by interface, with their names in the inventory where those differ", () => {
    const fields: Fields = {
      image: "debian",
      profiles: ["compute"],
      cluster: "x",
      bmc: { address: "10.9.0.1" },
      devices: { default: { interface: "eno1", mac: A, dns: ["10.0.0.1"] }, ib0: { type: "infiniband" } },
    };
    expect(effectiveNode(fields)).toEqual({
      image: "debian",
      profiles: ["compute"],
      cluster: "x",
      bmc: { address: "10.9.0.1" },
      kernelArguments: [],
      overlays: [],
      runtimeOverlays: [],
      tags: {},
      devices: [
        { key: "default", name: "eno1", type: "ethernet", mac: A, dns: ["10.0.0.1"] },
        { name: "ib0", type: "infiniband" },
      ],
    });
  });

  it("boots from the first card in natural order that has a MAC", () => {
    expect(namesInOrder({ devices: { eno10: { mac: A }, eno2: { mac: B }, eno1: { mtu: 1500 } } })).toEqual([
      "eno2",
      "eno1",
      "eno10",
    ]);
  });

  it("does not boot from a bond that has a MAC when a card has one", () => {
    const bond = { type: "bond", mac: A } as const;
    expect(namesInOrder({ devices: { bond0: bond, eno1: { mac: B } } })).toEqual(["eno1", "bond0"]);
    expect(namesInOrder({ devices: { a: { type: "bond" }, bond0: bond } })).toEqual(["bond0", "a"]);
  });

  it("boots from its primary device, and from the first with a MAC when that one is not there", () => {
    const devices = { eno1: { mac: A }, eno2: { mac: B } };
    expect(namesInOrder({ primaryDevice: "eno2", devices })).toEqual(["eno2", "eno1"]);
    expect(namesInOrder({ primaryDevice: "eno9", devices })).toEqual(["eno1", "eno2"]);
  });

  it("applies an overlay once, where it was named last", () => {
    const { overlays, runtimeOverlays } = effectiveNode({
      overlays: ["a", "b", "a"],
      runtimeOverlays: ["c", "c"],
    });
    expect([overlays, runtimeOverlays]).toEqual([["b", "a"], ["c"]]);
  });
});

describe("fields of a flat node", () => {
  it("name the boot device only where it would be another", () => {
    const eno1 = { name: "eno1", type: "ethernet", mac: A } as const;
    const eno2 = { name: "eno2", type: "ethernet", mac: B } as const;
    const flat = effectiveNode({});
    expect(fieldsOfFlat({ ...flat, devices: [eno1, eno2] })).toEqual({
      devices: { eno1: { mac: A }, eno2: { mac: B } },
    });
    expect(fieldsOfFlat({ ...flat, devices: [eno2, eno1] })).toEqual({
      primaryDevice: "eno2",
      devices: { eno1: { mac: A }, eno2: { mac: B } },
    });
  });

  it("keep a device of which nothing is known but its name", () => {
    const devices = [{ name: "eno1", type: "ethernet" } as const];
    expect(canonicalFields(fieldsOfFlat({ ...effectiveNode({}), devices }))).toEqual({
      devices: { eno1: { type: "ethernet" } },
    });
  });

  it("have the flat form that they were made from", () => {
    fc.assert(
      fc.property(arbitraryFields, fc.uniqueArray(fc.constantFrom(A, B, C)), (fields, macs) => {
        // MACs of one node differ; nothing names a device that is not there.
        const devices = Object.entries(fields.devices ?? {}).map(
          ([key, device], at): [string, DeviceFields] => [
            key,
            {
              ...unsetField({ devices: { x: device } }, "devices.x.mac").devices?.["x"],
              ...(macs[at] === undefined ? {} : { mac: macs[at] }),
            },
          ],
        );
        const flat = effectiveNode({
          ...unsetField(fields, "primaryDevice"),
          devices: Object.fromEntries(devices),
        });
        expect(effectiveNode(fieldsOfFlat(flat))).toEqual(flat);
      }),
    );
  });
});
