import { compareNodeNames } from "#proto/contract/node-set.ts";

import type {
  BmcFields,
  DeviceFields,
  DeviceType,
  DiskFields,
  Fields,
  FileSystemFields,
  Json,
  RootModeName,
} from "./fields.ts";

/** A network device of an effective node. Exactly the first device with a MAC is the one the node boots from. */
export interface EffectiveDevice extends Omit<DeviceFields, "interface" | "type"> {
  /** Its name in the inventory, where that is another than the interface's. */
  readonly key?: string;
  /** Interface name on the node: "eno1", "ib0". Unique within the node. */
  readonly name: string;
  readonly type: DeviceType;
}

/** A node as everything but the inventory's text sees it: profiles merged, defaults filled in. */
export interface EffectiveFields {
  /** As written on the node; profiles that these name are not in it. */
  readonly profiles?: readonly string[];
  readonly comment?: string;
  readonly cluster?: string;
  readonly assetKey?: string;
  readonly discoverable?: boolean;
  readonly image?: string;
  readonly rootMode?: RootModeName;
  /** Limit of the writable root; absent: half of memory. */
  readonly rootSizeBytes?: number;
  readonly init?: string;
  readonly ipxeTemplate?: string;
  readonly kernelVersion?: string;
  /** Appended to the site's. Each is one word of the kernel command line. */
  readonly kernelArguments: readonly string[];
  /** System overlays, applied in order. */
  readonly overlays: readonly string[];
  /** Overlays kept true while the node is up, applied in order, after those of the site. */
  readonly runtimeOverlays: readonly string[];
  readonly devices: readonly EffectiveDevice[];
  readonly bmc?: BmcFields;
  readonly disks?: Readonly<Record<string, DiskFields>>;
  readonly fileSystems?: Readonly<Record<string, FileSystemFields>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly resources?: Readonly<Record<string, Json>>;
}

/**
 * The flat form of merged fields. Devices stand in natural order of their names in the inventory, the boot device in front:
 * `primaryDevice`, or the first card (Ethernet, InfiniBand) with a MAC, or the first device with one. An overlay that several
 * profiles name is applied once, where it was named last: what it covers is the same.
 */
export function effectiveNode(merged: Fields): EffectiveFields {
  const {
    devices,
    primaryDevice,
    kernelArguments = [],
    overlays = [],
    runtimeOverlays = [],
    tags = {},
    ...rest
  } = merged;
  return {
    ...rest,
    kernelArguments,
    overlays: lastOfEach(overlays),
    runtimeOverlays: lastOfEach(runtimeOverlays),
    tags,
    devices: inBootOrder(devices ?? {}, primaryDevice),
  };
}

/** Name in the inventory of the device a node boots from; undefined without any. */
export function bootDeviceOf(
  devices: Readonly<Record<string, DeviceFields>>,
  primary: string | undefined,
): string | undefined {
  if (primary !== undefined && devices[primary] !== undefined) return primary;
  const withMac = Object.keys(devices)
    .sort(compareNodeNames)
    .filter((key) => devices[key]?.mac !== undefined);
  return withMac.find((key) => isCard(devices[key])) ?? withMac[0];
}

/** Fields that have this flat form: for callers that know no names of devices but those of interfaces. */
export function fieldsOfFlat(flat: EffectiveFields): Fields {
  const { devices: list, kernelArguments, overlays, runtimeOverlays, tags, ...rest } = flat;
  const devices = Object.fromEntries(
    list.map((device) => [device.key ?? device.name, deviceFieldsOf(device)]),
  );
  const first = list.find((device) => device.mac !== undefined);
  const boot = first?.key ?? first?.name;
  return {
    ...rest,
    ...(kernelArguments.length === 0 ? {} : { kernelArguments }),
    ...(overlays.length === 0 ? {} : { overlays }),
    ...(runtimeOverlays.length === 0 ? {} : { runtimeOverlays }),
    ...(boot === undefined || bootDeviceOf(devices, undefined) === boot ? {} : { primaryDevice: boot }),
    ...(list.length === 0 ? {} : { devices }),
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
  };
}

function inBootOrder(
  devices: Readonly<Record<string, DeviceFields>>,
  primary: string | undefined,
): readonly EffectiveDevice[] {
  const boot = bootDeviceOf(devices, primary);
  return Object.entries(devices)
    .sort(([a], [b]) => (a === boot ? -1 : b === boot ? 1 : compareNodeNames(a, b)))
    .map(([key, { interface: name = key, type = "ethernet", ...rest }]) => ({
      ...(name === key ? {} : { key }),
      name,
      type,
      ...rest,
    }));
}

function deviceFieldsOf({ key, name, type, ...rest }: EffectiveDevice): DeviceFields {
  const isBare = Object.keys(rest).length === 0 && (key === undefined || key === name);
  return {
    ...(key === undefined || key === name ? {} : { interface: name }),
    // A device must have some field to exist.
    ...(type === "ethernet" && !isBare ? {} : { type }),
    ...rest,
  };
}

function isCard(device: DeviceFields | undefined): boolean {
  const type = device?.type ?? "ethernet";
  return type === "ethernet" || type === "infiniband";
}

function lastOfEach(names: readonly string[]): readonly string[] {
  return names.filter((name, at) => names.lastIndexOf(name) === at);
}
