import { readMacAddress } from "#proto/contract/mac-address.ts";

import { readIpv4 } from "../../config/ipv4.ts";
import { hasControlCharacter, kernelArgumentProblem } from "../../config/scalar-readers.ts";
import type { NetworkDevice, NodeFields } from "../../inventory/inventory.ts";
import type { RequestFinding } from "./request-error.ts";
import type { DeviceInput, NodeFieldsInput } from "./schemas.ts";

export const IMAGE_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const OVERLAY_NAME = IMAGE_NAME;
const TAG_KEY = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
// dev_valid_name() of the kernel: no blank, no slash, no colon, at most 15 bytes
const INTERFACE_NAME = /^[\x21-\x2e\x30-\x39\x3b-\x7e]{1,15}$/;
const MAX_TAGS = 64;
const MAX_DEVICES = 32;
const MAX_OVERLAYS = 64;
/** Half of what x86 kernels take in all (COMMAND_LINE_SIZE is 2048): muster's own words come first. */
const MAX_KERNEL_ARGUMENT_BYTES = 1024;
const MIN_ROOT_SIZE_BYTES = 64 * 1024 * 1024;
/** The fields as the inventory keeps them, and everything wrong with them; fields count only without findings. */
export interface ValidatedFields {
  readonly fields: NodeFields;
  readonly findings: readonly RequestFinding[];
}

/** Checks the fields of one node; `at` is where they stand in the request. */
export function validateNodeFields(input: NodeFieldsInput, at: string): ValidatedFields {
  const findings: RequestFinding[] = [];
  const find = (field: string, what: string): void => {
    findings.push({ at: at === "" ? field : `${at}.${field}`, what });
  };
  if (input.image !== undefined && !IMAGE_NAME.test(input.image)) {
    find("image", `${quoted(input.image)} is not the name of an image`);
  }
  if (input.rootSizeBytes !== undefined && input.rootSizeBytes < MIN_ROOT_SIZE_BYTES) {
    find("rootSizeBytes", `${input.rootSizeBytes} is less than 64 MiB`);
  }
  const kernelArguments = input.kernelArguments ?? [];
  kernelArguments.forEach((word, index) => {
    const wrong = kernelArgumentProblem(word);
    if (wrong !== undefined) find(`kernelArguments[${index}]`, wrong);
  });
  if (kernelArguments.join(" ").length > MAX_KERNEL_ARGUMENT_BYTES) {
    find("kernelArguments", `together they are longer than ${MAX_KERNEL_ARGUMENT_BYTES} bytes`);
  }
  const { overlays = [], runtimeOverlays = [] } = input;
  validateOverlays(overlays, "overlays", find);
  validateOverlays(runtimeOverlays, "runtimeOverlays", find);
  const tags = input.tags ?? {};
  for (const [key, value] of Object.entries(tags)) {
    if (!TAG_KEY.test(key)) find("tags", `${quoted(key)} is not a tag: letters, digits and ._/- only`);
    if (!isLine(value, 256)) find(`tags.${key}`, "is longer than 256 characters or holds control characters");
  }
  if (Object.keys(tags).length > MAX_TAGS) find("tags", `there are more than ${MAX_TAGS}`);
  if (input.comment !== undefined && !isLine(input.comment, 1024)) {
    find("comment", "is longer than 1024 characters or holds control characters");
  }
  const devices = input.devices ?? [];
  if (devices.length > MAX_DEVICES) find("devices", `there are more than ${MAX_DEVICES}`);
  const validated = devices.map((device, index) =>
    validateDevice(device, (field, what) => {
      find(`devices[${index}]${field}`, what);
    }),
  );
  for (const field of ["name", "mac", "address"] as const) {
    validated.forEach((device, index) => {
      const value = device[field];
      if (value === undefined || validated.findIndex((other) => other[field] === value) === index) return;
      find(`devices[${index}].${field}`, `${quoted(value)} is already that of another device of the node`);
    });
  }
  return {
    findings,
    fields: {
      // Whether there are such profiles is seen where they are merged.
      ...(input.profiles === undefined ? {} : { profiles: input.profiles }),
      ...(input.image === undefined ? {} : { image: input.image }),
      ...(input.rootMode === undefined ? {} : { rootMode: input.rootMode }),
      ...(input.rootSizeBytes === undefined ? {} : { rootSizeBytes: input.rootSizeBytes }),
      kernelArguments,
      overlays,
      runtimeOverlays,
      tags,
      ...(input.comment === undefined || input.comment === "" ? {} : { comment: input.comment }),
      devices: validated,
    },
  };
}

function validateOverlays(
  names: readonly string[],
  field: string,
  find: (field: string, what: string) => void,
): void {
  if (names.length > MAX_OVERLAYS) find(field, `there are more than ${MAX_OVERLAYS}`);
  names.forEach((name, index) => {
    if (!OVERLAY_NAME.test(name)) find(`${field}[${index}]`, `${quoted(name)} is not the name of an overlay`);
    if (names.indexOf(name) !== index) find(`${field}[${index}]`, `${quoted(name)} is named twice`);
  });
}

function validateDevice(device: DeviceInput, find: (field: string, what: string) => void): NetworkDevice {
  const { name, type = "ethernet", address, netmask, gateway, mtu } = device;
  if (!INTERFACE_NAME.test(name) || name === "." || name === "..") {
    find(".name", `${quoted(name)} is not the name of a network interface`);
  }
  const mac = device.mac === undefined ? undefined : readMacAddress(device.mac);
  if (device.mac !== undefined && mac === undefined) {
    find(".mac", `${quoted(device.mac)} is not the MAC address of an interface`);
  }
  if (address !== undefined && !isUnicast(address)) {
    find(".address", `${quoted(address)} is not the IPv4 address of a host`);
  }
  if (netmask !== undefined && !isNetmask(netmask)) {
    find(".netmask", `${quoted(netmask)} is not a netmask, for example 255.255.255.0`);
  }
  if (gateway !== undefined && !isUnicast(gateway)) {
    find(".gateway", `${quoted(gateway)} is not the IPv4 address of a host`);
  }
  // RFC 791: every module forwards 68 octets; 65520 is IPoIB's connected mode
  if (mtu !== undefined && (mtu < 68 || mtu > 65_520)) find(".mtu", `${mtu} is not between 68 and 65520`);
  return {
    name,
    type,
    ...(mac === undefined ? {} : { mac }),
    ...(address === undefined ? {} : { address }),
    ...(netmask === undefined ? {} : { netmask }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(mtu === undefined ? {} : { mtu }),
  };
}

/** Neither 0/8, loopback, multicast nor reserved (RFC 6890). */
function isUnicast(text: string): boolean {
  const address = readIpv4(text);
  if (address === undefined) return false;
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

function isNetmask(text: string): boolean {
  const mask = readIpv4(text);
  return mask !== undefined && mask !== 0 && /^1+0*$/.test(mask.toString(2).padStart(32, "0"));
}

function isLine(text: string, most: number): boolean {
  return text.length <= most && !hasControlCharacter(text);
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
