import { readMacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";

import { readIpv4 } from "../config/ipv4.ts";
import type { Json } from "../fields/fields.ts";
import {
  BOOT_DEVICE,
  type FilePlace,
  findingAt,
  type ImportedFile,
  type ImportedSetting,
  renderValue,
} from "./imported-node.ts";
import {
  DEVICE_OPTIONS,
  type DhcpdHost,
  type DhcpdWalk,
  findDhcpdHosts,
  isDeviceOption,
  leaveOver,
  optionOf,
} from "./find-dhcpd-hosts.ts";
import { type DhcpdStatement, type DhcpdWord, parseDhcpdConf, textOf } from "./parse-dhcpd-conf.ts";
import { BMC_DEVICE, domainOf, type NameSuffixes, readNodeLabel, splitSuffix } from "./read-node-label.ts";

export interface DhcpdChoice {
  /** Only these nodes; absent: all hosts of the file. */
  readonly match?: ReadonlySet<string>;
  /** Hosts that are other devices of a node, or its BMC. */
  readonly suffixes: NameSuffixes;
}

/**
 * What ISC dhcpd's configuration says of nodes. Each host declaration is a node: its name is that of `option host-name`,
 * else its own; MAC, first fixed address, netmask and router (of the host, a group, or the subnet the address is in) are those
 * of the device it boots from. Every other statement is left over, and told.
 */
export function planDhcpdImport(text: string, choice: DhcpdChoice): ImportedFile {
  const { statements, findings } = parseDhcpdConf(text);
  const walk: DhcpdWalk = {
    hosts: [],
    subnets: [],
    usedRouters: new Set(),
    leftOver: [],
    findings: [...findings],
  };
  if (findings.length === 0) findDhcpdHosts(statements, [], walk, 0);
  const nodes = new Map<NodeName, FilePlace & { readonly settings: Map<string, ImportedSetting> }>();
  for (const host of walk.hosts) takeHost(host, choice, walk, nodes);
  for (const { routers } of walk.subnets) {
    if (routers !== undefined && !walk.usedRouters.has(routers)) leaveOver(routers, walk);
  }
  return {
    nodes: [...nodes]
      .sort(([a], [b]) => compareNodeNames(a, b))
      .map(([name, { settings, ...at }]) => ({ ...at, name, settings: [...settings.values()] })),
    findings: walk.findings,
    leftOver: walk.leftOver,
  };
}

/** What a host comes to. */
interface Meant {
  readonly name: NodeName;
  readonly device: string;
}

function takeHost(
  { statement, inherited }: DhcpdHost,
  choice: DhcpdChoice,
  walk: DhcpdWalk,
  nodes: Map<NodeName, FilePlace & { readonly settings: Map<string, ImportedSetting> }>,
): void {
  const { line, column, block = [] } = statement;
  const named = block.map(optionOf).find((option) => option?.name === "host-name")?.values[0];
  const label = named ?? statement.words[1] ?? statement.words[0];
  const meant = meantBy(label, choice);
  const key = textOf(statement.words);
  if (typeof meant === "string") {
    walk.leftOver.push(findingAt(statement, key, `is not taken: ${meant}`));
    return;
  }
  if (domainOf(label.text) !== "") {
    walk.leftOver.push(
      findingAt(
        label,
        label.text,
        `the domain is not taken: the node is ${meant.name}`,
        "network.domain in muster.yaml is the domain of all",
      ),
    );
  }
  const node = nodes.get(meant.name) ?? { line, column, settings: new Map<string, ImportedSetting>() };
  nodes.set(meant.name, node);
  for (const setting of readHost(statement, inherited, meant, walk)) {
    const at = setting.path.join("\0");
    const earlier = node.settings.get(at);
    if (earlier === undefined) node.settings.set(at, setting);
    else if (JSON.stringify(earlier.value) !== JSON.stringify(setting.value)) {
      walk.leftOver.push(
        findingAt(
          setting,
          `${key} ${setting.path.at(-1) ?? ""}`,
          `${renderValue(setting.value)} is not taken: line ${earlier.line} says ${renderValue(earlier.value)} of the same device`,
          "name the other device with --suffix",
        ),
      );
    }
  }
}

function meantBy({ text }: DhcpdWord, { match, suffixes }: DhcpdChoice): Meant | string {
  const label = readNodeLabel(text);
  if ("problem" in label) return label.problem;
  const isOwn = match?.has(label.name) === true;
  const split = isOwn ? undefined : splitSuffix(label.name, suffixes);
  const stem = split === undefined ? undefined : readNodeLabel(split.stem);
  const meant =
    split !== undefined && stem !== undefined && "name" in stem
      ? { name: stem.name, device: split.device }
      : { name: label.name, device: BOOT_DEVICE };
  return match === undefined || match.has(meant.name) ? meant : "it is not in --match";
}

/** The settings of one host; what it says that no field takes is left over. */
function readHost(
  statement: DhcpdStatement,
  inherited: readonly DhcpdStatement[],
  { device }: Meant,
  walk: DhcpdWalk,
): readonly ImportedSetting[] {
  const settings = new Map<string, ImportedSetting>();
  const key = textOf(statement.words);
  const set = (field: string, value: Json, { line, column }: FilePlace): void => {
    const path = device === BMC_DEVICE ? ["bmc", field] : ["devices", device, field];
    settings.set(field, { path, value, line, column });
  };
  for (const one of [...inherited.filter(isDeviceOption), ...(statement.block ?? [])]) {
    const option = optionOf(one);
    const [{ text: kind }, second, third] = one.words;
    if (kind === "hardware" && second?.text === "ethernet" && third !== undefined) {
      readMac(third, device, key, set, walk);
    } else if (kind === "fixed-address" && second !== undefined) readAddresses(one, key, set, walk);
    else if (option !== undefined && isDeviceOption(one)) {
      const field = DEVICE_OPTIONS[option.name] ?? "";
      if (device === BMC_DEVICE && field !== "netmask" && field !== "gateway") {
        // What a group says is for the others in it as well.
        if (!inherited.includes(one)) leaveOver(one, walk);
      } else readOption(field, option.values, key, set, walk);
    } else if (option?.name !== "host-name") leaveOver(one, walk);
  }
  const address = settings.get("address");
  const subnet = walk.subnets.find(
    ({ base, mask }) =>
      address !== undefined && ((readIpv4(renderValue(address.value)) ?? 0) & mask) >>> 0 === base,
  );
  if (subnet !== undefined && !settings.has("netmask")) set("netmask", subnet.netmask.text, subnet.netmask);
  if (subnet?.routers !== undefined) walk.usedRouters.add(subnet.routers);
  const [router] = (subnet?.routers === undefined ? undefined : optionOf(subnet.routers))?.values ?? [];
  if (router !== undefined && !settings.has("gateway")) set("gateway", router.text, router);
  return [...settings.values()];
}

type SetField = (field: string, value: Json, at: FilePlace) => void;

function readMac(word: DhcpdWord, device: string, key: string, set: SetField, walk: DhcpdWalk): void {
  // dhcpd takes single digits as well: 0:1:2:a:b:c
  const padded = word.text.split(":").map((octet) => octet.padStart(2, "0"));
  const mac = readMacAddress(padded.join(":"));
  if (mac === undefined) {
    walk.findings.push(
      findingAt(
        word,
        key,
        `${JSON.stringify(word.text)} is not the MAC address of an interface`,
        "write six bytes in hex",
      ),
    );
  } else if (device === BMC_DEVICE) {
    walk.leftOver.push(findingAt(word, key, `${mac} is not taken: muster needs no MAC of a BMC`));
  } else set("mac", mac, word);
}

function readAddresses({ words }: DhcpdStatement, key: string, set: SetField, walk: DhcpdWalk): void {
  const [first, ...more] = words.slice(1).filter(({ text }) => text !== ",");
  if (first === undefined) return;
  if (readIpv4(first.text) === undefined) {
    walk.leftOver.push(
      findingAt(
        first,
        key,
        `fixed-address ${first.text} is a name, and is not taken`,
        "write the address, or set it in muster",
      ),
    );
  } else set("address", first.text, first);
  for (const word of more) {
    walk.leftOver.push(findingAt(word, key, `${word.text} is not taken: the device has ${first.text}`));
  }
}

function readOption(
  field: string,
  values: readonly DhcpdWord[],
  key: string,
  set: SetField,
  walk: DhcpdWalk,
): void {
  const [first, ...more] = values;
  if (first === undefined) return;
  if (field === "dns") {
    set(
      field,
      values.map(({ text }) => text),
      first,
    );
    return;
  }
  set(field, field === "mtu" && /^\d{1,6}$/.test(first.text) ? Number(first.text) : first.text, first);
  for (const word of more) {
    walk.leftOver.push(findingAt(word, key, `${word.text} is not taken: a device has one ${field}`));
  }
}
