import { isIPv4 } from "node:net";

/**
 * The address of a peer in its one spelling: a socket that listens on IPv6 shows IPv4 clients as
 * "::ffff:10.77.0.5" (RFC 4291 section 2.5.5.2); tokens, rules and people use "10.77.0.5".
 */
export function parseSourceAddress(remoteAddress: string | undefined): string {
  const text = (remoteAddress ?? "").toLowerCase().replace(/%.*$/, "");
  const mapped = text.startsWith("::ffff:") ? text.slice("::ffff:".length) : text;
  return isIPv4(mapped) ? mapped : text;
}
