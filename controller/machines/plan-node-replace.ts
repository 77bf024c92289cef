import { compareNodeNames } from "#proto/contract/node-set.ts";
import type { MacAddress } from "#proto/contract/mac-address.ts";

import { canonicalFields } from "../fields/canonical-fields.ts";
import { bootDeviceOf } from "../fields/effective-node.ts";
import type { DeviceFields, Fields } from "../fields/fields.ts";

/** What replacing the machine behind a node does to its fields. */
export interface NodeReplacement {
  readonly fields: Fields;
  /** Gets the MAC, and boots. */
  readonly bootDevice: string;
  /** Those of the machine that goes, the one it booted with first. */
  readonly oldMacs: readonly MacAddress[];
  /** Devices that had one of these and have none now: nobody knows yet what the new machine has there. */
  readonly without: readonly string[];
}

const NEW_DEVICE = "eno1";

/**
 * The fields of a node when another machine takes the place of its own: the device that boots gets the MAC, and every other
 * MAC goes, for it is on a card of the old machine, which could boot with it as the node. Everything else - addresses,
 * routes, image - is the node's and stays. A node without any device gets one, "eno1".
 *
 * `own`: as written on the node; `merged`: with its profiles.
 */
export function planNodeReplace(own: Fields, merged: Fields, mac: MacAddress): NodeReplacement {
  const known = merged.devices ?? {};
  const boot = bootDeviceOf(known, merged.primaryDevice) ?? firstCard(known) ?? NEW_DEVICE;
  const oldMacs = [known[boot], ...Object.values(known)].flatMap((device) => device?.mac ?? []);
  const kept = Object.entries(own.devices ?? {}).map(([name, device]) => [name, withoutMac(device)] as const);
  const without = Object.entries(own.devices ?? {})
    .filter(([name, device]) => name !== boot && device.mac !== undefined)
    .map(([name]) => name);
  const devices = { ...Object.fromEntries(kept), [boot]: { ...own.devices?.[boot], mac } };
  return {
    fields: canonicalFields({ ...own, devices }),
    bootDevice: boot,
    oldMacs: [...new Set(oldMacs)],
    without,
  };
}

/** A device must have some field to exist. */
export function withoutMac(device: DeviceFields): DeviceFields {
  const rest: DeviceFields = Object.fromEntries(Object.entries(device).filter(([field]) => field !== "mac"));
  return Object.keys(rest).length === 0 ? { type: "ethernet" } : rest;
}

function firstCard(devices: Readonly<Record<string, DeviceFields>>): string | undefined {
  return Object.keys(devices)
    .sort(compareNodeNames)
    .find((name) => ["ethernet", "infiniband"].includes(devices[name]?.type ?? "ethernet"));
}
