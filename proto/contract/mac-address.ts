import { MusterError } from "./muster-error.ts";

/** An Ethernet address in its one spelling: lower case, colons, "52:54:00:12:34:56". Made by {@link parseMacAddress}. */
export type MacAddress = string & { readonly brand: "MacAddress" };

const SPELLINGS = [
  /^([0-9a-f]{2}):([0-9a-f]{2}):([0-9a-f]{2}):([0-9a-f]{2}):([0-9a-f]{2}):([0-9a-f]{2})$/,
  /^([0-9a-f]{2})-([0-9a-f]{2})-([0-9a-f]{2})-([0-9a-f]{2})-([0-9a-f]{2})-([0-9a-f]{2})$/,
  /^([0-9a-f]{2})([0-9a-f]{2})\.([0-9a-f]{2})([0-9a-f]{2})\.([0-9a-f]{2})([0-9a-f]{2})$/,
  /^([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/,
];

/**
 * Reads the spellings people and firmware use: colons, dashes (PXELINUX's BOOTIF has an extra leading "01-"),
 * Cisco dots, bare hex; any case.
 *
 * Returns undefined for anything else, for the null and broadcast addresses and for multicast addresses,
 * none of which can belong to an interface.
 */
export function readMacAddress(text: string): MacAddress | undefined {
  const lower = text.trim().toLowerCase();
  const bare = /^01-(..-){5}..$/.test(lower) ? lower.slice(3) : lower;
  for (const spelling of SPELLINGS) {
    const octets = spelling.exec(bare)?.slice(1);
    if (octets === undefined) continue;
    const first = Number.parseInt(octets[0] ?? "", 16);
    const isGroup = (first & 1) === 1;
    const isNull = octets.every((octet) => octet === "00");
    return isGroup || isNull ? undefined : (octets.join(":") as MacAddress);
  }
  return undefined;
}

/** As {@link readMacAddress}, but throws `argument-invalid`. */
export function parseMacAddress(text: string): MacAddress {
  const mac = readMacAddress(text);
  if (mac !== undefined) return mac;
  throw new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(text)} is not the MAC address of an interface`,
    fix: "write six bytes in hex, for example 52:54:00:12:34:56",
  });
}
