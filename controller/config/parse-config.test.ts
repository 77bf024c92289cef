import { readFile } from "node:fs/promises";

import { describe, expect, it } from "vitest";

import { renderConfigFindings } from "./config-finding.ts";
import { type ParsedConfig, parseConfig } from "./parse-config.ts";

const HOST = { cores: 4, ipxe: "/usr/lib/ipxe", artifacts: "/opt/muster/artifacts" };

const MINIMAL = "controller:\n  address: 10.77.0.1\nnetwork:\n  subnet: 10.77.0.0/24\n";

const MINIMAL_CONFIG = {
  controller: { address: "10.77.0.1", names: [], alternatives: [] },
  network: { subnet: "10.77.0.0/24", dns: [], domain: "cluster.internal" },
  dhcp: {
    mode: "dnsmasq",
    supervisor: "child",
    rangeStart: "10.77.0.128",
    rangeEnd: "10.77.0.254",
    leaseSeconds: 3600,
    program: "/usr/sbin/dnsmasq",
  },
  ports: { http: 9880, enrolment: 9881, agents: 9882, blobs: 9883, api: 9884 },
  paths: {
    state: "/var/lib/muster",
    runtime: "/run/musterd",
    overlays: "/var/lib/muster/overlays",
    hooks: "/etc/muster/hooks.d",
    ipxe: "/usr/lib/ipxe",
    artifacts: "/opt/muster/artifacts",
  },
  boot: { kernelArguments: [], giveUpAfterSeconds: 600, rebootAfterSeconds: 30 },
  enrolment: { tokenSeconds: 600, certificateSeconds: 86_400, maxPending: 1000, rules: [] },
  blobs: { workers: 4, graceSeconds: 86_400 },
  limits: { connectionsPerAddress: 256 },
  telemetry: { keepDays: 90, maxEvents: 1_000_000, maxBoots: 100_000, maxLogLines: 1_000_000 },
  overlays: { schedule: "*/5 * * * *", jitterSeconds: 60, onDrift: "repair", runtime: [] },
  agents: { update: true },
  hooks: { deadlineSeconds: 30 },
  api: { group: "muster", remote: false },
};

function linesOf(text: string): readonly string[] {
  return rendered(parseConfig(text, HOST));
}

function rendered(parsed: ParsedConfig): readonly string[] {
  return renderConfigFindings("muster.yaml", parsed.findings ?? []);
}

