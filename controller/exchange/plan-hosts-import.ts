import { compareNodeNames } from "#proto/contract/node-set.ts";
import type { NodeName } from "#proto/contract/node-name.ts";

import type { ConfigFinding } from "../config/config-finding.ts";
import { type Ipv4Network, networkOf, readIpv4 } from "../config/ipv4.ts";
import {
  BOOT_DEVICE,
  findingAt,
  type ImportedFile,
  type ImportedSetting,
  renderValue,
} from "./imported-node.ts";
import { type HostsLine, type HostsName, parseHostsFile } from "./parse-hosts-file.ts";
import { addressPath, domainOf, type NameSuffixes, readNodeLabel, splitSuffix } from "./read-node-label.ts";

/** Which lines are nodes; at least one of the first two says it. */
export interface HostsChoice {
  /** Names of nodes. */
  readonly match?: ReadonlySet<string>;
  /** Network that nodes boot in. */
  readonly network?: Ipv4Network;
  /** Names of other devices of a node. */
  readonly suffixes: NameSuffixes;
}

/** The node a line is about, and which of its devices. */
interface Meant {
  readonly node: NodeName;
  readonly device: string;
  readonly name: HostsName;
}

/**
 * What hosts(5) says of nodes: their addresses. A node's own name gives the address of the device it boots from, a name with a
 * known suffix that of another device or of the BMC. Lines about others, names that are no node's, and second addresses are left
 * over.
 */
export function planHostsImport(text: string, choice: HostsChoice): ImportedFile {
  const { lines, findings } = parseHostsFile(text);
  const taken = nodesOf(lines, choice);
  const nodes = new Map<NodeName, { first: HostsLine; settings: Map<string, ImportedSetting> }>();
  const leftOver: ConfigFinding[] = [];
  const domains = new Set<string>();
  for (const line of lines) {
    const meant = meantBy(line, choice, taken);
    if (meant === undefined) {
      leftOver.push(
        findingAt(line, line.names[0].text, `${line.address} is not taken: ${whyNot(line, choice)}`),
      );
      continue;
    }
    const node = nodes.get(meant.node) ?? { first: line, settings: new Map<string, ImportedSetting>() };
    nodes.set(meant.node, node);
    leftOver.push(...takeAddress(line, meant, node.settings), ...unusedNames(line, meant, domains));
  }
  return {
    nodes: [...nodes]
      .sort(([a], [b]) => compareNodeNames(a, b))
      .map(
        ([
          name,
          {
            first: { line, column },
            settings,
          },
        ]) => ({
          name,
          line,
          column,
          settings: [...settings.values()],
        }),
      ),
    findings,
    leftOver,
  };
}

/** Names of the nodes, from the lines that have a node's own name. */
function nodesOf(lines: readonly HostsLine[], choice: HostsChoice): ReadonlySet<NodeName> {
  const nodes = new Set<NodeName>();
  for (const line of lines) {
    if (!isOfNetwork(line, choice)) continue;
    const own = ownName(line, choice);
    if (own !== undefined) nodes.add(own.node);
  }
  return nodes;
}

/** The node whose own name is on the line: the first name that is chosen. */
function ownName({ names }: HostsLine, { match, suffixes }: HostsChoice): Meant | undefined {
  for (const name of match === undefined ? names.slice(0, 1) : names) {
    const label = readNodeLabel(name.text);
    if (!("name" in label)) continue;
    if (match === undefined ? splitSuffix(label.name, suffixes) === undefined : match.has(label.name)) {
      return { node: label.name, device: BOOT_DEVICE, name };
    }
  }
  return undefined;
}

function meantBy(line: HostsLine, choice: HostsChoice, taken: ReadonlySet<NodeName>): Meant | undefined {
  const own = ownName(line, choice);
  if (own !== undefined && taken.has(own.node) && (line.isIpv6 || isOfNetwork(line, choice))) return own;
  for (const name of line.names) {
    const label = readNodeLabel(name.text);
    const split = "name" in label ? splitSuffix(label.name, choice.suffixes) : undefined;
    const stem = split === undefined ? undefined : readNodeLabel(split.stem);
    if (split === undefined || stem === undefined || !("name" in stem)) continue;
    const isNode = taken.has(stem.name) || choice.match?.has(stem.name) === true;
    if (isNode) return { node: stem.name, device: split.device, name };
  }
  return undefined;
}

function isOfNetwork({ address, isIpv6 }: HostsLine, { network, match }: HostsChoice): boolean {
  if (network === undefined) return true;
  // Only IPv4 networks can be given: which IPv6 lines are nodes is told by their names.
  if (isIpv6) return match !== undefined;
  const number = readIpv4(address);
  return number !== undefined && networkOf(number, network.prefix).base === network.base;
}

function whyNot(line: HostsLine, choice: HostsChoice): string {
  const own = ownName(line, choice);
  if (own !== undefined) {
    return line.isIpv6 ? "no line gives the node an IPv4 address of --network" : "it is outside of --network";
  }
  if (choice.match !== undefined) return "none of its names is in --match";
  const label = readNodeLabel(line.names[0].text);
  return "problem" in label ? label.problem : "its name has a suffix of --suffix, and there is no such node";
}

function takeAddress(
  line: HostsLine,
  { node, device }: Meant,
  settings: Map<string, ImportedSetting>,
): readonly ConfigFinding[] {
  const path = addressPath(device, line.isIpv6);
  if (path === undefined) {
    return [findingAt(line, node, `${line.address} is not taken: a BMC has no IPv6 address in muster`)];
  }
  const key = path.join("\0");
  const earlier = settings.get(key);
  if (earlier === undefined) {
    settings.set(key, { path, value: line.address, line: line.line, column: line.column });
    return [];
  }
  if (earlier.value === line.address) return [];
  return [
    findingAt(
      line,
      node,
      `${line.address} is not taken: line ${earlier.line} gives the same device ${renderValue(earlier.value)}`,
      "choose with --network, or name the other device with --suffix",
    ),
  ];
}

/** Names that are kept nowhere; each domain is told once. */
function unusedNames(line: HostsLine, meant: Meant, domains: Set<string>): readonly ConfigFinding[] {
  return line.names.flatMap((name) => {
    const label = readNodeLabel(name.text);
    const isSame =
      "name" in label &&
      name.text.toLowerCase().split(".")[0] === meant.name.text.toLowerCase().split(".")[0];
    if (!isSame)
      return [findingAt(name, name.text, `is not taken: a node has no aliases, and this is ${meant.node}`)];
    const domain = domainOf(name.text);
    if (domain === "" || domains.has(domain)) return [];
    domains.add(domain);
    return [
      findingAt(
        name,
        domain,
        "the domain is not taken, here and below: nodes have one-word names",
        "network.domain in muster.yaml is the domain of all",
      ),
    ];
  });
}
