import { errorSentence } from "#proto/contract/muster-error.ts";
import { parseNodeSet } from "#proto/contract/node-set.ts";

import type { ConfigFinding } from "./config-finding.ts";
import {
  DEFAULT_HOOKS_DIRECTORY,
  DEFAULT_PORTS,
  DEFAULT_RUNTIME_DIRECTORY,
  DEFAULT_STATE_DIRECTORY,
} from "./default-config.ts";
import { formatIpv4, type Ipv4Network, isHostAddress, lastAddressOf, networkOf, readIpv4 } from "./ipv4.ts";
import type { ApprovalRule, MusterConfig } from "./muster-config.ts";
import {
  durationBetween,
  numberBetween,
  oneOf,
  readAddress,
  readBoolean,
  readDomain,
  readHostName,
  readHostPort,
  readKernelArgument,
  readMacPrefix,
  readNetwork,
  readPath,
  readPort,
  readRange,
  readSchedule,
  textOf,
} from "./scalar-readers.ts";
import { type Located, openDocument, type ReadContext, report, type Section } from "./yaml-section.ts";

/** Defaults that depend on the machine, gathered by the caller. */
export interface HostDefaults {
  readonly cores: number;
  /** Where this machine has undionly.kpxe and snponly.efi. */
  readonly ipxe: string;
  /** The release's initramfs archives, beside the program. */
  readonly artifacts: string;
}

/** The configuration, or everything that is wrong with it. */
export type ParsedConfig =
  | { readonly config: MusterConfig; readonly findings?: never }
  | { readonly config?: never; readonly findings: readonly ConfigFinding[] };

const IMAGE_NAME = textOf(/^[a-z0-9][a-z0-9._-]{0,63}$/, "the name of an image");
const OVERLAY_NAME = textOf(/^[a-z0-9][a-z0-9._-]{0,63}$/, "the name of an overlay");
const NAME_SET = textOf(/^[\x21-\x7e]{1,1024}$/, "a node set", "for example c[001-999]");
const SERIAL = textOf(/^[\x20-\x7e]{1,128}$/, "a serial number");
const INTERFACE = textOf(/^[^\s/:]{1,15}$/, "the name of a network interface");
const GROUP = textOf(/^[a-z_][a-z0-9_-]{0,31}$/i, "the name of a group");

/**
 * Reads muster.yaml (YAML 1.2, one document, no aliases). Keys are those of {@link MusterConfig} without their
 * unit; durations carry it ("10m"), and the range of addresses is one value ("10.77.0.100-10.77.0.200").
 * packaging/muster.yaml shows every key with its default. Only `controller.address` and `network.subnet`
 * have none.
 */
export function parseConfig(text: string, defaults: HostDefaults): ParsedConfig {
  const { context, root } = openDocument(text);
  const { findings } = context;
  if (root === undefined) return { findings };
  const config = readRoot(root, defaults, context);
  return findings.length > 0 || config === undefined ? { findings } : { config };
}

