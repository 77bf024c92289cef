import type { MusterConfig } from "../config/muster-config.ts";
import {
  BOOT_CLIENTS,
  type BootClient,
  type IpxeBinary,
  ipxeBinaryUrl,
  startScriptUrl,
} from "./boot-clients.ts";
import { type NetbootPaths, netbootPaths } from "./netboot-paths.ts";
import { parseSubnet } from "./parse-subnet.ts";

/** What {@link planDnsmasq} needs to know about this host. */
export interface DnsmasqFacts {
  /** Interface with the controller's address. */
  readonly interface: string;
  /** The interface has an IPv6 address other than link-local: without one dnsmasq sends no router advertisements. */
  readonly hasIpv6: boolean;
  /**
   * Account a dnsmasq of systemd changes to: musterd's own, which can read the hosts file, write the leases and send
   * it signals. (As musterd's child it never was another.) Absent: dnsmasq's default.
   */
  readonly account?: string;
  /** iPXE binaries found in the ipxe package. */
  readonly binaries: ReadonlySet<IpxeBinary>;
  /** `dhcp-ignore-clid` came with dnsmasq 2.81; EL8 has 2.79. */
  readonly canIgnoreClientId: boolean;
}

/**
 * Machines that load iPXE at the same time; dnsmasq's own 50 are a rack, the others would run into the timeouts of
 * their firmware. Each takes a file descriptor, of which a process has 1024 unless somebody raised that.
 */
const TFTP_TRANSFERS = 800;

/** The part of the configuration that decides about DHCP. */
export type DhcpSettings = Pick<MusterConfig, "controller" | "network" | "dhcp" | "ports" | "paths">;

/**
 * dnsmasq.conf. `dhcp.mode` external: no DHCP at all, only the TFTP server that the site's DHCP refers to. Option names: dnsmasq(8); DHCP option numbers: RFC 2132,
 * RFC 4578 (93, client architecture), ipxe.org/howto/dhcpd (175, iPXE's own).
 */
export function planDnsmasq(config: DhcpSettings, facts: DnsmasqFacts): string {
  const paths = netbootPaths(config.paths);
  const lines = [
    "# Written by musterd at each start; changes here are lost. Settings: muster.yaml.",
    "port=0",
    `interface=${facts.interface}`,
    "except-interface=lo",
    "bind-interfaces",
    ...(facts.account === undefined ? [] : [`user=${facts.account}`]),
    `pid-file=${paths.dnsmasqPid}`,
    "no-hosts",
    "no-resolv",
    "enable-tftp",
    `tftp-root=${paths.tftpRoot}`,
    `tftp-max=${TFTP_TRANSFERS}`,
    ...(config.dhcp.mode === "external" ? [] : dhcpLines(config, facts, paths)),
  ];
  return `${lines.join("\n")}\n`;
}

function dhcpLines(config: DhcpSettings, facts: DnsmasqFacts, paths: NetbootPaths): string[] {
  const isProxy = config.dhcp.mode === "proxy";
  return [
    `dhcp-leasefile=${paths.leases}`,
    ...(isProxy ? proxyRange(config) : addressRange(config, facts, paths.dhcpHosts)),
    ...classLines(),
    ...(isProxy ? proxyBoot(config, facts) : boot(config, facts)),
    // iPXE waits 3 s at each boot for a ProxyDHCP answer unless it is told that none will come.
    ...(isProxy ? [] : ["dhcp-option=tag:ipxe,encap:175,176,1b"]),
    // iPXE waits 13 s at each boot for a router advertisement unless one comes: this one offers no addresses.
    ...(facts.hasIpv6 ? ["enable-ra", `dhcp-range=::,constructor:${facts.interface},ra-only`] : []),
  ];
}

function addressRange(config: DhcpSettings, facts: DnsmasqFacts, hosts: string): string[] {
  const { network, dhcp } = config;
  return [
    `dhcp-range=${dhcp.rangeStart},${dhcp.rangeEnd},${parseSubnet(network.subnet).netmask},${dhcp.leaseSeconds}`,
    `dhcp-lease-max=${mostLeases(network.subnet)}`,
    "dhcp-authoritative",
    // With the boot file name also where old firmware looks for it: in the packet's own fields.
    "dhcp-no-override",
    // A ping before each offer costs 3 s of every boot; the inventory already keeps addresses unique.
    "no-ping",
    // Firmware, iPXE and kernel of one machine send different client ids; by MAC they are one client, with one address.
    ...(facts.canIgnoreClientId ? ["dhcp-ignore-clid"] : []),
    `dhcp-hostsfile=${hosts}`,
    // Without a value: no router at all. dnsmasq would otherwise name itself.
    network.gateway === undefined
      ? "dhcp-option=option:router"
      : `dhcp-option=option:router,${network.gateway}`,
    ...(network.dns.length === 0 ? [] : [`dhcp-option=option:dns-server,${network.dns.join(",")}`]),
    `domain=${network.domain}`,
  ];
}

/** One for every address there is: dnsmasq's own limit of 1000 counts nodes too, and the one after it would not boot. */
function mostLeases(subnet: string): number {
  return 2 ** (32 - parseSubnet(subnet).prefix);
}

function proxyRange(config: DhcpSettings): string[] {
  const { address, netmask } = parseSubnet(config.network.subnet);
  return [`dhcp-range=${address},proxy,${netmask}`, "dhcp-no-override"];
}

function classLines(): string[] {
  return [
    "dhcp-userclass=set:ipxe,iPXE",
    ...BOOT_CLIENTS.flatMap((client) =>
      client.architectures.map((arch) => `dhcp-match=set:${client.tag},option:client-arch,${arch}`),
    ),
  ];
}

function boot(config: DhcpSettings, facts: DnsmasqFacts): string[] {
  const service = { address: config.controller.address, port: config.ports.http };
  return [
    `dhcp-boot=tag:ipxe,${startScriptUrl(service)}`,
    ...BOOT_CLIENTS.flatMap((client) => {
      if (!facts.binaries.has(client.binary)) return [missing(client)];
      const to = `tag:!ipxe,tag:${client.tag}`;
      return client.transport === "tftp"
        ? [`dhcp-boot=${to},${client.binary}`]
        : [
            `dhcp-boot=${to},${ipxeBinaryUrl(service, client.binary)}`,
            // UEFI specification 2.10 section 24.7.3.1: an answer without this vendor class is not one for HTTP boot.
            `dhcp-option-force=${to},60,HTTPClient`,
          ];
    }),
  ];
}

/** One service per architecture and no prompt: the firmware starts it without asking (dnsmasq(8), pxe-prompt). */
function proxyBoot(config: DhcpSettings, facts: DnsmasqFacts): string[] {
  const service = { address: config.controller.address, port: config.ports.http };
  return [
    `dhcp-boot=tag:ipxe,${startScriptUrl(service)}`,
    ...BOOT_CLIENTS.flatMap((client) => {
      if (client.transport === "http") {
        return [
          `# ${client.about}: dnsmasq answers only PXE clients as a proxy; let the site's DHCP name the URL`,
        ];
      }
      if (!facts.binaries.has(client.binary)) return [missing(client)];
      return client.architectures.map((arch) => `pxe-service=tag:!ipxe,${arch},"muster",${client.binary}`);
    }),
  ];
}

function missing(client: BootClient): string {
  return `# ${client.about}: the ipxe package of this host has no ${client.binary}`;
}
