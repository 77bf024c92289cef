import type { DhcpHost, MusterConfig } from "../config/muster-config.ts";
import { BOOT_CLIENTS, type BootClient, ipxeBinaryUrl, startScriptUrl } from "./boot-clients.ts";

/** DHCP servers `muster dhcp show --format` knows. */
export type DhcpSnippetFormat = "dnsmasq" | "isc" | "kea";

/**
 * What to paste into the site's own DHCP server for `dhcp.mode: external`: which boot file for which machine, and
 * the nodes' addresses. The TFTP server it names is this controller.
 */
export function renderDhcpSnippet(
  format: DhcpSnippetFormat,
  config: Pick<MusterConfig, "controller" | "network" | "ports">,
  hosts: readonly DhcpHost[],
): string {
  const service = { address: config.controller.address, port: config.ports.http };
  const clients = BOOT_CLIENTS.map((client) => ({
    ...client,
    file: client.transport === "tftp" ? client.binary : ipxeBinaryUrl(service, client.binary),
  }));
  const snippet: Snippet = {
    ...service,
    subnet: config.network.subnet,
    script: startScriptUrl(service),
    clients,
    hosts,
  };
  switch (format) {
    case "dnsmasq":
      return renderDnsmasq(snippet);
    case "isc":
      return renderIsc(snippet);
    case "kea":
      return renderKea(snippet);
  }
}

interface Snippet {
  readonly address: string;
  readonly subnet: string;
  readonly script: string;
  readonly clients: readonly (BootClient & { readonly file: string })[];
  readonly hosts: readonly DhcpHost[];
}

function renderDnsmasq({ address, script, clients, hosts }: Snippet): string {
  return lines([
    "# muster: netboot (dnsmasq 2.79 or newer). Goes to the site's dnsmasq.conf.",
    "dhcp-userclass=set:muster-ipxe,iPXE",
    ...clients.flatMap((client) =>
      client.architectures.map((arch) => `dhcp-match=set:muster-${client.tag},option:client-arch,${arch}`),
    ),
    `dhcp-boot=tag:muster-ipxe,${script}`,
    // The empty field is the server's name, which nothing reads.
    ...clients.flatMap((client) => {
      const to = `tag:!muster-ipxe,tag:muster-${client.tag}`;
      return client.transport === "tftp"
        ? [`dhcp-boot=${to},${client.file},,${address}`]
        : [`dhcp-boot=${to},${client.file}`, `dhcp-option-force=${to},60,HTTPClient`];
    }),
    "# iPXE need not wait for a ProxyDHCP answer: saves 3 s of every boot.",
    "dhcp-option=tag:muster-ipxe,encap:175,176,1b",
    ...hosts.map((host) =>
      host.address === undefined
        ? `dhcp-host=${host.mac},${host.name}`
        : `dhcp-host=${host.mac},${host.address},${host.name}`,
    ),
  ]);
}

/** dhcpd.conf(5), dhcp-options(5), dhcp-eval(5). */
function renderIsc({ address, script, clients, hosts }: Snippet): string {
  return lines([
    "# muster: netboot (ISC dhcpd 4.x). Goes to dhcpd.conf, outside or inside the subnet of the nodes.",
    "option muster-arch code 93 = unsigned integer 16;",
    "option space muster-ipxe;",
    "option muster-ipxe.no-pxedhcp code 176 = unsigned integer 8;",
    "option muster-ipxe-options code 175 = encapsulate muster-ipxe;",
    "",
    `next-server ${address};`,
    'if exists user-class and option user-class = "iPXE" {',
    "  # iPXE need not wait for a ProxyDHCP answer: saves 3 s of every boot.",
    "  option muster-ipxe.no-pxedhcp 1;",
    `  filename "${script}";`,
    ...clients.flatMap((client) => [
      `} elsif ${client.architectures.map((arch) => `option muster-arch = 00:${hex(arch)}`).join(" or ")} {`,
      `  # ${client.about}`,
      ...(client.transport === "http" ? ['  option vendor-class-identifier "HTTPClient";'] : []),
      `  filename "${client.file}";`,
    ]),
    "}",
    ...hosts.map(
      (host) =>
        `host ${host.name} { hardware ethernet ${host.mac};${host.address === undefined ? "" : ` fixed-address ${host.address};`} }`,
    ),
  ]);
}

/** Kea Administrator Reference Manual, "Client Classification" and "Host Reservations". Kea's JSON may hold comments. */
function renderKea({ address, subnet, script, clients, hosts }: Snippet): string {
  const wanted = {
    Dhcp4: {
      "option-def": [
        { name: "muster-ipxe", code: 175, type: "empty", encapsulate: "muster-ipxe" },
        { name: "no-pxedhcp", code: 176, space: "muster-ipxe", type: "uint8" },
      ],
      "client-classes": [
        {
          name: "muster-ipxe",
          test: "option[77].hex == 'iPXE'",
          "boot-file-name": script,
          "option-data": [{ name: "muster-ipxe" }, { space: "muster-ipxe", name: "no-pxedhcp", data: "1" }],
        },
        ...clients.map((client) => ({
          name: `muster-${client.tag}`,
          test: `not member('muster-ipxe') and (${client.architectures
            .map((arch) => `option[93].hex == 0x00${hex(arch)}`)
            .join(" or ")})`,
          "next-server": address,
          "boot-file-name": client.file,
          ...(client.transport === "http"
            ? {
                "option-data": [{ name: "vendor-class-identifier", data: "HTTPClient", "always-send": true }],
              }
            : {}),
        })),
      ],
      subnet4: [
        {
          id: 1,
          subnet,
          reservations: hosts.map((host) => ({
            "hw-address": host.mac,
            hostname: host.name,
            ...(host.address === undefined ? {} : { "ip-address": host.address }),
          })),
        },
      ],
    },
  };
  return `// muster: netboot (Kea 2.x). Merge into Dhcp4 of kea-dhcp4.conf; the reservations into the subnet that is there.\n${JSON.stringify(wanted, undefined, 2)}\n`;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function lines(all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}