function readRoot(root: Section, host: HostDefaults, context: ReadContext): MusterConfig | undefined {
  const controller = root.section("controller");
  const address = required(controller, "address", controller.scalar("address", readAddress), context);
  const names = controller.list("names", readHostName);
  const alternatives = controller.list("alternatives", readHostPort);
  controller.finish();

  const network = root.section("network");
  const subnet = readSubnet(network, context);
  const interfaceName = network.scalar("interface", INTERFACE);
  const gateway = network.scalar("gateway", readAddress);
  const dns = network.list("dns", readAddress);
  const domain = network.scalar("domain", readDomain);
  network.finish();
  if (subnet !== undefined) {
    for (const located of [address, gateway]) checkInside(located, subnet, context);
  }

  const dhcp = root.section("dhcp");
  const mode = dhcp.scalar("mode", oneOf(["dnsmasq", "proxy", "external"]));
  const supervisor = dhcp.scalar("supervisor", oneOf(["child", "systemd"]));
  const range = readPool(dhcp, subnet, [address, gateway], context);
  // two minutes is the shortest lease dnsmasq gives (dnsmasq(8), --dhcp-range)
  const lease = dhcp.scalar("lease", durationBetween("2m", "365d"));
  const program = dhcp.scalar("program", readPath);
  dhcp.finish();

  const ports = readPorts(root.section("ports"), context);
  const paths = readPaths(root.section("paths"), host);

  const boot = root.section("boot");
  const image = boot.scalar("image", IMAGE_NAME);
  const kernelArguments = boot.list("kernelArguments", readKernelArgument);
  const giveUpAfter = boot.scalar("giveUpAfter", durationBetween("10s", "7d"));
  const rebootAfter = boot.scalar("rebootAfter", durationBetween("0s", "7d"));
  boot.finish();

  const enrolment = root.section("enrolment");
  const token = enrolment.scalar("tokenLifetime", durationBetween("30s", "1h"));
  const certificate = enrolment.scalar("certificateLifetime", durationBetween("10m", "90d"));
  const maxPending = enrolment.scalar("maxPending", numberBetween(1, 100_000));
  const rules = enrolment.sections("rules").map((rule) => readRule(rule, context));
  enrolment.finish();

  const blobs = root.section("blobs");
  const workers = blobs.scalar("workers", numberBetween(1, 64));
  const grace = blobs.scalar("grace", durationBetween("1m", "365d"));
  blobs.finish();

  const limits = root.section("limits");
  const connectionsPerAddress = limits.scalar("connectionsPerAddress", numberBetween(16, 1_000_000));
  limits.finish();

  const telemetry = root.section("telemetry");
  const keep = telemetry.scalar("keep", durationBetween("1d", "3650d"));
  const maxEvents = telemetry.scalar("maxEvents", numberBetween(1000, 100_000_000));
  const maxBoots = telemetry.scalar("maxBoots", numberBetween(100, 10_000_000));
  const maxLogLines = telemetry.scalar("maxLogLines", numberBetween(1000, 100_000_000));
  telemetry.finish();

  const overlays = readOverlays(root.section("overlays"), context);

  const agents = root.section("agents");
  const update = agents.scalar("update", readBoolean);
  agents.finish();

  const hooks = root.section("hooks");
  const hookDeadline = hooks.scalar("deadline", durationBetween("1s", "1h"));
  hooks.finish();

  const api = root.section("api");
  const group = api.scalar("group", GROUP);
  const remote = api.scalar("remote", readBoolean);
  api.finish();
  root.finish();

  if (address === undefined || subnet === undefined || range === undefined) return undefined;
  return {
    controller: {
      address: address.value,
      names: valuesOf(names),
      alternatives: valuesOf(alternatives),
    },
    network: {
      subnet: `${formatIpv4(subnet.base)}/${subnet.prefix}`,
      ...(interfaceName === undefined ? {} : { interface: interfaceName.value }),
      ...(gateway === undefined ? {} : { gateway: gateway.value }),
      dns: valuesOf(dns),
      domain: domain?.value ?? "cluster.internal",
    },
    dhcp: {
      mode: mode?.value ?? "dnsmasq",
      supervisor: supervisor?.value ?? "child",
      rangeStart: formatIpv4(range.start),
      rangeEnd: formatIpv4(range.end),
      leaseSeconds: lease?.value ?? 3600,
      program: program?.value ?? "/usr/sbin/dnsmasq",
    },
    ports,
    paths,
    boot: {
      ...(image === undefined ? {} : { image: image.value }),
      kernelArguments: valuesOf(kernelArguments),
      giveUpAfterSeconds: giveUpAfter?.value ?? 600,
      rebootAfterSeconds: rebootAfter?.value ?? 30,
    },
    enrolment: {
      tokenSeconds: token?.value ?? 600,
      certificateSeconds: certificate?.value ?? 86_400,
      maxPending: maxPending?.value ?? 1000,
      rules,
    },
    blobs: {
      workers: workers?.value ?? Math.max(1, Math.min(8, host.cores)),
      graceSeconds: grace?.value ?? 86_400,
    },
    limits: { connectionsPerAddress: connectionsPerAddress?.value ?? 256 },
    telemetry: {
      keepDays: Math.floor((keep?.value ?? 90 * 86_400) / 86_400),
      maxEvents: maxEvents?.value ?? 1_000_000,
      maxBoots: maxBoots?.value ?? 100_000,
      maxLogLines: maxLogLines?.value ?? 1_000_000,
    },
    overlays,
    agents: { update: update?.value ?? true },
    hooks: { deadlineSeconds: hookDeadline?.value ?? 30 },
    api: { group: group?.value ?? "muster", remote: remote?.value ?? false },
  };
}

