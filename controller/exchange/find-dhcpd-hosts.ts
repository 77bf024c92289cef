import type { ConfigFinding } from "../config/config-finding.ts";
import { readIpv4 } from "../config/ipv4.ts";
import { findingAt } from "./imported-node.ts";
import { type DhcpdStatement, type DhcpdWord, textOf } from "./parse-dhcpd-conf.ts";

/** Declarations that only give their parameters to what is in them. */
const SCOPES = new Set(["group", "subnet", "shared-network", "pool"]);
/** Deeper than any site's file, and well within the stack. */
const MAX_DEPTH = 200;
const BOOTS = "muster itself tells nodes what to boot";

/** Options of a host, or of a group around it, that are fields of a device. */
export const DEVICE_OPTIONS: Readonly<Record<string, string>> = {
  "subnet-mask": "netmask",
  routers: "gateway",
  "interface-mtu": "mtu",
  "domain-name-servers": "dns",
};

interface DhcpdSubnet {
  readonly base: number;
  readonly mask: number;
  readonly netmask: DhcpdWord;
  /** `option routers` of the subnet. */
  readonly routers: DhcpdStatement | undefined;
}

/** A host declaration. */
export interface DhcpdHost {
  readonly statement: DhcpdStatement;
  /** Parameters of the groups around it, inner last. */
  readonly inherited: readonly DhcpdStatement[];
}

/** What was found so far. */
export interface DhcpdWalk {
  readonly hosts: DhcpdHost[];
  readonly subnets: DhcpdSubnet[];
  /** Of subnets that a node is in. */
  readonly usedRouters: Set<DhcpdStatement>;
  readonly leftOver: ConfigFinding[];
  readonly findings: ConfigFinding[];
}

/** Finds the hosts and subnets among statements; everything else is left over. `inherited`: parameters of the groups around. */
export function findDhcpdHosts(
  statements: readonly DhcpdStatement[],
  inherited: readonly DhcpdStatement[],
  walk: DhcpdWalk,
  depth: number,
): void {
  for (const statement of statements) {
    const { words, block } = statement;
    const [{ text: kind }] = words;
    if (block === undefined) {
      if (depth === 0) leaveOver(statement, walk);
      continue;
    }
    if (kind === "host") walk.hosts.push({ statement, inherited });
    else if (!SCOPES.has(kind)) leaveOver(statement, walk);
    else if (depth > MAX_DEPTH) {
      walk.findings.push(findingAt(statement, kind, `more than ${MAX_DEPTH} declarations within each other`));
    } else {
      if (kind === "subnet") readSubnet(statement, walk);
      const isGroup = kind === "group";
      for (const one of block) {
        const isTaken =
          (isGroup && isDeviceOption(one)) || (kind === "subnet" && optionOf(one)?.name === "routers");
        if (one.block === undefined && !isTaken) leaveOver(one, walk);
      }
      const given = isGroup ? block.filter((one) => one.block === undefined) : [];
      findDhcpdHosts(block, [...inherited, ...given], walk, depth + 1);
    }
  }
}

/** Tells that a statement is not taken. */
export function leaveOver(statement: DhcpdStatement, walk: DhcpdWalk): void {
  const { words, block } = statement;
  const [{ text: kind }] = words;
  const what =
    kind === "include"
      ? "this file is not read"
      : kind === "filename" || kind === "next-server"
        ? `is not taken: ${BOOTS}`
        : "is not taken";
  const fix = kind === "include" ? `import it too: muster import dhcpd ${words[1]?.text ?? ""}` : undefined;
  walk.leftOver.push(
    findingAt(statement, `${textOf(words)}${block === undefined ? "" : " {...}"}`, what, fix),
  );
}

function readSubnet({ words, block }: DhcpdStatement, walk: DhcpdWalk): void {
  const [, address, , netmask] = words;
  const base = readIpv4(address?.text ?? "");
  const mask = readIpv4(netmask?.text ?? "");
  if (base === undefined || mask === undefined || netmask === undefined) {
    walk.findings.push(
      findingAt(words[0], textOf(words), "is no subnet", "write subnet ADDRESS netmask MASK"),
    );
    return;
  }
  const routers = block?.find((one) => optionOf(one)?.name === "routers");
  walk.subnets.push({ base, mask, netmask, routers });
}

/** `option NAME VALUE, VALUE`. */
export function optionOf({
  words,
  block,
}: DhcpdStatement): { readonly name: string; readonly values: readonly DhcpdWord[] } | undefined {
  const [{ text: kind }, name, ...values] = words;
  if (kind !== "option" || name === undefined || block !== undefined) return undefined;
  return { name: name.text, values: values.filter(({ text }) => text !== ",") };
}

/** Whether a statement is one of {@link DEVICE_OPTIONS}. */
export function isDeviceOption(statement: DhcpdStatement): boolean {
  const option = optionOf(statement);
  return option !== undefined && Object.hasOwn(DEVICE_OPTIONS, option.name);
}
