import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { startDaemon } from "#proto/host/run-command.ts";
import type { DhcpHost } from "../config/muster-config.ts";
import type { IpxeBinary } from "./boot-clients.ts";
import { type NetbootTestLab, openNetbootTestLab, testConfig } from "./netboot-test-lab.ts";
import type { Probe } from "./netboot-test-probe.ts";
import type { DnsmasqFacts } from "./plan-dnsmasq.ts";
import { type DnsmasqEffects, superviseDnsmasq } from "./supervise-dnsmasq.ts";

const FACTS: DnsmasqFacts = {
  interface: "ctl0",
  hasIpv6: false,
  binaries: new Set<IpxeBinary>(["undionly.kpxe", "snponly.efi", "snponly-arm64.efi"]),
  canIgnoreClientId: true,
};
const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };

const host = (mac: string, name: string, address?: string): DhcpHost => ({
  mac: parseMacAddress(mac),
  name,
  ...(address === undefined ? {} : { address }),
});
const M1 = "52:54:00:00:00:01";
const M2 = "52:54:00:00:00:02";

interface Fixture {
  readonly effects: DnsmasqEffects;
  hosts: DhcpHost[];
  readonly seen: Set<string>;
  readonly events: string[];
  nextEvent(): Promise<string>;
}

function fixture(lab: NetbootTestLab, mode: "dnsmasq" | "proxy" = "dnsmasq"): Fixture {
  const base = testConfig(lab.directory, lab.dnsmasqProgram);
  const waiting: ((what: string) => void)[] = [];
  const at: Fixture = {
    hosts: [],
    seen: new Set(),
    events: [],
    nextEvent: () => new Promise((resolve) => waiting.push(resolve)),
    effects: {
      config: { ...base, dhcp: { ...base.dhcp, mode } },
      facts: FACTS,
      listHosts: () => Promise.resolve(at.hosts),
      onDhcp: (mac) => at.seen.add(mac),
      onEvent: (event) => {
        at.events.push(event.kind);
        for (const resolve of waiting.splice(0)) resolve(`${event.kind}: ${event.what}`);
      },
      log: SILENT,
    },
  };
  return at;
}

function pxe(architecture: number, more: Partial<Probe> = {}): Probe {
  const vendor = architecture === 16 || architecture === 19 ? "HTTPClient" : "PXEClient";
  return {
    mac: M1,
    architecture,
    vendorClass: `${vendor}:Arch:${String(architecture).padStart(5, "0")}`,
    ...more,
  };
}

test("every kind of firmware is sent to the binary that runs on it, and iPXE to the script", async () => {
  await using lab = await openNetbootTestLab();
  const at = fixture(lab);
  at.hosts = [host(M1, "c001", "10.77.0.11")];
  await using dnsmasq = await superviseDnsmasq(at.effects, new AbortController().signal);
  expect(dnsmasq.pid()).toBeDefined();
  const answers = await lab.probe(
    ...[0, 7, 9, 11, 16, 19].map((arch) => pxe(arch)),
    pxe(0, { userClass: "iPXE" }),
    pxe(7, { userClass: "iPXE" }),
    pxe(6),
    // The kernel's DHCP client, with a client id of its own: the machine keeps its address.
    { mac: M1, vendorClass: "udhcp 1.35.0", clientId: "\u0001kernel", request: true },
  );
  const common = { address: "10.77.0.11", nextServer: "10.77.0.1" };
  const script = { ...common, bootFile: "tftp://10.77.0.1/start.ipxe", ipxe: "b00101ff" };
  const http = { ...common, vendorClass: "HTTPClient" };
  expect(answers).toEqual([
    { ...common, bootFile: "undionly.kpxe" },
    { ...common, bootFile: "snponly.efi" },
    { ...common, bootFile: "snponly.efi" },
    { ...common, bootFile: "snponly-arm64.efi" },
    { ...http, bootFile: "http://10.77.0.1:9880/boot/ipxe-bin/snponly.efi" },
    { ...http, bootFile: "http://10.77.0.1:9880/boot/ipxe-bin/snponly-arm64.efi" },
    script,
    script,
    { ...common, bootFile: "" },
    { ...common, bootFile: "" },
  ]);
  expect(at.seen).toEqual(new Set([M1]));
  expect(at.events).toEqual([]);
  expect(await readFile(`${at.effects.config.paths.runtime}/tftp/start.ipxe`, "utf8")).toMatch(
    /^#!ipxe\n:start\n/,
  );
});

test("as a proxy it names boot files and never gives an address", async () => {
  await using lab = await openNetbootTestLab();
  const at = fixture(lab, "proxy");
  await using dnsmasq = await superviseDnsmasq(at.effects, new AbortController().signal);
  expect(dnsmasq.pid()).toBeDefined();
  const answers = await lab.probe(
    pxe(0),
    // What a BIOS PXE client asks next: the boot server's item 0x8000 (PXE 2.1 section 2.2.2, tag 71).
    pxe(0, { bootServer: true, pxeItem: 0x8000 }),
    pxe(7, { bootServer: true }),
    pxe(11, { bootServer: true }),
    pxe(7, { userClass: "iPXE" }),
    { mac: M2, waitMs: 700 },
  );
  expect(answers.map((answer) => answer && [answer.address, answer.bootFile])).toEqual([
    ["0.0.0.0", ""],
    // Its own address, repeated.
    ["10.77.0.250", "undionly.kpxe"],
    ["0.0.0.0", "snponly.efi"],
    ["0.0.0.0", "snponly-arm64.efi"],
    ["0.0.0.0", "tftp://10.77.0.1/start.ipxe"],
    null,
  ]);
  expect(at.seen).toEqual(new Set([M1]));
});

