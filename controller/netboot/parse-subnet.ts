import { MusterError } from "#proto/contract/muster-error.ts";
import { formatIpv4, lastAddressOf, networkOf, readIpv4, readIpv4Network } from "../config/ipv4.ts";

/** An IPv4 network in the words of DHCP. Addresses dotted. */
export interface Subnet {
  readonly address: string;
  readonly prefix: number;
  readonly netmask: string;
  readonly broadcast: string;
}

/** Reads "10.77.0.0/24"; host bits are cleared. Throws `argument-invalid`. */
export function parseSubnet(text: string): Subnet {
  const read = readIpv4Network(text);
  if (read === undefined) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${JSON.stringify(text)} is not an IPv4 network`,
      fix: "write it like 10.77.0.0/24",
    });
  }
  const network = networkOf(read.address, read.prefix);
  return {
    address: formatIpv4(network.base),
    prefix: read.prefix,
    netmask: formatIpv4(2 ** 32 - 2 ** (32 - read.prefix)),
    broadcast: formatIpv4(lastAddressOf(network)),
  };
}

/** Whether an IPv4 address lies in a network; false for anything that is no IPv4 address. */
export function isInSubnet(address: string, subnet: Subnet): boolean {
  const value = readIpv4(address);
  return value !== undefined && formatIpv4(networkOf(value, subnet.prefix).base) === subnet.address;
}
