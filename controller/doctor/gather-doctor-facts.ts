import { readdir, readFile, readlink, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import { findIpxeBinaries } from "../netboot/gather-dnsmasq-facts.ts";
import { listHostAddresses } from "../netboot/list-host-addresses.ts";
import { netbootPaths } from "../netboot/netboot-paths.ts";
import { findDhcpServers } from "./find-dhcp-servers.ts";
import { type NeededPort, parseFirewall } from "./parse-firewall.ts";
import { parseProcNet } from "./parse-proc-net.ts";
import { type DoctorFacts, neededPorts, NEEDED_PROGRAMS, type PortHolder } from "./plan-diagnosis.ts";

/** What the doctor asks the rest of muster; each may be missing when musterd has never run. */
export interface DoctorEffects {
  readonly countNodes?: () => Promise<number>;
  readonly readAuthority?: () => Promise<
    { readonly fingerprint: string; readonly certificateExpires?: Date } | undefined
  >;
  /** The running musterd, whose ports are not taken but in use. */
  readonly musterdPid?: number;
  /** How long other DHCP servers have to answer. Default 2 s. */
  readonly dhcpWaitMs?: number;
}

/** Looks at this host. What cannot be found out is absent from the result; nothing is changed. */
export async function gatherDoctorFacts(
  config: MusterConfig,
  effects: DoctorEffects,
  signal?: AbortSignal,
): Promise<DoctorFacts> {
  // Without ip(8) there is no list; that it is missing is a finding of its own.
  const addresses = await listHostAddresses(signal).catch(() => []);
  const addressOn = addresses.find((at) => at.address === config.controller.address)?.interface;
  const [
    version,
    squashfs,
    clock,
    closedPorts,
    portHolders,
    freeBytes,
    limit,
    nodes,
    authority,
    binaries,
    files,
    others,
    missing,
  ] = await Promise.all([
    output(config.dhcp.program, ["--version"], signal),
    output("mksquashfs", ["-version"], signal),
    output("timedatectl", ["show", "-p", "NTPSynchronized", "--value"], signal),
    findClosedPorts(neededPorts(config), signal),
    findPortHolders(config, effects.musterdPid),
    findFreeBytes(config.paths.state),
    readFile("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "utf8").catch(() => undefined),
    effects.countNodes?.(),
    effects.readAuthority?.(),
    findIpxeBinaries(config.paths.ipxe),
    readdir(config.paths.artifacts).catch(() => []),
    addressOn === undefined
      ? { notChecked: "no interface is on the boot network" }
      : findDhcpServers(config.controller.address, effects.dhcpWaitMs ?? 2000, signal),
    findMissingPrograms(signal),
  ]);
  const dnsmasqVersion = /version (\d+\.\d+)/.exec(version ?? "")?.[1];
  return {
    ...(addressOn === undefined ? {} : { addressOn }),
    interfaceExists: addresses.some((at) => at.interface === config.network.interface),
    hasIpv6: addresses.some(
      (at) => at.interface === addressOn && at.family === "IPv6" && !at.address.startsWith("fe80"),
    ),
    ...(dnsmasqVersion === undefined ? {} : { dnsmasqVersion }),
    ipxeBinaries: [...binaries.keys()],
    hasSquashfsTools: squashfs !== undefined,
    missingPrograms: missing,
    portHolders,
    ...(closedPorts === undefined ? {} : { closedPorts }),
    now: new Date(),
    ...(clock === undefined || clock.trim() === "" ? {} : { isClockSynchronised: clock.trim() === "yes" }),
    ...(freeBytes === undefined ? {} : { freeBytes }),
    ...(limit === undefined ? {} : { neighbourLimit: Number(limit) }),
    ...(nodes === undefined ? {} : { nodes }),
    otherDhcpServers:
      "servers" in others
        ? { servers: others.servers.filter((one) => one !== config.controller.address) }
        : others,
    ...(authority === undefined ? {} : { authority }),
    baseArchives: files,
  };
}

async function findMissingPrograms(signal?: AbortSignal): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const { name, version } of NEEDED_PROGRAMS) {
    try {
      await runCommandUnchecked({ program: name, args: [version], deadlineMs: 10_000 }, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof MusterError && error.code === "program-missing") missing.push(name);
    }
  }
  return missing;
}

