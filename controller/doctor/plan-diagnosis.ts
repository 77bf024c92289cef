import type { MusterConfig } from "../config/muster-config.ts";
import { isInSubnet, parseSubnet } from "../netboot/parse-subnet.ts";
import type { NeededPort } from "./parse-firewall.ts";

/** One thing `muster doctor` looked at. `fix` is there unless the status is ok. */
export interface Finding {
  readonly check: string;
  readonly status: "ok" | "warning" | "error";
  readonly what: string;
  readonly fix?: string;
}

/** Someone on one of our ports. */
export interface PortHolder extends NeededPort {
  /** Absent when we may not look into the process. */
  readonly process?: { readonly pid: number; readonly name: string };
  /** It is this muster's own. */
  readonly isOurs: boolean;
}

/** What `muster doctor` saw of this host; gathered by `gatherDoctorFacts`. Absent: could not be found out. */
export interface DoctorFacts {
  /** Interface that has the controller's address. */
  readonly addressOn?: string;
  /** Whether `network.interface`, when it is set, exists. */
  readonly interfaceExists: boolean;
  readonly hasIpv6: boolean;
  readonly dnsmasqVersion?: string;
  /** iPXE binaries found, by the names muster gives them. */
  readonly ipxeBinaries: readonly string[];
  readonly hasSquashfsTools: boolean;
  /** Those of {@link NEEDED_PROGRAMS} that are not installed. */
  readonly missingPrograms: readonly string[];
  readonly portHolders: readonly PortHolder[];
  readonly closedPorts?: readonly NeededPort[];
  readonly now: Date;
  readonly isClockSynchronised?: boolean;
  readonly freeBytes?: number;
  /** net.ipv4.neigh.default.gc_thresh3 */
  readonly neighbourLimit?: number;
  readonly nodes?: number;
  /** DHCP servers that answered on the boot network, without ourselves. */
  readonly otherDhcpServers: { readonly servers: readonly string[] } | { readonly notChecked: string };
  readonly authority?: { readonly fingerprint: string; readonly certificateExpires?: Date };
  /** Base archives that are there: "base-gzip.cpio". */
  readonly baseArchives: readonly string[];
}

/** What muster calls on this host besides dnsmasq and mksquashfs; `version` makes each say only who it is. */
export const NEEDED_PROGRAMS = [
  { name: "ip", version: "-Version", without: "the boot interface cannot be found", package: "iproute2" },
  { name: "getfattr", version: "--version", without: "overlays cannot be read", package: "attr" },
  {
    name: "getfacl",
    version: "--version",
    without: "images cannot be imported with their ACLs",
    package: "acl",
  },
] as const;

type Check = (config: MusterConfig, facts: DoctorFacts) => readonly Omit<Finding, "check">[];

const GIB = 2 ** 30;
/** The year of this release: a clock before it is wrong, and every certificate it signs would be too. */
const SANE_YEAR = 2026;

/** Everything that would stop nodes from booting on this host, with its remedy. In the order a boot meets it. */
export function planDiagnosis(config: MusterConfig, facts: DoctorFacts): readonly Finding[] {
  return Object.entries(CHECKS).flatMap(([check, look]) =>
    look(config, facts).map((finding) => ({ check, ...finding })),
  );
}

/** TCP and UDP ports nodes reach this host on. */
export function neededPorts(config: MusterConfig): readonly (NeededPort & { readonly purpose: string })[] {
  const { ports, dhcp } = config;
  return [
    ...(dhcp.mode === "external" ? [] : [{ protocol: "udp" as const, port: 67, purpose: "DHCP" }]),
    ...(dhcp.mode === "proxy" ? [{ protocol: "udp" as const, port: 4011, purpose: "PXE boot server" }] : []),
    { protocol: "udp", port: 69, purpose: "TFTP" },
    { protocol: "tcp", port: ports.http, purpose: "boot artifacts" },
    { protocol: "tcp", port: ports.enrolment, purpose: "enrolment" },
    { protocol: "tcp", port: ports.agents, purpose: "agents" },
    { protocol: "tcp", port: ports.blobs, purpose: "blobs" },
    ...(config.api.remote ? [{ protocol: "tcp" as const, port: ports.api, purpose: "remote API" }] : []),
  ];
}

