import { type MacAddress, readMacAddress } from "#proto/contract/mac-address.ts";

/** What a line of dnsmasq's log tells. */
export type DnsmasqLine =
  | {
      readonly kind: "dhcp";
      readonly message: "DISCOVER" | "OFFER" | "REQUEST" | "ACK" | "NAK" | "DECLINE" | "RELEASE" | "INFORM";
      readonly interface: string;
      readonly mac: MacAddress;
      readonly address?: string;
    }
  /** The answer to a PXE client in proxy mode. */
  | { readonly kind: "proxy"; readonly interface: string; readonly mac: MacAddress }
  | { readonly kind: "tftp-sent"; readonly path: string; readonly address: string }
  | { readonly kind: "tftp-failed"; readonly what: string };

/** With `--no-daemon` lines begin as in a syslog file: "Nov 20 12:00:48 ". */
const STAMP = /^[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} /;
const DHCP =
  /^dnsmasq-dhcp\S*: (?:\d+ )?DHCP(DISCOVER|OFFER|REQUEST|ACK|NAK|DECLINE|RELEASE|INFORM)\(([^)]+)\) (?:(\d+\.\d+\.\d+\.\d+) )?([0-9a-f]{2}(?::[0-9a-f]{2}){5})(?: |$)/;
const PROXY =
  /^dnsmasq-dhcp\S*: (?:\d+ )?PXE\(([^)]+)\) (?:\d+\.\d+\.\d+\.\d+ )?([0-9a-f]{2}(?::[0-9a-f]{2}){5})(?: |$)/;
const SENT = /^dnsmasq-tftp\S*: sent (.+) to (\S+)$/;
const TFTP = /^dnsmasq-tftp\S*: (.+)$/;

/**
 * Reads a line dnsmasq 2.7x to 2.9x writes with `log-facility=-`. Undefined for lines that tell nothing we need
 * (and for machines whose hardware address is not Ethernet).
 *
 * parseDnsmasqLine("dnsmasq-dhcp: DHCPACK(br0) 10.77.0.11 52:54:00:00:00:01 c001") is an ACK of br0.
 */
export function parseDnsmasqLine(stamped: string): DnsmasqLine | undefined {
  const line = stamped.replace(STAMP, "");
  const dhcp = DHCP.exec(line);
  if (dhcp !== null) {
    const [, message, device = "", address, macText = ""] = dhcp;
    const mac = readMacAddress(macText);
    if (mac === undefined) return undefined;
    return {
      kind: "dhcp",
      message: message as Extract<DnsmasqLine, { kind: "dhcp" }>["message"],
      interface: device,
      mac,
      ...(address === undefined ? {} : { address }),
    };
  }
  const proxy = PROXY.exec(line);
  if (proxy !== null) {
    const mac = readMacAddress(proxy[2] ?? "");
    return mac === undefined ? undefined : { kind: "proxy", interface: proxy[1] ?? "", mac };
  }
  const sent = SENT.exec(line);
  if (sent !== null) return { kind: "tftp-sent", path: sent[1] ?? "", address: sent[2] ?? "" };
  const tftp = TFTP.exec(line);
  return tftp === null || (tftp[1] ?? "").startsWith("TFTP ")
    ? undefined
    : { kind: "tftp-failed", what: tftp[1] ?? "" };
}

/** Whether a line says that dnsmasq has read its files, bound its ports and handles signals. */
export function isDnsmasqStarted(stamped: string): boolean {
  return /^dnsmasq(\[\d+\])?: started, version /.test(stamped.replace(STAMP, ""));
}
