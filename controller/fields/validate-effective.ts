import { type FieldPath, renderFieldPath } from "./field-path.ts";
import type { DeviceFields, DiskFields, Fields } from "./fields.ts";
import { INTERFACE_NAME, quoted } from "./parse-field-value.ts";
import { type FieldFinding, KERNEL_ARGUMENT_BYTES, MAX_DEVICES } from "./validate-fields.ts";

type Devices = Readonly<Record<string, DeviceFields>>;
type Find = (path: FieldPath, what: string, fix?: string) => void;

/** A VLAN's parent and number in the name of its interface, as ip-link(8) and everything after it write it: eno1.100. */
const VLAN_NAME = /^.+\.\d{1,4}$/;

/**
 * What is wrong with merged fields of a node as a whole, each for itself being right: what names something that is not there,
 * or what is there twice. Whether others have the same MAC or address is not judged here.
 */
export function validateEffective(fields: Fields, at = ""): readonly FieldFinding[] {
  const findings: FieldFinding[] = [];
  const find: Find = (path, what, fix) => {
    const below = renderFieldPath(path);
    findings.push({ at: at === "" ? below : `${at}.${below}`, what, ...(fix === undefined ? {} : { fix }) });
  };
  const devices = fields.devices ?? {};
  findInterfaces(devices, find);
  findTwice(fields, find);
  findReferences(fields, devices, find);
  findLoops(devices, find);
  findDisks(fields.disks ?? {}, find);
  findMounts(fields, find);
  if ((fields.kernelArguments ?? []).join(" ").length > KERNEL_ARGUMENT_BYTES) {
    find(["kernelArguments"], `together they are longer than ${KERNEL_ARGUMENT_BYTES} bytes`);
  }
  return findings;
}

/** The name of a device's interface on the node. */
function interfaceOf(key: string, device: DeviceFields): string {
  return device.interface ?? key;
}

function findInterfaces(devices: Devices, find: Find): void {
  const owners = new Map<string, string>();
  const entries = Object.entries(devices);
  if (entries.length > MAX_DEVICES) find(["devices"], `there are more than ${MAX_DEVICES}`);
  for (const [key, device] of entries) {
    const name = interfaceOf(key, device);
    if (!INTERFACE_NAME.test(name)) {
      find(["devices", key], `${quoted(name)} is not the name of a network interface`, "set its interface");
    }
    const owner = owners.get(name);
    if (owner === undefined) owners.set(name, key);
    else find(["devices", key, "interface"], `${quoted(name)} is already that of device ${owner}`);
  }
}

/** MACs and addresses that the node gives itself twice; that of its BMC among them. */
function findTwice(fields: Fields, find: Find): void {
  const owners = new Map<string, string>();
  const claim = (path: FieldPath, value: string | undefined, owner: string): void => {
    if (value === undefined) return;
    const other = owners.get(value);
    if (other === undefined) owners.set(value, owner);
    else find(path, `${quoted(value)} is already that of ${other} of the node`);
  };
  for (const [key, device] of Object.entries(fields.devices ?? {})) {
    for (const field of ["mac", "infinibandAddress", "address", "address6"] as const) {
      claim(["devices", key, field], device[field], `device ${key}`);
    }
  }
  claim(["bmc", "address"], fields.bmc?.address, "a device");
}

function findReferences(fields: Fields, devices: Devices, find: Find): void {
  const known = Object.keys(devices);
  const missing = (name: string): string =>
    `there is no device ${quoted(name)}${known.length === 0 ? "" : `: there are ${known.join(", ")}`}`;
  const { primaryDevice } = fields;
  // A node whose machine nobody has seen yet has no devices.
  if (primaryDevice !== undefined && known.length > 0 && devices[primaryDevice] === undefined) {
    find(["primaryDevice"], missing(primaryDevice));
  }
  for (const [key, device] of Object.entries(devices)) {
    const { master, parent, type } = device;
    if (master !== undefined) {
      const masterType = devices[master]?.type;
      if (devices[master] === undefined) find(["devices", key, "master"], missing(master));
      else if (masterType !== "bond" && masterType !== "bridge") {
        find(
          ["devices", key, "master"],
          `device ${master} is neither a bond nor a bridge`,
          `set its type: ${renderFieldPath(["devices", master, "type"])}`,
        );
      }
    }
    if (parent !== undefined && devices[parent] === undefined) {
      find(["devices", key, "parent"], missing(parent));
    }
    if (type !== "vlan" || VLAN_NAME.test(interfaceOf(key, device))) continue;
    for (const field of ["vlanId", "parent"] as const) {
      if (device[field] === undefined) {
        find(["devices", key], `a VLAN needs ${field}`, `set ${renderFieldPath(["devices", key, field])}`);
      }
    }
  }
}

/** A VLAN is built on its parent, a bond or bridge on its ports: nothing may be built on itself. */
function findLoops(devices: Devices, find: Find): void {
  const under = new Map<string, string[]>();
  const add = (upper: string, lower: string): void => {
    const list = under.get(upper);
    if (list === undefined) under.set(upper, [lower]);
    else list.push(lower);
  };
  for (const [key, { master, parent }] of Object.entries(devices)) {
    if (master !== undefined) add(master, key);
    if (parent !== undefined) add(key, parent);
  }
  const done = new Set<string>();
  const visit = (key: string, above: readonly string[]): void => {
    const from = above.indexOf(key);
    if (from !== -1) {
      find(["devices", key], `is built on itself: ${[...above.slice(from), key].join(" on ")}`);
      return;
    }
    if (done.has(key)) return;
    for (const lower of under.get(key) ?? []) visit(lower, [...above, key]);
    done.add(key);
  };
  for (const key of under.keys()) visit(key, []);
}

function findDisks(disks: Readonly<Record<string, DiskFields>>, find: Find): void {
  for (const [disk, { partitions = {} }] of Object.entries(disks)) {
    const owners = new Map<number | string, string>();
    for (const [label, { number = 0, guid }] of Object.entries(partitions)) {
      for (const [field, value] of [["number", number] as const, ["guid", guid] as const]) {
        // 0: the next free one.
        if (value === undefined || value === 0) continue;
        const owner = owners.get(value);
        if (owner === undefined) owners.set(value, label);
        else
          find(["disks", disk, "partitions", label, field], `${value} is already that of partition ${owner}`);
      }
    }
  }
}

function findMounts(fields: Fields, find: Find): void {
  const owners = new Map<string, string>();
  for (const [device, { path }] of Object.entries(fields.fileSystems ?? {})) {
    if (path === undefined || !path.startsWith("/")) continue;
    const owner = owners.get(path);
    if (owner === undefined) owners.set(path, device);
    else find(["fileSystems", device, "path"], `${path} is already that of ${owner}`);
  }
}
