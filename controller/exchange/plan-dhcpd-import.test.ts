import { expect, it } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";

import { renderConfigFindings } from "../config/config-finding.ts";
import { testConfig } from "../netboot/netboot-test-lab.ts";
import { renderDhcpSnippet } from "../netboot/render-dhcp-snippet.ts";
import { renderValue } from "./imported-node.ts";
import { type DhcpdChoice, planDhcpdImport } from "./plan-dhcpd-import.ts";

function planned(text: string, choice: Partial<DhcpdChoice> = {}) {
  const { nodes, findings, leftOver } = planDhcpdImport(text, { suffixes: new Map(), ...choice });
  return {
    nodes: nodes.map(({ name, settings }) =>
      [name, ...settings.map(({ path, value }) => `${path.slice(-1).join()}=${renderValue(value)}`)].join(
        " ",
      ),
    ),
    findings: renderConfigFindings("dhcpd.conf", findings),
    leftOver: renderConfigFindings("dhcpd.conf", leftOver),
  };
}

it("takes hosts wherever they stand, with what groups and their subnet give them", () => {
  const text = `host login { hardware ethernet 52:54:0:0:0:FF; fixed-address 10.1.0.1; }
shared-network all {
  subnet 10.1.0.0 netmask 255.255.0.0 {
    option routers 10.1.0.254;
    group {
      option interface-mtu 9000;
      option domain-name-servers 10.1.0.1, 10.1.0.2;
      host a { hardware ethernet 52:54:00:00:00:01; fixed-address 10.1.0.11; option host-name "c001"; }
      host c002 { hardware ethernet 52:54:00:00:00:02; fixed-address 10.1.0.12;
                  option routers 10.1.0.253; option subnet-mask 255.255.255.0; option interface-mtu 1500; }
    }
  }
}
host c003 { hardware ethernet 52:54:00:00:00:03; }
`;
  expect(planned(text)).toEqual({
    nodes: [
      "c001 mtu=9000 dns=10.1.0.1, 10.1.0.2 mac=52:54:00:00:00:01 address=10.1.0.11 netmask=255.255.0.0 gateway=10.1.0.254",
      "c002 mtu=1500 dns=10.1.0.1, 10.1.0.2 mac=52:54:00:00:00:02 address=10.1.0.12 gateway=10.1.0.253 netmask=255.255.255.0",
      "c003 mac=52:54:00:00:00:03",
      "login mac=52:54:00:00:00:ff address=10.1.0.1 netmask=255.255.0.0 gateway=10.1.0.254",
    ],
    findings: [],
    leftOver: [],
  });
});

it("lists every other statement of the file, once", () => {
  const text = `authoritative;
include "/etc/dhcp/more.conf";
class "pxe" { match if exists vendor-class-identifier; }
subnet 10.9.0.0 netmask 255.255.0.0 { option routers 10.9.0.1; pool { range 10.9.0.2 10.9.0.9; } }
group {
  next-server 10.1.0.1;
  host c001.hpc.example { hardware ethernet 52:54:00:00:00:01; fixed-address 10.1.0.11, 10.1.0.12;
    filename "pxelinux.0"; option routers 10.1.0.1, 10.1.0.2; deny booting; }
  host c002 { hardware infiniband 0:1; fixed-address c002.hpc.example; }
  host print_er { hardware ethernet 52:54:00:00:00:09; }
}
`;
  expect(planned(text)).toEqual({
    nodes: ["c001 mac=52:54:00:00:00:01 address=10.1.0.11 gateway=10.1.0.1", "c002"],
    findings: [],
    leftOver: [
      "dhcpd.conf:1:1: authoritative: is not taken",
      "dhcpd.conf:2:1: include /etc/dhcp/more.conf: this file is not read; import it too: muster import dhcpd /etc/dhcp/more.conf",
      "dhcpd.conf:3:1: class pxe {...}: is not taken",
      "dhcpd.conf:4:39: option routers 10.9.0.1: is not taken",
      "dhcpd.conf:4:71: range 10.9.0.2 10.9.0.9: is not taken",
      "dhcpd.conf:6:3: next-server 10.1.0.1: is not taken: muster itself tells nodes what to boot",
      "dhcpd.conf:7:8: c001.hpc.example: the domain is not taken: the node is c001; network.domain in muster.yaml is the domain of all",
      "dhcpd.conf:7:89: host c001.hpc.example: 10.1.0.12 is not taken: the device has 10.1.0.11",
      "dhcpd.conf:8:5: filename pxelinux.0: is not taken: muster itself tells nodes what to boot",
      "dhcpd.conf:8:53: host c001.hpc.example: 10.1.0.2 is not taken: a device has one gateway",
      "dhcpd.conf:8:63: deny booting: is not taken",
      "dhcpd.conf:9:15: hardware infiniband 0:1: is not taken",
      "dhcpd.conf:9:54: host c002: fixed-address c002.hpc.example is a name, and is not taken; write the address, or set it in muster",
      'dhcpd.conf:10:3: host print_er: is not taken: "print_er" is not a node name',
    ],
  });
});