test("nodes come, change their machine, and go while dnsmasq runs", async () => {
  await using lab = await openNetbootTestLab();
  const at = fixture(lab);
  await using dnsmasq = await superviseDnsmasq(at.effects, new AbortController().signal);
  const addressOf = async (mac: string): Promise<string | undefined> =>
    (await lab.probe({ mac, request: true }))[0]?.address;
  const first = dnsmasq.pid();

  expect(await addressOf(M1)).toMatch(/^10\.77\.0\.1\d\d$/);
  at.hosts = [host(M2, "c002", "10.77.0.12")];
  dnsmasq.hostsChanged();
  await dnsmasq.settled();
  expect(await addressOf(M2)).toBe("10.77.0.12");
  expect(dnsmasq.pid()).toBe(first);

  // The board of c002 was replaced: the lease of the old one must not keep the new one from its address.
  at.hosts = [host(M1, "c002", "10.77.0.12")];
  dnsmasq.hostsChanged();
  await dnsmasq.settled();
  expect(await addressOf(M1)).toBe("10.77.0.12");
  expect(await addressOf(M2)).toMatch(/^10\.77\.0\.1\d\d$/);

  at.hosts = [];
  dnsmasq.hostsChanged();
  await dnsmasq.settled();
  expect(await addressOf(M1)).toMatch(/^10\.77\.0\.1\d\d$/);
  expect(at.events).toEqual([]);
});

test("a dnsmasq that dies is an event and is started again", async () => {
  await using lab = await openNetbootTestLab();
  const at = fixture(lab);
  at.hosts = [host(M1, "c001", "10.77.0.11")];
  await using dnsmasq = await superviseDnsmasq(at.effects, new AbortController().signal);
  const event = at.nextEvent();
  process.kill(dnsmasq.pid() ?? 0, "SIGKILL");
  expect(await event).toMatch(/^dnsmasq-exited: dnsmasq ended \(signal SIGKILL\) and is started again/);
  await expect
    .poll(async () => (await lab.probe({ mac: M1, waitMs: 300 }))[0]?.address, { timeout: 8000 })
    .toBe("10.77.0.11");
});

test("the dnsmasq of a musterd that was killed does not block the next one", async () => {
  await using lab = await openNetbootTestLab();
  const at = fixture(lab);
  await using first = await superviseDnsmasq(at.effects, new AbortController().signal);
  const orphan = first.pid() ?? 0;
  const stranger = await startDaemon({ program: "sleep", args: ["60"], onLine: () => undefined });
  const { config } = at.effects;
  const died = at.nextEvent();
  await using second = await superviseDnsmasq(
    { ...at.effects, onEvent: () => undefined },
    new AbortController().signal,
  );
  await died;
  expect(second.pid()).not.toBe(orphan);
  expect(() => process.kill(orphan, 0)).toThrow();
  expect(process.kill(stranger.pid, 0)).toBe(true);
  stranger.kill("SIGKILL");
  await stranger.exited;
  expect(await readFile(`${config.paths.runtime}/tftp/undionly.kpxe`)).toEqual(
    await readFile(`${config.paths.ipxe}/undionly.kpxe`),
  );
});

test("a configuration dnsmasq rejects is refused with its words", async () => {
  await using lab = await openNetbootTestLab();
  const at = fixture(lab);
  const { config } = at.effects;
  const broken = { ...config, network: { ...config.network, gateway: "not an address" } };
  await expect(
    superviseDnsmasq({ ...at.effects, config: broken }, new AbortController().signal),
  ).rejects.toMatchObject({
    code: "dhcp-failed",
    message: expect.stringMatching(/dnsmasq rejects .*line \d+/s) as string,
  });
});

test("a dnsmasq of systemd is told of new nodes by a signal and survives musterd", async () => {
  await using lab = await openNetbootTestLab();
  const at = fixture(lab);
  const config = {
    ...at.effects.config,
    dhcp: { ...at.effects.config.dhcp, supervisor: "systemd" as const },
  };
  const conf = `${config.paths.runtime}/dnsmasq/dnsmasq.conf`;
  const musterd = await superviseDnsmasq({ ...at.effects, config }, new AbortController().signal);
  const read: string[] = [];
  let reread = (): void => undefined;
  const unit = await startDaemon({
    program: lab.dnsmasqProgram,
    args: ["--no-daemon", "--log-facility=-", `--conf-file=${conf}`],
    onLine: (line) => {
      read.push(line);
      if (line.includes(": read ")) reread();
    },
  });
  await new Promise<void>((resolve) => {
    reread = resolve;
  });
  at.hosts = [host(M1, "c001", "10.77.0.11")];
  musterd.hostsChanged();
  await musterd.settled();
  expect((await lab.probe({ mac: M1, request: true }))[0]?.address).toBe("10.77.0.11");
  await musterd[Symbol.asyncDispose]();
  expect(process.kill(unit.pid, 0)).toBe(true);
  unit.kill("SIGTERM");
  expect(await unit.exited).toEqual({ code: 0, signal: null });
});