function readOverlays(section: Section, context: ReadContext): MusterConfig["overlays"] {
  const schedule = section.scalar("schedule", readSchedule);
  const jitter = section.scalar("jitter", durationBetween("0s", "1h"));
  const onDrift = section.scalar("onDrift", oneOf(["repair", "report"]));
  const runtime = section.list("runtime", OVERLAY_NAME) ?? [];
  const names = valuesOf(runtime);
  runtime.forEach(({ value, at }, index) => {
    if (names.indexOf(value) !== index) report(context, at, `${value} is named twice`);
  });
  section.finish();
  return {
    schedule: schedule?.value ?? "*/5 * * * *",
    jitterSeconds: jitter?.value ?? 60,
    onDrift: onDrift?.value ?? "repair",
    runtime: names,
  };
}

function readSubnet(section: Section, context: ReadContext): Ipv4Network | undefined {
  const found = required(section, "subnet", section.scalar("subnet", readNetwork), context);
  if (found === undefined) return undefined;
  const { address, prefix } = found.value;
  const network = networkOf(address, prefix);
  if (prefix < 8 || prefix > 29) {
    report(context, found.at, `a /${prefix} cannot be a boot network`, "use a prefix from /8 to /29");
    return undefined;
  }
  if (network.base !== address) {
    report(
      context,
      found.at,
      `${formatIpv4(address)}/${prefix} is the address of a host`,
      `did you mean ${formatIpv4(network.base)}/${prefix}?`,
    );
  }
  return network;
}

function readPool(
  section: Section,
  subnet: Ipv4Network | undefined,
  taken: readonly (Located<string> | undefined)[],
  context: ReadContext,
): { readonly start: number; readonly end: number } | undefined {
  const range = section.scalar("range", readRange);
  const others = taken.flatMap((located) => {
    const number = readIpv4(located?.value ?? "");
    return located === undefined || number === undefined ? [] : [{ number, key: located.at.key }];
  });
  if (subnet === undefined) return undefined;
  if (range === undefined)
    return section.has("range")
      ? undefined
      : planPool(
          subnet,
          others.map((o) => o.number),
        );
  const { start, end } = range.value;
  const network = `${formatIpv4(subnet.base)}/${subnet.prefix}`;
  if (start > end) {
    report(context, range.at, "the first address is above the last", "write the lower one first");
  }
  for (const address of new Set([start, end])) {
    if (isHostAddress(subnet, address)) continue;
    report(
      context,
      range.at,
      `${formatIpv4(address)} is not an address of a host in network.subnet ${network}`,
      `choose from ${formatIpv4(subnet.base + 1)} to ${formatIpv4(lastAddressOf(subnet) - 1)}`,
    );
  }
  for (const { number, key } of others) {
    if (number < start || number > end) continue;
    report(context, range.at, `holds ${formatIpv4(number)}, which is ${key}`, "leave it out of the range");
  }
  return range.value;
}

/**
 * The pool for a site that names none: the upper half of the network, or the longest piece of it that holds
 * none of the addresses already taken. In 10.77.0.0/24 that is 10.77.0.128-10.77.0.254.
 */
function planPool(
  subnet: Ipv4Network,
  taken: readonly number[],
): { readonly start: number; readonly end: number } {
  const last = lastAddressOf(subnet) - 1;
  const first = subnet.base + 2 ** (31 - subnet.prefix);
  const walls = [first - 1, ...taken.filter((address) => address >= first && address <= last), last + 1].sort(
    (a, b) => a - b,
  );
  const pieces = walls.slice(1).map((wall, index) => ({ start: (walls[index] ?? 0) + 1, end: wall - 1 }));
  return pieces.reduce((best, piece) => (piece.end - piece.start > best.end - best.start ? piece : best));
}