describe("a configuration that is right", () => {
  it("needs only an address and a subnet", () => {
    expect(parseConfig(MINIMAL, HOST)).toEqual({ config: MINIMAL_CONFIG });
  });

  it("is the one in packaging/muster.yaml, whose commented defaults are the real ones", async () => {
    const example = await readFile("packaging/muster.yaml", "utf8");
    expect(parseConfig(example, HOST)).toEqual({ config: MINIMAL_CONFIG });
    const active = example.replaceAll(/^( *)#(?! )/gm, "$1").replaceAll(/^ {2}# {2}/gm, "    ");
    expect(rendered(parseConfig(active, HOST))).toEqual([]);
    const rule = {
      names: "c[001-064]",
      macPrefixes: ["52:54:00"],
      serials: ["S100", "S101"],
      addresses: "10.77.0.0/24",
      image: "debian12",
    };
    const paths = { ...MINIMAL_CONFIG.paths, artifacts: "/usr/lib/muster/artifacts" };
    expect(parseConfig(active, HOST).config).toEqual({
      ...MINIMAL_CONFIG,
      controller: {
        address: "10.77.0.1",
        names: ["head", "head.cluster.internal"],
        alternatives: ["10.77.0.2:9881"],
      },
      network: {
        ...MINIMAL_CONFIG.network,
        interface: "eno2",
        gateway: "10.77.0.254",
        dns: ["10.77.0.1"],
      },
      dhcp: { ...MINIMAL_CONFIG.dhcp, rangeStart: "10.77.0.100", rangeEnd: "10.77.0.200" },
      paths,
      boot: { ...MINIMAL_CONFIG.boot, image: "debian12" },
      enrolment: { ...MINIMAL_CONFIG.enrolment, rules: [rule] },
      blobs: { ...MINIMAL_CONFIG.blobs, workers: 8 },
      overlays: { ...MINIMAL_CONFIG.overlays, runtime: ["chrony"] },
    });
  });

  it.each([
    ["10.77.0.1", "10.77.0.0/24", undefined, "10.77.0.128", "10.77.0.254"],
    ["10.77.0.254", "10.77.0.0/24", undefined, "10.77.0.128", "10.77.0.253"],
    ["10.77.0.200", "10.77.0.0/24", "10.77.0.254", "10.77.0.128", "10.77.0.199"],
    ["10.0.0.1", "10.0.0.0/29", undefined, "10.0.0.4", "10.0.0.6"],
    ["10.0.0.1", "10.0.0.0/8", undefined, "10.128.0.0", "10.255.255.254"],
  ])("gives %s in %s (gateway %s) the pool %s-%s", (address, subnet, gateway, start, end) => {
    const router = gateway === undefined ? "" : `  gateway: ${gateway}\n`;
    const { config } = parseConfig(
      `controller: {address: ${address}}\nnetwork:\n  subnet: ${subnet}\n${router}`,
      HOST,
    );
    expect([config?.dhcp.rangeStart, config?.dhcp.rangeEnd]).toEqual([start, end]);
  });

  it("keeps the zeros of a serial number and writes MAC prefixes one way", () => {
    const text = `${MINIMAL}enrolment:\n  rules:\n    - {names: "c[1-9]", serials: [0042], macPrefixes: [52-54-00, 525400AB]}\n`;
    expect(parseConfig(text, HOST).config?.enrolment.rules).toEqual([
      { names: "c[1-9]", serials: ["0042"], macPrefixes: ["52:54:00", "52:54:00:ab"] },
    ]);
  });
});

describe("a configuration that is wrong", () => {
  it("has no schedule nobody can keep, none that nodes would feel, and no overlay twice", () => {
    const text = `${MINIMAL}overlays:
  schedule: "*/5 * * *"
  jitter: 2h
  onDrift: ignore
  runtime: [base, Base, base]
`;
    expect(linesOf(text)).toEqual([
      'muster.yaml:6:13: overlays.schedule: "*/5 * * *" is not a schedule; write five fields as in crontab(5), for example "*/5 * * * *"',
      'muster.yaml:7:11: overlays.jitter: "2h" is not between 0s and 1h',
      'muster.yaml:8:12: overlays.onDrift: "ignore" is not one of repair, report',
      'muster.yaml:9:19: overlays.runtime[1]: "Base" is not the name of an overlay',
      "muster.yaml:9:25: overlays.runtime[2]: base is named twice",
    ]);
    expect(linesOf(`${MINIMAL}overlays: {schedule: "*/10 * * * * *"}\n`)).toEqual([
      'muster.yaml:5:22: overlays.schedule: "*/10 * * * * *" comes more than once a minute; write one number in the field of seconds',
    ]);
    expect(
      parseConfig(`${MINIMAL}overlays: {schedule: "30 0  4 * * *"}\n`, HOST).config?.overlays.schedule,
    ).toBe("30 0 4 * * *");
  });

  it("is told everything at once, each with its place", () => {
    const text = `controller:
  adress: 10.77.0.1
  names: [head, "bad name"]
network:
  subnet: 10.77.0.1/24
  gateway: 10.78.0.1
dhcp:
  mode: dnsmask
  range: 10.77.0.200-10.77.1.20
  lease: 1 hour
ports:
  http: 9881
  api: "443"
boot:
  kernelArguments: [quiet, console=ttyS0 init=/bin/sh]
enrolment:
  rules:
    - names: c[1-
    - macPrefixes: [01:00]
api:
  remote: yes
logging: verbose
`;
    expect(linesOf(text)).toEqual([
      "muster.yaml:1:1: controller.address: is missing",
      "muster.yaml:2:3: controller.adress: is not a key muster knows; did you mean address?",
      'muster.yaml:3:17: controller.names[1]: "bad name" is neither a host name nor an IPv4 address',
      "muster.yaml:5:11: network.subnet: 10.77.0.1/24 is the address of a host; did you mean 10.77.0.0/24?",
      "muster.yaml:6:12: network.gateway: 10.78.0.1 is not an address of a host in network.subnet 10.77.0.0/24",
      'muster.yaml:8:9: dhcp.mode: "dnsmask" is not one of dnsmasq, proxy, external; did you mean dnsmasq?',
      "muster.yaml:9:10: dhcp.range: 10.77.1.20 is not an address of a host in network.subnet 10.77.0.0/24; choose from 10.77.0.1 to 10.77.0.254",
      'muster.yaml:10:10: dhcp.lease: "1 hour" is not a duration; write a number and s, m, h or d, for example 10m',
      "muster.yaml:11:1: ports.enrolment: port 9881 is already ports.http; give each service its own port",
      'muster.yaml:13:8: ports.api: "443" is not a port; use 1 to 65535',
      'muster.yaml:15:28: boot.kernelArguments[1]: "console=ttyS0 init=/bin/sh" holds a blank outside "..."; one list element per argument',
      expect.stringMatching(/^muster\.yaml:18:7: enrolment\.rules\[0\]: has no condition, so every machine/),
      expect.stringMatching(/^muster\.yaml:18:14: enrolment\.rules\[0\]\.names: ./),
      "muster.yaml:19:7: enrolment.rules[1].names: is missing",
      'muster.yaml:19:21: enrolment.rules[1].macPrefixes[0]: "01:00" is not the start of a MAC address; write whole bytes in hex, for example 52:54:00',
      'muster.yaml:21:11: api.remote: "yes" is neither true nor false',
      "muster.yaml:22:1: logging: is not a key muster knows; the keys here are agents, api, blobs, boot, controller, dhcp, enrolment, hooks, limits, network, overlays, paths, ports, telemetry",
    ]);
  });

  it("may not hand out the controller's or the router's address", () => {
    expect(linesOf(`${MINIMAL}  gateway: 10.77.0.9\ndhcp: {range: 10.77.0.1-10.77.0.50}\n`)).toEqual([
      "muster.yaml:6:15: dhcp.range: holds 10.77.0.1, which is controller.address; leave it out of the range",
      "muster.yaml:6:15: dhcp.range: holds 10.77.0.9, which is network.gateway; leave it out of the range",
    ]);
  });

  it("may not have the controller outside its own network or at the network's own address", () => {
    const place = "muster.yaml:1:22: controller.address:";
    expect(linesOf("controller: {address: 10.78.0.1}\nnetwork: {subnet: 10.77.0.0/24}\n")).toEqual(
      [`${place} 10.78.0.1 is not an address of a host in network.subnet 10.77.0.0/24`].map((line) =>
        line.replace(":1:22:", ":1:23:"),
      ),
    );
    expect(linesOf("controller: {address: 10.77.0.255}\nnetwork: {subnet: 10.77.0.0/24}\n")).toEqual([
      "muster.yaml:1:23: controller.address: 10.77.0.255 is not an address of a host in network.subnet 10.77.0.0/24",
    ]);
  });

  it.each([
    ["", ["muster.yaml:1:1: controller.address: is missing", "muster.yaml:1:1: network.subnet: is missing"]],
    [
      "just text\n",
      [
        "muster.yaml:1:1: is not a mapping; write `key: value` lines below it",
        "muster.yaml:1:1: controller.address: is missing",
        "muster.yaml:1:1: network.subnet: is missing",
      ],
    ],
    [`${MINIMAL}network:\n  subnet: 10.1.0.0/16\n`, ["muster.yaml:5:1: this key is here twice"]],
    [
      `${MINIMAL}  dns: &d [10.77.0.1]\nboot:\n  kernelArguments: *d\n`,
      [
        "muster.yaml:7:20: boot.kernelArguments: is an alias, which muster does not take; write the value out",
      ],
    ],
    [
      `${MINIMAL}dhcp: []\nports: {http: {}}\n`,
      [
        "muster.yaml:5:7: dhcp: is not a mapping; write `key: value` lines below it",
        "muster.yaml:6:15: ports.http: is not a single value",
      ],
    ],
    [
      `${MINIMAL}boot:\n  kernelArguments: [muster.token=x, muster.reboot_after=0, muster.rescue]\n`,
      [
        "muster.yaml:6:21: boot.kernelArguments[0]: muster.token is said by the controller alone; one list element per argument",
        "muster.yaml:6:37: boot.kernelArguments[1]: muster.reboot_after is boot.rebootAfter of muster.yaml; one list element per argument",
      ],
    ],
    [
      `${MINIMAL}paths: {state: relative, runtime: /a/../b}\n`,
      [
        'muster.yaml:5:16: paths.state: "relative" is not an absolute path; start it with / and leave out ..',
        'muster.yaml:5:35: paths.runtime: "/a/../b" is not an absolute path; start it with / and leave out ..',
      ],
    ],
  ])("%j", (text, lines) => {
    expect(linesOf(text)).toEqual(lines);
  });

  it("says only where it is no YAML when it is none", () => {
    const lines = linesOf("controller:\n  address: [10.77.0.1\nnetwork: {}\n");
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.every((line) => /^muster\.yaml:[34]:\d+: cannot be read as YAML: /.test(line))).toBe(true);
  });

  it("does not bring the reader down when it is built to", () => {
    const bomb = `a: &a [x]\n${Array.from({ length: 20 }, (_, n) => `b${n}: &b${n} [${"*a,".repeat(2000)}]`).join("\n")}\n`;
    expect(linesOf(bomb).length).toBeGreaterThan(20);
    expect(linesOf("[".repeat(100_000))[0]).toMatch(/^muster\.yaml:\d+:\d+: cannot be read as YAML/);
  });
});