/** Standard output and error of a program that may be missing or refuse; undefined then. `mksquashfs -version` exits 1 in some releases. */
async function output(
  program: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    const { exitCode, stdout } = await runCommandUnchecked({ program, args, deadlineMs: 10_000 }, signal);
    return exitCode === 0 || program === "mksquashfs" ? stdout : undefined;
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

/** Undefined when a filter may be there and cannot be read. A host with neither program has none to speak of. */
async function findClosedPorts(
  needed: readonly NeededPort[],
  signal?: AbortSignal,
): Promise<readonly NeededPort[] | undefined> {
  const closed: NeededPort[] = [];
  let unreadable = 0;
  let readable = 0;
  for (const [program, ...args] of [
    ["nft", "list", "ruleset"],
    ["iptables", "-S", "INPUT"],
  ] as const) {
    try {
      const { exitCode, stdout } = await runCommandUnchecked({ program, args, deadlineMs: 10_000 }, signal);
      if (exitCode === 0) closed.push(...parseFirewall(stdout, needed));
      if (exitCode === 0) readable += 1;
      else unreadable += 1;
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof MusterError && error.code === "program-missing")) unreadable += 1;
    }
  }
  return readable === 0 && unreadable > 0 ? undefined : closed;
}

/** The state directory may not exist before the first start; its nearest parent is on the same disk. */
async function findFreeBytes(path: string): Promise<number | undefined> {
  for (let at = path; ; at = dirname(at)) {
    const found = await statfs(at).catch(() => undefined);
    if (found !== undefined) return found.bavail * found.bsize;
    if (at === dirname(at)) return undefined;
  }
}

async function findPortHolders(config: MusterConfig, musterdPid?: number): Promise<readonly PortHolder[]> {
  const needed = neededPorts(config);
  const tables = await Promise.all(
    (["tcp", "udp"] as const).flatMap((protocol) =>
      ["", "6"].map(async (family) => ({
        protocol,
        sockets: parseProcNet(await readFile(`/proc/net/${protocol}${family}`, "utf8").catch(() => "")),
      })),
    ),
  );
  const held = tables.flatMap(({ protocol, sockets }) =>
    sockets
      .filter(
        (socket) =>
          ["*", config.controller.address].includes(socket.address) &&
          needed.some((one) => one.port === socket.port && one.protocol === protocol),
      )
      .map((socket) => ({ protocol, ...socket })),
  );
  if (held.length === 0) return [];
  const owners = await findOwners(new Set(held.map((socket) => socket.inode)));
  const conf = `--conf-file=${netbootPaths(config.paths).dnsmasqConf}`;
  return held.map(({ protocol, port, inode }) => {
    const owner = owners.get(inode);
    return {
      protocol,
      port,
      ...(owner === undefined ? {} : { process: { pid: owner.pid, name: owner.name } }),
      isOurs:
        owner !== undefined &&
        (owner.words.includes(conf) ||
          owner.pid === musterdPid ||
          (musterdPid !== undefined && owner.parent === musterdPid)),
    };
  });
}

interface Owner {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly words: readonly string[];
}

/** Which process has a socket: the links below /proc/PID/fd, readable for one's own processes and for root. */
async function findOwners(inodes: ReadonlySet<number>): Promise<ReadonlyMap<number, Owner>> {
  const owners = new Map<number, Owner>();
  for (const pid of (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry))) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const link = await readlink(join("/proc", pid, "fd", fd)).catch(() => "");
      const inode = Number(/^socket:\[(\d+)\]$/.exec(link)?.[1]);
      if (!inodes.has(inode)) continue;
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      const [, name = "", parent = "0"] = /^\d+ \((.*)\) \S (\d+)/s.exec(stat) ?? [];
      const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
      owners.set(inode, { pid: Number(pid), parent: Number(parent), name, words });
    }
  }
  return owners;
}
