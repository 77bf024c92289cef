import { expect, test } from "vitest";

import type { MusterConfig } from "../config/muster-config.ts";
import { testConfig } from "../netboot/netboot-test-lab.ts";
import { type DoctorFacts, planDiagnosis } from "./plan-diagnosis.ts";

const CONFIG = testConfig("/var/lib/muster");
const HEALTHY: DoctorFacts = {
  addressOn: "br0",
  interfaceExists: true,
  hasIpv6: true,
  dnsmasqVersion: "2.90",
  ipxeBinaries: ["undionly.kpxe", "snponly.efi", "snponly-arm64.efi"],
  hasSquashfsTools: true,
  missingPrograms: [],
  portHolders: [{ protocol: "udp", port: 67, process: { pid: 7, name: "dnsmasq" }, isOurs: true }],
  closedPorts: [],
  now: new Date("2026-11-20T12:00:00Z"),
  isClockSynchronised: true,
  freeBytes: 100 * 2 ** 30,
  neighbourLimit: 1024,
  nodes: 64,
  otherDhcpServers: { servers: [] },
  authority: { fingerprint: "ab".repeat(32), certificateExpires: new Date("2027-11-20T12:00:00Z") },
  baseArchives: ["base-zstd.cpio", "base-gzip.cpio"],
};

const complaints = (
  facts: Partial<DoctorFacts>,
  config: MusterConfig = CONFIG,
  without: readonly (keyof DoctorFacts)[] = [],
): string[] => {
  const seen = { ...HEALTHY, ...facts };
  const kept = Object.fromEntries(
    Object.entries(seen).filter(([key]) => !without.includes(key as keyof DoctorFacts)),
  );
  return planDiagnosis(config, kept as unknown as DoctorFacts)
    .filter((finding) => finding.status !== "ok")
    .map(({ check, status, what }) => `${check} ${status}: ${what}`);
};

test("a healthy host has nothing to complain about, and the fingerprint is printed", () => {
  expect(complaints({})).toEqual([]);
  expect(planDiagnosis(CONFIG, HEALTHY)).toContainEqual({
    check: "authority",
    status: "ok",
    what: `authority ${"ab".repeat(32)}`,
  });
});

test("each missing program is told with what fails without it", () => {
  expect(complaints({ missingPrograms: ["ip", "getfattr", "getfacl"] })).toEqual([
    "programs error: ip is not installed: the boot interface cannot be found",
    "programs error: getfattr is not installed: overlays cannot be read",
    "programs error: getfacl is not installed: images cannot be imported with their ACLs",
  ]);
});

const on = (name: string): MusterConfig => ({ ...CONFIG, network: { ...CONFIG.network, interface: name } });
const mode = (mode: MusterConfig["dhcp"]["mode"]): MusterConfig => ({
  ...CONFIG,
  dhcp: { ...CONFIG.dhcp, mode },
});