const CHECKS: Readonly<Record<string, Check>> = {
  address: ({ controller, network }, facts) => {
    if (network.interface !== undefined && !facts.interfaceExists) {
      return error(
        `there is no interface ${network.interface}`,
        "correct network.interface in muster.yaml (ip link shows the names)",
      );
    }
    if (facts.addressOn === undefined) {
      return error(
        `no interface has the controller's address ${controller.address}`,
        `ip address add ${controller.address}/${parseSubnet(network.subnet).prefix} dev ${network.interface ?? "INTERFACE"}, or correct controller.address in muster.yaml`,
      );
    }
    if (network.interface !== undefined && network.interface !== facts.addressOn) {
      return error(
        `${controller.address} is on ${facts.addressOn}, not on the boot interface ${network.interface}`,
        "correct network.interface or controller.address in muster.yaml",
      );
    }
    if (!isInSubnet(controller.address, parseSubnet(network.subnet))) {
      return error(
        `${controller.address} is not in the boot network ${network.subnet}`,
        "correct network.subnet or controller.address in muster.yaml",
      );
    }
    return ok(`${controller.address} is on ${facts.addressOn}`);
  },
  ipv6: (config, facts) =>
    facts.hasIpv6 || facts.addressOn === undefined || config.dhcp.mode === "external"
      ? []
      : warning(
          `${facts.addressOn} has no IPv6 address: iPXE waits 13 s at each boot for a router advertisement`,
          `ip address add fd77:6d75:7374::1/64 dev ${facts.addressOn}, then restart musterd`,
        ),
  dnsmasq: ({ dhcp }, { dnsmasqVersion }) => {
    if (dnsmasqVersion === undefined) {
      return error(
        `${dhcp.program} is not installed: nothing answers DHCP or TFTP`,
        "apt-get install dnsmasq-base, or dnf install dnsmasq",
      );
    }
    const [major = 0, minor = 0] = dnsmasqVersion.split(".").map(Number);
    return major > 2 || (major === 2 && minor >= 79)
      ? ok(`dnsmasq ${dnsmasqVersion}`)
      : error(`dnsmasq ${dnsmasqVersion} is too old`, "install dnsmasq 2.79 or newer");
  },
  ipxe: ({ paths }, { ipxeBinaries }) =>
    [
      { name: "undionly.kpxe", machines: "BIOS machines", must: true },
      { name: "snponly.efi", machines: "UEFI x86-64 machines", must: true },
      { name: "snponly-arm64.efi", machines: "UEFI arm64 machines", must: false },
    ].flatMap(({ name, machines, must }) => {
      if (ipxeBinaries.includes(name)) return ok(`${name}: ${machines} can boot`);
      return must
        ? error(
            `${name} is missing in ${paths.ipxe}: ${machines} cannot boot`,
            "apt-get install ipxe, or dnf install ipxe-bootimgs; or set paths.ipxe in muster.yaml",
          )
        : warning(
            `${name} is missing in ${paths.ipxe}: ${machines} cannot boot`,
            "only if there are such machines: dnf install ipxe-bootimgs-aarch64, or put an arm64 snponly.efi there under this name",
          );
    }),
  initramfs: ({ paths }, { baseArchives }) =>
    ["base-zstd.cpio", "base-gzip.cpio"].flatMap((name) =>
      baseArchives.includes(name)
        ? ok(`${name} is there`)
        : error(
            `${name} is missing in ${paths.artifacts}`,
            "reinstall muster, or set paths.artifacts in muster.yaml",
          ),
    ),
  squashfs: (_config, facts) =>
    facts.hasSquashfsTools
      ? ok("mksquashfs is installed")
      : error(
          "mksquashfs is not installed: images cannot be imported",
          "apt-get install squashfs-tools, or dnf install squashfs-tools",
        ),
  programs: (_config, { missingPrograms }) => {
    const missing = NEEDED_PROGRAMS.filter(({ name }) => missingPrograms.includes(name));
    if (missing.length === 0)
      return ok(`${NEEDED_PROGRAMS.map(({ name }) => name).join(", ")} are installed`);
    return missing.flatMap(({ name, without, package: from }) =>
      error(
        `${name} is not installed: ${without}`,
        `apt-get install ${from}, or dnf install ${from.replace("iproute2", "iproute")}`,
      ),
    );
  },
  ports: (config, facts) => {
    const taken = neededPorts(config).flatMap(({ protocol, port, purpose }) =>
      facts.portHolders
        .filter((holder) => holder.protocol === protocol && holder.port === port && !holder.isOurs)
        .flatMap((holder) => takenPort(holder, purpose)),
    );
    return taken.length > 0 ? taken : ok("no other program has one of our ports");
  },
  firewall: (config, { closedPorts }) => {
    if (closedPorts === undefined) {
      return warning(
        "the packet filter could not be read",
        "run muster doctor as root, with nft or iptables installed",
      );
    }
    const closed = neededPorts(config).filter((port) =>
      closedPorts.some((one) => one.port === port.port && one.protocol === port.protocol),
    );
    if (closed.length === 0) return ok("no rule of the packet filter is seen to close our ports");
    const list = closed.map(({ protocol, port }) => `${port}/${protocol}`);
    return warning(
      `the packet filter seems to close ${list.join(", ")} for nodes`,
      `firewall-cmd --permanent ${list.map((one) => `--add-port=${one}`).join(" ")} && firewall-cmd --reload, or the same with nft`,
    );
  },
  "other-dhcp": ({ dhcp }, { otherDhcpServers }) => {
    if ("notChecked" in otherDhcpServers) {
      return warning(
        `whether another DHCP server answers could not be checked: ${otherDhcpServers.notChecked}`,
        "run muster doctor as root on the controller",
      );
    }
    const { servers } = otherDhcpServers;
    if (dhcp.mode === "dnsmasq") {
      return servers.length === 0
        ? ok("no other DHCP server answers on the boot network")
        : error(
            `another DHCP server answers on the boot network: ${servers.join(", ")}`,
            "switch it off there, or set dhcp.mode to proxy or external in muster.yaml",
          );
    }
    return servers.length > 0
      ? ok(`the site's DHCP server answers: ${servers.join(", ")}`)
      : warning(
          `dhcp.mode is ${dhcp.mode} and no DHCP server answers on the boot network`,
          "switch the site's DHCP on for this network, or set dhcp.mode to dnsmasq in muster.yaml",
        );
  },
  clock: (_config, { now, isClockSynchronised }) => {
    if (now.getUTCFullYear() < SANE_YEAR) {
      return error(
        `the clock says ${now.toISOString()}: every certificate would be refused`,
        "set the clock: timedatectl set-time, or chronyc makestep",
      );
    }
    return isClockSynchronised === false
      ? warning("the clock is not synchronised", "timedatectl set-ntp true, or install chrony")
      : ok(isClockSynchronised === undefined ? "the clock is plausible" : "the clock is synchronised");
  },
  disk: ({ paths }, { freeBytes }) => {
    if (freeBytes === undefined) {
      return warning(
        `free space of ${paths.state} could not be read`,
        `mkdir -p ${paths.state}, and let musterd's account enter it`,
      );
    }
    const free = `${(freeBytes / GIB).toFixed(1)} GiB free for ${paths.state}`;
    if (freeBytes < GIB / 2) return error(free, "make room: images, inventory and telemetry are there");
    return freeBytes < 5 * GIB ? warning(free, "make room before the next image import") : ok(free);
  },
  neighbours: (_config, { neighbourLimit, nodes }) => {
    if (neighbourLimit === undefined || nodes === undefined) return [];
    // Nodes, their BMCs, and what else is on the wire.
    const wanted = nodes * 2 + 256;
    return neighbourLimit >= wanted
      ? ok(`the ARP table holds ${neighbourLimit} entries for ${nodes} nodes`)
      : error(
          `the ARP table holds ${neighbourLimit} entries, too few for ${nodes} nodes: they would lose the controller at random`,
          `sysctl -w net.ipv4.neigh.default.gc_thresh1=${wanted} net.ipv4.neigh.default.gc_thresh2=${wanted * 2} net.ipv4.neigh.default.gc_thresh3=${wanted * 4}, and the same in /etc/sysctl.d/90-muster.conf`,
        );
  },
  authority: (_config, { authority, now }) => {
    if (authority === undefined)
      return warning("there is no certificate authority yet", "start musterd once; it makes one");
    if (authority.certificateExpires === undefined) return ok(`authority ${authority.fingerprint}`);
    const days = Math.floor((authority.certificateExpires.getTime() - now.getTime()) / 86_400_000);
    const fingerprint = ok(`authority ${authority.fingerprint}`);
    if (days < 0)
      return [
        ...fingerprint,
        ...error("the controller's certificate has expired", "restart musterd; it renews it"),
      ];
    return [
      ...fingerprint,
      ...(days < 14
        ? warning(`the controller's certificate expires in ${days} days`, "restart musterd; it renews it")
        : ok(`the controller's certificate is valid for ${days} days`)),
    ];
  },
};

function takenPort(holder: PortHolder, purpose: string): readonly Omit<Finding, "check">[] {
  const who =
    holder.process === undefined
      ? "another program"
      : `${holder.process.name} (process ${holder.process.pid})`;
  const what = `${who} has port ${holder.port}/${holder.protocol}, which is ours for ${purpose}`;
  const stop =
    holder.process === undefined
      ? `ss -lpn 'sport = :${holder.port}' shows it as root`
      : `systemctl status ${holder.process.pid} says what started it`;
  // A dnsmasq of libvirt sits on the same port of another interface, which /proc does not tell.
  if (holder.protocol === "udp" && holder.process?.name === "dnsmasq") {
    return warning(`${what}, unless it serves another interface`, stop);
  }
  return error(what, `${stop}; stop it, or change ports in muster.yaml`);
}

function ok(what: string): readonly Omit<Finding, "check">[] {
  return [{ status: "ok", what }];
}

function warning(what: string, fix: string): readonly Omit<Finding, "check">[] {
  return [{ status: "warning", what, fix }];
}

function error(what: string, fix: string): readonly Omit<Finding, "check">[] {
  return [{ status: "error", what, fix }];
}
