import type { MacAddress } from "#proto/contract/mac-address.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";
import { canonicalFields } from "../fields/canonical-fields.ts";
import { bootDeviceOf } from "../fields/effective-node.ts";
import type { DeviceFields, Fields } from "../fields/fields.ts";

type Devices = Readonly<Record<string, DeviceFields>>;

/**
 * The fields of a node that exists after a pending machine was approved under its name. `merged` is what the node is with
 * its profiles.
 *
 * What `wanted` sets replaces, tags by key; what it leaves out stays as it was.
 * The machine's boot device becomes one of the node's:
 *
 * | the node has, with its profiles | then                                                                  |
 * |---------------------------------|-----------------------------------------------------------------------|
 * | a device with that MAC          | nothing changes: it is known already                                  |
 * | a device of the same name       | that device gets the MAC and keeps its address (board or NIC replaced) |
 * | an Ethernet device, no MAC      | the first of them gets the MAC (node prepared before it was delivered) |
 * | neither                         | the device is added, as the one that boots                            |
 */
export function planApprovedFields(own: Fields, merged: Fields, wanted: Fields, bootMac: MacAddress): Fields {
  const there = merged.devices ?? {};
  const fields = {
    ...own,
    ...wanted,
    // Its devices are looked at below: what the machine has besides them is seen when it boots.
    devices: own.devices,
    primaryDevice: own.primaryDevice,
    tags: { ...own.tags, ...wanted.tags },
  } as Fields;
  if (Object.values(there).some(({ mac }) => mac === bootMac)) return canonicalFields(fields);
  const [name, device] = Object.entries(wanted.devices ?? {}).find(([, { mac }]) => mac === bootMac) ?? [
    "eth0",
    { mac: bootMac },
  ];
  const key = keyFor(there, name) ?? name;
  const renewed: DeviceFields = {
    ...missingIn(device, there[key]),
    ...own.devices?.[key],
    mac: bootMac,
  };
  const boots =
    bootDeviceOf({ ...there, [key]: { ...there[key], ...renewed } }, merged.primaryDevice) === key;
  return canonicalFields({
    ...fields,
    devices: { ...own.devices, [key]: renewed },
    ...(boots ? {} : { primaryDevice: key }),
  });
}

/** The device of the node that the machine's is. */
function keyFor(there: Devices, name: string): string | undefined {
  if (there[name] !== undefined) return name;
  const keys = Object.keys(there).sort(compareNodeNames);
  return (
    keys.find((key) => there[key]?.interface === name) ??
    keys.find((key) => there[key]?.mac === undefined && (there[key]?.type ?? "ethernet") === "ethernet")
  );
}

/** What a device says that the node's does not: of that, everything else stays. */
function missingIn(device: DeviceFields, there: DeviceFields | undefined): DeviceFields {
  if (there === undefined) return device;
  return Object.fromEntries(Object.entries(device).filter(([field]) => !Object.hasOwn(there, field)));
}
