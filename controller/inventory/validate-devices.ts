import { isIPv4 } from "node:net";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NetworkDevice } from "./inventory.ts";

/** IFNAMSIZ of linux/if.h, less the terminating zero. */
const MAX_INTERFACE_NAME = 15;

/** A device that claims a MAC or an address, with the words an operator knows it by. */
export interface DeviceClaim {
  readonly owner: string;
  readonly device: NetworkDevice;
}

/**
 * Everything wrong with the devices of one node, one sentence each; empty when they are fit to be stored.
 * Uniqueness over the inventory is not judged here.
 */
export function validateDevices(node: string, devices: readonly NetworkDevice[]): readonly string[] {
  const findings: string[] = [];
  const names = new Set<string>();
  for (const device of devices) {
    const at = `${node} device ${JSON.stringify(device.name)}`;
    // dev_valid_name() of the kernel refuses "/", ":" and blanks; the name also becomes a file name.
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(device.name) || device.name.length > MAX_INTERFACE_NAME) {
      findings.push(`${at}: not an interface name (1 to 15 of letters, digits, "_", ".", "-")`);
    }
    if (names.has(device.name)) findings.push(`${at}: given twice`);
    names.add(device.name);
    for (const field of ["address", "netmask", "gateway"] as const) {
      const value = device[field];
      if (value !== undefined && !isIPv4(value)) {
        findings.push(`${at}: ${field} ${JSON.stringify(value)} is not an IPv4 address`);
      }
    }
    if (device.netmask !== undefined && isIPv4(device.netmask) && !isNetmask(device.netmask)) {
      findings.push(`${at}: netmask ${device.netmask} has a hole`);
    }
    // 68: the least IPv4 allows (RFC 791). 65520: IP over InfiniBand in connected mode, the most there is.
    if (
      device.mtu !== undefined &&
      !(Number.isInteger(device.mtu) && device.mtu >= 68 && device.mtu <= 65520)
    ) {
      findings.push(`${at}: mtu ${device.mtu} is not within 68 to 65520`);
    }
  }
  return findings;
}

/** The first MAC or address that two claims share, as the error the second deserves. */
export function findClaimConflict(claims: readonly DeviceClaim[]): MusterError | undefined {
  const owners = new Map<string, DeviceClaim>();
  for (const claim of claims) {
    for (const field of ["mac", "address"] as const) {
      const value = claim.device[field];
      if (value === undefined) continue;
      const other = owners.get(`${field} ${value}`);
      if (other !== undefined) return claimError(field, value, other, claim);
      owners.set(`${field} ${value}`, claim);
    }
  }
  return undefined;
}

/** `mac-in-use` or `address-in-use`, naming both the owner and who wanted it. */
export function claimError(
  field: "mac" | "address",
  value: string,
  owner: { readonly owner: string; readonly device: { readonly name: string } },
  wanted: DeviceClaim,
): MusterError {
  return new MusterError({
    code: field === "mac" ? "mac-in-use" : "address-in-use",
    what: `${wanted.owner} device ${wanted.device.name}: ${value} already belongs to ${owner.owner} device ${owner.device.name}`,
    fix: `take it from ${owner.owner} first (\`muster node show ${owner.owner}\`), or give ${wanted.owner} another one`,
  });
}

function isNetmask(text: string): boolean {
  const bits = text
    .split(".")
    .map((octet) => Number(octet).toString(2).padStart(8, "0"))
    .join("");
  return /^1*0*$/.test(bits);
}
