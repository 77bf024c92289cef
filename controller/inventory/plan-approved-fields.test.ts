import { describe, expect, it } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import type { DeviceFields, Fields } from "../fields/fields.ts";
import { planApprovedFields } from "./plan-approved-fields.ts";

const BOOT = parseMacAddress("52:54:00:00:00:01");
const OLD = parseMacAddress("52:54:00:00:00:99");

type Devices = Readonly<Record<string, DeviceFields>>;

const wanted: Fields = { devices: { eno1: { mac: BOOT, mtu: 9000 } } };

describe("planApprovedFields", () => {
  it.each<[string, Devices, Fields]>([
    [
      "leaves a device alone that has the MAC already",
      { eth7: { mac: BOOT } },
      { devices: { eth7: { mac: BOOT } } },
    ],
    [
      "renews the MAC of the device of that name, and keeps its address and what else it has",
      {
        ib0: { type: "infiniband", address: "10.78.0.1" },
        eno1: { mac: OLD, address: "10.77.0.1", mtu: 1500 },
      },
      {
        devices: {
          eno1: { mac: BOOT, address: "10.77.0.1", mtu: 1500 },
          ib0: { type: "infiniband", address: "10.78.0.1" },
        },
      },
    ],
    [
      "finds the device by the name of its interface, too",
      { boot: { interface: "eno1", address: "10.77.0.1" }, eth0: {} },
      { devices: { boot: { interface: "eno1", mac: BOOT, address: "10.77.0.1", mtu: 9000 } } },
    ],
    [
      "gives the MAC to the first Ethernet device without one",
      { eth10: { mtu: 1500 }, eth9: { address: "10.77.0.1" }, ib0: { type: "infiniband" } },
      {
        devices: {
          eth9: { mac: BOOT, address: "10.77.0.1", mtu: 9000 },
          eth10: { mtu: 1500 },
          ib0: { type: "infiniband" },
        },
      },
    ],
    [
      "adds the device when none fits, as the one that boots",
      { eth0: { mac: OLD } },
      { devices: { eno1: { mac: BOOT, mtu: 9000 }, eth0: { mac: OLD } } },
    ],
    [
      "says which one boots where the order of names would choose another",
      { eth0: { mac: OLD }, eth1: { mac: OLD } },
      { devices: { eno1: { mac: BOOT, mtu: 9000 }, eth0: { mac: OLD }, eth1: { mac: OLD } } },
    ],
    [
      "names the device that boots where another stands first",
      { ens1: { mac: OLD }, a1: { mac: OLD } },
      {
        primaryDevice: "eno1",
        devices: { a1: { mac: OLD }, eno1: { mac: BOOT, mtu: 9000 }, ens1: { mac: OLD } },
      },
    ],
  ])("%s", (_title, devices, after) => {
    expect(planApprovedFields({ devices }, { devices }, wanted, BOOT)).toEqual(after);
  });

  it("writes the MAC alone to a node whose device is its profile's", () => {
    const merged: Fields = { devices: { eno1: { netmask: "255.255.0.0", mtu: 1500 } } };
    expect(planApprovedFields({ profiles: ["default"] }, merged, wanted, BOOT)).toEqual({
      profiles: ["default"],
      devices: { eno1: { mac: BOOT } },
    });
  });

  it("replaces what is set, keeps what is not, and joins tags", () => {
    const before: Fields = {
      image: "debian12",
      comment: "rack 1",
      kernelArguments: ["quiet"],
      overlays: ["base"],
      devices: { eno1: { mac: BOOT } },
      tags: { kind: "cpu", rack: "1" },
    };
    expect(
      planApprovedFields(before, before, { image: "rocky9", overlays: ["gpu"], tags: { kind: "gpu" } }, BOOT),
    ).toEqual({ ...before, image: "rocky9", overlays: ["gpu"], tags: { kind: "gpu", rack: "1" } });
  });

  it("makes up a device when the operator named none with the machine's MAC", () => {
    expect(planApprovedFields({}, {}, {}, BOOT)).toEqual({ devices: { eth0: { mac: BOOT } } });
  });
});