it("hosts with a suffix are other devices of a node, or its BMC", () => {
  const text = `group { option interface-mtu 9000;
host c001 { hardware ethernet 52:54:00:00:00:01; fixed-address 10.1.0.11; }
host c001-eth1 { hardware ethernet 52:54:00:00:01:01; fixed-address 10.2.0.11; }
host c001-bmc { hardware ethernet 52:54:00:00:02:01; fixed-address 10.3.0.11; option interface-mtu 1500; }
host c001-again { hardware ethernet 52:54:00:00:03:01; option host-name "c001"; }
host c009 { hardware ethernet 52:54:00:00:00:09; }
}`;
  const suffixes = new Map([
    ["-eth1", "eth1"],
    ["-bmc", "bmc"],
  ]);
  const { nodes } = planDhcpdImport(text, { suffixes, match: new Set(["c001"]) });
  expect(
    nodes.flatMap(({ settings }) =>
      settings.map(({ path, value }) => `${path.join(".")} ${renderValue(value)}`),
    ),
  ).toEqual([
    "devices.(boot).mtu 9000",
    "devices.(boot).mac 52:54:00:00:00:01",
    "devices.(boot).address 10.1.0.11",
    "devices.eth1.mtu 9000",
    "devices.eth1.mac 52:54:00:00:01:01",
    "devices.eth1.address 10.2.0.11",
    "bmc.address 10.3.0.11",
  ]);
  expect(planned(text, { suffixes, match: new Set(["c001"]) }).leftOver).toEqual([
    "dhcpd.conf:4:35: host c001-bmc: 52:54:00:00:02:01 is not taken: muster needs no MAC of a BMC",
    "dhcpd.conf:4:79: option interface-mtu 1500: is not taken",
    "dhcpd.conf:5:37: host c001-again mac: 52:54:00:00:03:01 is not taken: line 2 says 52:54:00:00:00:01 of the same device; name the other device with --suffix",
    "dhcpd.conf:6:1: host c009: is not taken: it is not in --match",
  ]);
});

it("finds what cannot be right", () => {
  const text = `subnet nowhere netmask 255.0.0.0 { }
host c001 { hardware ethernet 52:54:00:00:00; }
`;
  expect(planned(text).findings).toEqual([
    "dhcpd.conf:1:1: subnet nowhere netmask 255.0.0.0: is no subnet; write subnet ADDRESS netmask MASK",
    'dhcpd.conf:2:31: host c001: "52:54:00:00:00" is not the MAC address of an interface; write six bytes in hex',
  ]);
  expect(planned(`${"group {".repeat(5000)}${"}".repeat(5000)}`).findings).toEqual([
    expect.stringContaining("more than 200 declarations within each other"),
  ]);
  // Pieces are missing of what cannot be read: nothing is made of the rest.
  expect(planned("host c001 { hardware ethernet 52:54:00:00:00:01; ").nodes).toEqual([]);
});

it("takes back what muster itself gives to a site's ISC dhcpd, a text that dhcpd 4.4 was run with", () => {
  const snippet = renderDhcpSnippet("isc", testConfig("/x"), [
    { mac: parseMacAddress("52:54:00:00:00:01"), name: "c001", address: "10.77.0.11" },
    { mac: parseMacAddress("52:54:00:00:00:02"), name: "c002" },
  ]);
  const { nodes, findings, leftOver } = planned(snippet);
  expect({ nodes, findings }).toEqual({
    nodes: ["c001 mac=52:54:00:00:00:01 address=10.77.0.11", "c002 mac=52:54:00:00:00:02"],
    findings: [],
  });
  // Four definitions of options, next-server, and each branch of the condition.
  expect(leftOver.map((line) => /^dhcpd\.conf:\d+:\d+: (\S+)/.exec(line)?.[1])).toEqual([
    ...["option", "option", "option", "option", "next-server"],
    ...["if", "elsif", "elsif", "elsif", "elsif", "elsif"],
  ]);
});
