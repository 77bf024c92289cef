import { isIPv6 } from "node:net";

import { formatIpv4, readIpv4 } from "../../config/ipv4.ts";

const IPV6_END = 1n << 128n;
const IPV4_END = 2 ** 32;

/**
 * The address `by` places after an IPv4 or IPv6 address; undefined when it is none, or when there are none left. IPv6 is written
 * with every group and without leading zeros: canonical form is the fields' affair.
 */
export function countAddress(first: string, by: number): string | undefined {
  const number = readIpv4(first);
  if (number !== undefined) return number + by < IPV4_END ? formatIpv4(number + by) : undefined;
  if (!isIPv6(first) || first.includes("%")) return undefined;
  if (by === 0) return first;
  const counted = readIpv6(first) + BigInt(by);
  return counted < IPV6_END ? formatIpv6(counted) : undefined;
}

/** Of text that net.isIPv6 accepts, without a zone. */
function readIpv6(text: string): bigint {
  const [head = "", tail] = text.split("::");
  const before = groupsOf(head);
  const after = groupsOf(tail ?? "");
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array<bigint>(zeros).fill(0n), ...after].reduce(
    (sum, group) => (sum << 16n) + group,
    0n,
  );
}

/** RFC 4291 section 2.2: the last 32 bits may be written as an IPv4 address. */
function groupsOf(text: string): readonly bigint[] {
  return text === ""
    ? []
    : text.split(":").flatMap((group) => {
        const ipv4 = readIpv4(group);
        return ipv4 === undefined ? [BigInt(`0x${group}`)] : [BigInt(ipv4 >>> 16), BigInt(ipv4 & 0xffff)];
      });
}

function formatIpv6(number: bigint): string {
  return Array.from({ length: 8 }, (_, at) =>
    ((number >> BigInt(16 * (7 - at))) & 0xffffn).toString(16),
  ).join(":");
}
