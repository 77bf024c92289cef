import { type MacAddress, readMacAddress } from "#proto/contract/mac-address.ts";
import type { DhcpHost } from "../config/muster-config.ts";
import type { Node } from "../inventory/inventory.ts";

/** The machines DHCP knows: of each node every Ethernet device with a MAC, the boot device (the first) under the node's name. */
export function planDhcpHosts(nodes: readonly Pick<Node, "name" | "devices">[]): readonly DhcpHost[] {
  return nodes.flatMap((node) =>
    node.devices
      .flatMap((device) => (device.mac === undefined ? [] : [{ ...device, mac: device.mac }]))
      .map((device, at) => ({
        mac: device.mac,
        name: at === 0 ? node.name : `${node.name}-${hostLabel(device.name)}`,
        ...(device.address === undefined ? {} : { address: device.address }),
      })),
  );
}

/**
 * The text of dnsmasq's `dhcp-hostsfile`, sorted, so that unchanged hosts are unchanged bytes.
 *
 * "52:54:00:00:00:01,10.77.0.11,c001,infinite": a fixed address is leased for ever, because a controller that is
 * away must never take a running node down. {@link pruneLeases} frees such a lease when the inventory changes.
 */
export function renderDhcpHosts(hosts: readonly DhcpHost[]): string {
  const lines = hosts.map((host) =>
    host.address === undefined
      ? `${host.mac},${host.name}`
      : `${host.mac},${host.address},${host.name},infinite`,
  );
  return lines
    .sort()
    .map((line) => `${line}\n`)
    .join("");
}

/**
 * The lease file without the leases that stand in the inventory's way: dnsmasq would answer "not using configured
 * address because it is leased", so a node whose board was replaced, or whose address moved, would not get its own.
 *
 * Dropped: an address fixed for another machine; a machine fixed to another address; a lease without end of a
 * machine that has no fixed address (any more). Undefined when nothing is to be dropped.
 * Lines of the file: "<expiry, 0 = never> <MAC> <address> <name> <client id>"; lines of another form are kept.
 */
export function pruneLeases(leases: string, hosts: readonly DhcpHost[]): string | undefined {
  const addressOf = new Map<MacAddress, string>();
  const macOf = new Map<string, MacAddress>();
  for (const host of hosts) {
    if (host.address === undefined) continue;
    addressOf.set(host.mac, host.address);
    macOf.set(host.address, host.mac);
  }
  const lines = leases.split("\n");
  const kept = lines.filter((line) => {
    const [, expiry = "", macText = "", address = ""] = /^(\d+) (\S+) ([\d.]+) /.exec(line) ?? [];
    const mac = readMacAddress(macText);
    if (mac === undefined) return true;
    const fixedFor = macOf.get(address);
    const fixedTo = addressOf.get(mac);
    if (fixedFor !== undefined && fixedFor !== mac) return false;
    if (fixedTo !== undefined && fixedTo !== address) return false;
    return !(expiry === "0" && fixedTo === undefined);
  });
  return kept.length === lines.length ? undefined : kept.join("\n");
}

/**
 * Whether an address that the inventory fixes is leased to another machine. That alone needs {@link pruneLeases} and
 * a restart of dnsmasq. It settles the other cases by itself once it has read its hosts file again: a machine that
 * has another address now is told "static lease available" when it renews, and gets it; one that is fixed to none any
 * more is treated as any machine of the range.
 */
export function isFixedAddressLeased(leases: string, hosts: readonly DhcpHost[]): boolean {
  const macOf = new Map(hosts.flatMap(({ mac, address }) => (address === undefined ? [] : [[address, mac]])));
  return leases.split("\n").some((line) => {
    const [, macText = "", address = ""] = /^\d+ (\S+) ([\d.]+) /.exec(line) ?? [];
    const mac = readMacAddress(macText);
    const fixedFor = macOf.get(address);
    return mac !== undefined && fixedFor !== undefined && fixedFor !== mac;
  });
}

/** Interface names may hold "." and ":", which no host name may. */
function hostLabel(name: string): string {
  return (
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "-")
      .replaceAll(/^-+|-+$/g, "") || "net"
  );
}
