import { expect, test } from "vitest";

import type { IpxeBinary } from "./boot-clients.ts";
import { testConfig } from "./netboot-test-lab.ts";
import { parseSubnet } from "./parse-subnet.ts";
import { type DnsmasqFacts, planDnsmasq } from "./plan-dnsmasq.ts";

const FACTS: DnsmasqFacts = {
  interface: "br0",
  hasIpv6: true,
  account: "muster",
  binaries: new Set<IpxeBinary>(["undionly.kpxe", "snponly.efi"]),
  canIgnoreClientId: true,
};

test("the whole configuration is what the settings say", () => {
  const base = testConfig("/x");
  const config = {
    ...base,
    network: { ...base.network, gateway: "10.77.0.254", dns: ["10.0.0.53", "10.0.0.54"] },
  };
  expect(
    planDnsmasq(config, FACTS),
  ).toBe(`# Written by musterd at each start; changes here are lost. Settings: muster.yaml.
port=0
interface=br0
except-interface=lo
bind-interfaces
user=muster
pid-file=/x/runtime/dnsmasq/dnsmasq.pid
no-hosts
no-resolv
enable-tftp
tftp-root=/x/runtime/tftp
tftp-max=800
dhcp-leasefile=/x/state/dnsmasq.leases
dhcp-range=10.77.0.100,10.77.0.199,255.255.255.0,3600
dhcp-lease-max=256
dhcp-authoritative
dhcp-no-override
no-ping
dhcp-ignore-clid
dhcp-hostsfile=/x/runtime/dnsmasq/hosts
dhcp-option=option:router,10.77.0.254
dhcp-option=option:dns-server,10.0.0.53,10.0.0.54
domain=cluster.test
dhcp-userclass=set:ipxe,iPXE
dhcp-match=set:bios,option:client-arch,0
dhcp-match=set:efi64,option:client-arch,7
dhcp-match=set:efi64,option:client-arch,9
dhcp-match=set:efiarm64,option:client-arch,11
dhcp-match=set:http64,option:client-arch,16
dhcp-match=set:httparm64,option:client-arch,19
dhcp-boot=tag:ipxe,tftp://10.77.0.1/start.ipxe
dhcp-boot=tag:!ipxe,tag:bios,undionly.kpxe
dhcp-boot=tag:!ipxe,tag:efi64,snponly.efi
# UEFI arm64: the ipxe package of this host has no snponly-arm64.efi
dhcp-boot=tag:!ipxe,tag:http64,http://10.77.0.1:9880/boot/ipxe-bin/snponly.efi
dhcp-option-force=tag:!ipxe,tag:http64,60,HTTPClient
# UEFI arm64 HTTP boot: the ipxe package of this host has no snponly-arm64.efi
dhcp-option=tag:ipxe,encap:175,176,1b
enable-ra
dhcp-range=::,constructor:br0,ra-only
`);
});

test("without IPv6 no advertisements, and an old dnsmasq gets no option it does not know", () => {
  const text = planDnsmasq(testConfig("/x"), { ...FACTS, hasIpv6: false, canIgnoreClientId: false });
  expect(text).not.toMatch(/enable-ra|constructor|dhcp-ignore-clid/);
  expect(text).toContain("dhcp-option=option:router\n");
});

test("a proxy gives no addresses and leaves iPXE waiting for it", () => {
  const base = testConfig("/x");
  const text = planDnsmasq({ ...base, dhcp: { ...base.dhcp, mode: "proxy" } }, FACTS);
  expect(text).toContain("dhcp-range=10.77.0.0,proxy,255.255.255.0\n");
  expect(text).not.toMatch(/dhcp-authoritative|encap:175|10\.77\.0\.100|dhcp-hostsfile/);
});

test("beside a site's own DHCP server it is a TFTP server and nothing else", () => {
  const base = testConfig("/x");
  expect(planDnsmasq({ ...base, dhcp: { ...base.dhcp, mode: "external" } }, FACTS)).not.toMatch(
    /^dhcp-|enable-ra/m,
  );
});

test.each([
  ["10.77.3.9/22", { address: "10.77.0.0", prefix: 22, netmask: "255.255.252.0", broadcast: "10.77.3.255" }],
  [
    "192.168.1.1/32",
    { address: "192.168.1.1", prefix: 32, netmask: "255.255.255.255", broadcast: "192.168.1.1" },
  ],
  ["1.2.3.4/0", { address: "0.0.0.0", prefix: 0, netmask: "0.0.0.0", broadcast: "255.255.255.255" }],
])("%s is a network", (text, subnet) => {
  expect(parseSubnet(text)).toEqual(subnet);
});

test.each(["10.77.0.0", "10.77.0.256/24", "10.77.0.0/33", "fd00::/64", ""])(
  "%j is no IPv4 network",
  (text) => {
    expect(() => parseSubnet(text)).toThrow(/is not an IPv4 network/);
  },
);

test("a boot network of 10,000 nodes has as many leases as addresses", () => {
  const base = testConfig("/x");
  const config = { ...base, network: { ...base.network, subnet: "10.77.0.0/16" } };
  expect(planDnsmasq(config, FACTS)).toContain("\ndhcp-lease-max=65536\n");
});