test.each<[string, Partial<DoctorFacts>, MusterConfig, readonly (keyof DoctorFacts)[], string]>([
  [
    "no interface has the address",
    {},
    CONFIG,
    ["addressOn"],
    "address error: no interface has the controller's address 10.77.0.1",
  ],
  [
    "the interface does not exist",
    { interfaceExists: false },
    on("eth9"),
    [],
    "address error: there is no interface eth9",
  ],
  [
    "the address is elsewhere",
    {},
    on("eth1"),
    [],
    "address error: 10.77.0.1 is on br0, not on the boot interface eth1",
  ],
  [
    "no IPv6",
    { hasIpv6: false },
    CONFIG,
    [],
    "ipv6 warning: br0 has no IPv6 address: iPXE waits 13 s at each boot for a router advertisement",
  ],
  [
    "no dnsmasq",
    {},
    CONFIG,
    ["dnsmasqVersion"],
    "dnsmasq error: dnsmasq is not installed: nothing answers DHCP or TFTP",
  ],
  ["an old dnsmasq", { dnsmasqVersion: "2.76" }, CONFIG, [], "dnsmasq error: dnsmasq 2.76 is too old"],
  [
    "no arm64 iPXE",
    { ipxeBinaries: ["undionly.kpxe", "snponly.efi"] },
    CONFIG,
    [],
    "ipxe warning: snponly-arm64.efi is missing in /usr/lib/ipxe: UEFI arm64 machines cannot boot",
  ],
  [
    "no zstd base archive",
    { baseArchives: ["base-gzip.cpio"] },
    CONFIG,
    [],
    "initramfs error: base-zstd.cpio is missing in /var/lib/muster/artifacts",
  ],
  [
    "no squashfs-tools",
    { hasSquashfsTools: false },
    CONFIG,
    [],
    "squashfs error: mksquashfs is not installed: images cannot be imported",
  ],
  [
    "a port of ours taken",
    { portHolders: [{ protocol: "tcp", port: 9880, process: { pid: 42, name: "nginx" }, isOurs: false }] },
    CONFIG,
    [],
    "ports error: nginx (process 42) has port 9880/tcp, which is ours for boot artifacts",
  ],
  [
    "libvirt's dnsmasq",
    { portHolders: [{ protocol: "udp", port: 67, process: { pid: 42, name: "dnsmasq" }, isOurs: false }] },
    CONFIG,
    [],
    "ports warning: dnsmasq (process 42) has port 67/udp, which is ours for DHCP, unless it serves another interface",
  ],
  [
    "a firewall",
    { closedPorts: [{ protocol: "udp", port: 69 }] },
    CONFIG,
    [],
    "firewall warning: the packet filter seems to close 69/udp for nodes",
  ],
  [
    "an unreadable firewall",
    {},
    CONFIG,
    ["closedPorts"],
    "firewall warning: the packet filter could not be read",
  ],
  [
    "a rogue DHCP server",
    { otherDhcpServers: { servers: ["10.77.0.7"] } },
    CONFIG,
    [],
    "other-dhcp error: another DHCP server answers on the boot network: 10.77.0.7",
  ],
  [
    "no DHCP server beside a proxy",
    {},
    mode("proxy"),
    [],
    "other-dhcp warning: dhcp.mode is proxy and no DHCP server answers on the boot network",
  ],
  [
    "a DHCP check without rights",
    { otherDhcpServers: { notChecked: "bind EACCES" } },
    CONFIG,
    [],
    "other-dhcp warning: whether another DHCP server answers could not be checked: bind EACCES",
  ],
  [
    "a clock of 1970",
    { now: new Date(0) },
    CONFIG,
    [],
    "clock error: the clock says 1970-01-01T00:00:00.000Z: every certificate would be refused",
  ],
  [
    "a free-running clock",
    { isClockSynchronised: false },
    CONFIG,
    [],
    "clock warning: the clock is not synchronised",
  ],
  ["a full disk", { freeBytes: 1000 }, CONFIG, [], "disk error: 0.0 GiB free for /var/lib/muster/state"],
  [
    "a filling disk",
    { freeBytes: 2 ** 30 },
    CONFIG,
    [],
    "disk warning: 1.0 GiB free for /var/lib/muster/state",
  ],
  [
    "a small ARP table",
    { nodes: 1000 },
    CONFIG,
    [],
    "neighbours error: the ARP table holds 1024 entries, too few for 1000 nodes: they would lose the controller at random",
  ],
  ["no authority", {}, CONFIG, ["authority"], "authority warning: there is no certificate authority yet"],
  [
    "a certificate about to expire",
    { authority: { fingerprint: "ab", certificateExpires: new Date("2026-11-25T12:00:00Z") } },
    CONFIG,
    [],
    "authority warning: the controller's certificate expires in 5 days",
  ],
])("%s is found", (_title, facts, config, without, complaint) => {
  expect(complaints(facts, config, without)).toEqual([complaint]);
});

test("every complaint comes with a remedy", () => {
  const bad = planDiagnosis(on("eth9"), {
    interfaceExists: false,
    hasIpv6: false,
    ipxeBinaries: [],
    hasSquashfsTools: false,
    missingPrograms: ["ip"],
    portHolders: [{ protocol: "tcp", port: 9881, isOurs: false }],
    now: new Date(0),
    otherDhcpServers: { servers: ["1.2.3.4"] },
    baseArchives: [],
  });
  expect(bad.filter((finding) => finding.status !== "ok" && finding.fix === undefined)).toEqual([]);
});
