import { MusterError } from "#proto/contract/muster-error.ts";

/** An IPv4 network. Addresses dotted. */
export interface Subnet {
  readonly address: string;
  readonly prefix: number;
  readonly netmask: string;
  readonly broadcast: string;
}

/** Reads "10.77.0.0/24"; host bits are cleared. Throws `argument-invalid`. */
export function parseSubnet(text: string): Subnet {
  const [, dotted = "", bits = ""] = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(text) ?? [];
  const address = readIpv4(dotted);
  const prefix = Number(bits);
  if (address === undefined || prefix > 32) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${JSON.stringify(text)} is not an IPv4 network`,
      fix: "write it like 10.77.0.0/24",
    });
  }
  const mask = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
  return {
    address: dottedOf((address & mask) >>> 0),
    prefix,
    netmask: dottedOf(mask),
    broadcast: dottedOf((address | ~mask) >>> 0),
  };
}

/** Whether an IPv4 address lies in a network; false for anything that is no IPv4 address. */
export function isInSubnet(address: string, subnet: Subnet): boolean {
  const value = readIpv4(address);
  return value !== undefined && parseSubnet(`${address}/${subnet.prefix}`).address === subnet.address;
}

function readIpv4(text: string): number | undefined {
  const octets = text.split(".").map(Number);
  if (octets.length !== 4 || !/^[\d.]+$/.test(text)) return undefined;
  return octets.every((octet) => octet <= 255)
    ? octets.reduce((sum, octet) => sum * 256 + octet, 0)
    : undefined;
}

function dottedOf(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}
