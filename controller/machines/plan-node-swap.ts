import { canonicalFields } from "../fields/canonical-fields.ts";
import type { DeviceFields, Fields } from "../fields/fields.ts";
import { withoutMac } from "./plan-node-replace.ts";

/**
 * The fields of two nodes when the machines behind them change places: what belongs to a machine goes with it - the MACs of
 * its devices, which device it boots from, its BMC, its asset key - and what belongs to a node stays. A device that only
 * one of them has is taken along by its MAC, with its type.
 */
export function planNodeSwap(a: Fields, b: Fields): readonly [Fields, Fields] {
  return [takeMachine(a, b), takeMachine(b, a)];
}

/** Besides MACs. */
const OF_MACHINES = ["bmc", "primaryDevice", "assetKey"];

function takeMachine(own: Fields, other: Fields): Fields {
  const { devices = {} } = own;
  const rest: Fields = Object.fromEntries(
    Object.entries(own).filter(([field]) => !OF_MACHINES.includes(field)),
  );
  const theirs = other.devices ?? {};
  const merged = Object.fromEntries(
    [...new Set([...Object.keys(devices), ...Object.keys(theirs)])].flatMap((name) => {
      const device = takeMac(devices[name], theirs[name]);
      return device === undefined ? [] : [[name, device] as const];
    }),
  );
  return canonicalFields({
    ...rest,
    ...(other.bmc === undefined ? {} : { bmc: other.bmc }),
    ...(other.primaryDevice === undefined ? {} : { primaryDevice: other.primaryDevice }),
    ...(other.assetKey === undefined ? {} : { assetKey: other.assetKey }),
    devices: merged,
  });
}

function takeMac(own: DeviceFields | undefined, theirs: DeviceFields | undefined): DeviceFields | undefined {
  const mac = theirs?.mac;
  if (own === undefined) {
    if (mac === undefined) return undefined;
    return { ...(theirs?.type === undefined ? {} : { type: theirs.type }), mac };
  }
  if (mac !== undefined) return { ...own, mac };
  return own.mac === undefined ? own : withoutMac(own);
}