function readPorts(section: Section, context: ReadContext): MusterConfig["ports"] {
  const used = new Map<number, string>();
  const port = (key: keyof typeof DEFAULT_PORTS): number => {
    const found = section.scalar(key, readPort);
    const value = found?.value ?? DEFAULT_PORTS[key];
    const other = used.get(value);
    if (other !== undefined) {
      const at = found?.at ?? { ...section.at, key: `ports.${key}` };
      report(context, at, `port ${value} is already ports.${other}`, "give each service its own port");
    }
    used.set(value, key);
    return value;
  };
  const ports = {
    http: port("http"),
    enrolment: port("enrolment"),
    agents: port("agents"),
    blobs: port("blobs"),
    api: port("api"),
  };
  section.finish();
  return ports;
}

function readPaths(section: Section, host: HostDefaults): MusterConfig["paths"] {
  const state = section.scalar("state", readPath)?.value ?? DEFAULT_STATE_DIRECTORY;
  const paths = {
    state,
    runtime: section.scalar("runtime", readPath)?.value ?? DEFAULT_RUNTIME_DIRECTORY,
    overlays: section.scalar("overlays", readPath)?.value ?? `${state}/overlays`,
    hooks: section.scalar("hooks", readPath)?.value ?? DEFAULT_HOOKS_DIRECTORY,
    ipxe: section.scalar("ipxe", readPath)?.value ?? host.ipxe,
    artifacts: section.scalar("artifacts", readPath)?.value ?? host.artifacts,
  };
  section.finish();
  return paths;
}

function readRule(section: Section, context: ReadContext): ApprovalRule {
  const names = required(section, "names", section.scalar("names", NAME_SET), context);
  if (names !== undefined) checkNodeSet(names, context);
  const macPrefixes = section.list("macPrefixes", readMacPrefix);
  const serials = section.list("serials", SERIAL);
  const network = section.scalar("addresses", readNetwork);
  const image = section.scalar("image", IMAGE_NAME);
  if (!["macPrefixes", "serials", "addresses"].some((condition) => section.has(condition))) {
    report(
      context,
      section.at,
      "has no condition, so every machine on the network would be approved",
      "add macPrefixes, serials or addresses (your network.subnet, if that is what you want)",
    );
  }
  section.finish();
  return {
    names: names?.value ?? "",
    ...(macPrefixes === undefined ? {} : { macPrefixes: valuesOf(macPrefixes) }),
    ...(serials === undefined ? {} : { serials: valuesOf(serials) }),
    ...(network === undefined
      ? {}
      : { addresses: `${formatIpv4(network.value.address)}/${network.value.prefix}` }),
    ...(image === undefined ? {} : { image: image.value }),
  };
}

function checkNodeSet(names: Located<string>, context: ReadContext): void {
  try {
    parseNodeSet(names.value);
  } catch (error) {
    report(context, names.at, errorSentence(error));
  }
}

function checkInside(located: Located<string> | undefined, subnet: Ipv4Network, context: ReadContext): void {
  const number = readIpv4(located?.value ?? "");
  if (located === undefined || number === undefined || isHostAddress(subnet, number)) return;
  report(
    context,
    located.at,
    `${located.value} is not an address of a host in network.subnet ${formatIpv4(subnet.base)}/${subnet.prefix}`,
  );
}

function required<T>(
  section: Section,
  key: string,
  found: Located<T> | undefined,
  context: ReadContext,
): Located<T> | undefined {
  if (found === undefined && !section.has(key)) {
    report(
      context,
      { ...section.at, key: section.at.key === "" ? key : `${section.at.key}.${key}` },
      "is missing",
    );
  }
  return found;
}

function valuesOf<T>(located: readonly Located<T>[] | undefined): readonly T[] {
  return (located ?? []).map(({ value }) => value);
}
