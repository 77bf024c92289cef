import { describe, expect, it } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import type { NetworkDevice, NodeFields } from "./inventory.ts";
import { planApprovedFields } from "./plan-approved-fields.ts";

const BOOT = parseMacAddress("52:54:00:00:00:01");
const OLD = parseMacAddress("52:54:00:00:00:99");

function fields(devices: readonly NetworkDevice[], more: Partial<NodeFields> = {}): NodeFields {
  return { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, ...more, devices };
}

const wanted = fields([{ name: "eno1", type: "ethernet", mac: BOOT, mtu: 9000 }]);

describe("planApprovedFields", () => {
  it.each<[string, readonly NetworkDevice[], readonly NetworkDevice[]]>([
    [
      "leaves a device alone that has the MAC already",
      [{ name: "eth7", type: "ethernet", mac: BOOT }],
      [{ name: "eth7", type: "ethernet", mac: BOOT }],
    ],
    [
      "renews the MAC of the device of that name, keeps its address, and puts it first to boot from",
      [
        { name: "ib0", type: "infiniband", address: "10.78.0.1" },
        { name: "eno1", type: "ethernet", mac: OLD, address: "10.77.0.1", mtu: 1500 },
      ],
      [
        { name: "eno1", type: "ethernet", mac: BOOT, address: "10.77.0.1", mtu: 1500 },
        { name: "ib0", type: "infiniband", address: "10.78.0.1" },
      ],
    ],
    [
      "gives the MAC to the first Ethernet device without one",
      [
        { name: "ib0", type: "infiniband" },
        { name: "eth0", type: "ethernet", address: "10.77.0.1" },
      ],
      [
        { name: "eth0", type: "ethernet", address: "10.77.0.1", mac: BOOT, mtu: 9000 },
        { name: "ib0", type: "infiniband" },
      ],
    ],
    [
      "adds the device in front when none fits",
      [{ name: "eth0", type: "ethernet", mac: OLD }],
      [
        { name: "eno1", type: "ethernet", mac: BOOT, mtu: 9000 },
        { name: "eth0", type: "ethernet", mac: OLD },
      ],
    ],
  ])("%s", (_title, before, after) => {
    expect(planApprovedFields(fields(before), wanted, BOOT)).toEqual(fields(after));
  });

  it("replaces what is set, keeps what is not, and joins tags", () => {
    const before = fields([{ name: "eno1", type: "ethernet", mac: BOOT }], {
      image: "debian12",
      comment: "rack 1",
      kernelArguments: ["quiet"],
      overlays: ["base"],
      tags: { rack: "1", kind: "cpu" },
    });
    expect(
      planApprovedFields(
        before,
        fields([], { image: "rocky9", overlays: ["gpu"], tags: { kind: "gpu" } }),
        BOOT,
      ),
    ).toEqual({
      ...before,
      image: "rocky9",
      overlays: ["gpu"],
      tags: { rack: "1", kind: "gpu" },
    });
  });

  it("makes up a device when the operator named none with the machine's MAC", () => {
    expect(planApprovedFields(fields([]), fields([]), BOOT).devices).toEqual([
      { name: "eth0", type: "ethernet", mac: BOOT },
    ]);
  });
});
