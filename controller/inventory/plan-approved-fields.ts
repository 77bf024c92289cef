import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NetworkDevice, NodeFields } from "./inventory.ts";

/**
 * The fields of a node that exists after a pending machine was approved under its name.
 *
 * What `wanted` sets (a value, a list that is not empty, a tag) replaces; what it leaves out stays as it was.
 * The machine's boot device becomes one of the node's:
 *
 * | the node has               | then                                                                  |
 * |----------------------------|-----------------------------------------------------------------------|
 * | a device with that MAC     | nothing changes: it is known already                                  |
 * | a device of the same name  | that device gets the MAC and keeps its address (board or NIC replaced) |
 * | an Ethernet device, no MAC | the first of them gets the MAC (node prepared before it was delivered) |
 * | neither                    | the device is added in front, as the one that boots                   |
 */
export function planApprovedFields(
  existing: NodeFields,
  wanted: NodeFields,
  bootMac: MacAddress,
): NodeFields {
  return {
    ...existing,
    ...(wanted.image === undefined ? {} : { image: wanted.image }),
    ...(wanted.rootMode === undefined ? {} : { rootMode: wanted.rootMode }),
    ...(wanted.rootSizeBytes === undefined ? {} : { rootSizeBytes: wanted.rootSizeBytes }),
    ...(wanted.comment === undefined ? {} : { comment: wanted.comment }),
    ...(wanted.kernelArguments.length === 0 ? {} : { kernelArguments: wanted.kernelArguments }),
    ...(wanted.overlays.length === 0 ? {} : { overlays: wanted.overlays }),
    ...(wanted.runtimeOverlays.length === 0 ? {} : { runtimeOverlays: wanted.runtimeOverlays }),
    tags: { ...existing.tags, ...wanted.tags },
    devices: withBootDevice(existing.devices, wanted.devices, bootMac),
  };
}

function withBootDevice(
  devices: readonly NetworkDevice[],
  wanted: readonly NetworkDevice[],
  bootMac: MacAddress,
): readonly NetworkDevice[] {
  if (devices.some((device) => device.mac === bootMac)) return devices;
  const boot = wanted.find((device) => device.mac === bootMac) ?? {
    name: "eth0",
    type: "ethernet",
    mac: bootMac,
  };
  const sameName = devices.findIndex((device) => device.name === boot.name);
  const prepared = devices.findIndex((device) => device.type === "ethernet" && device.mac === undefined);
  const at = sameName >= 0 ? sameName : prepared;
  const old = devices[at];
  if (old === undefined) return [boot, ...devices];
  const renewed: NetworkDevice = { ...boot, ...old, mac: bootMac };
  return [renewed, ...devices.slice(0, at), ...devices.slice(at + 1)];
}
