import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { parseNodeSet } from "#proto/contract/node-set.ts";
import { networkOf, readIpv4, readIpv4Network } from "../config/ipv4.ts";
import type { ApprovalRule } from "../config/muster-config.ts";

/** The facts approval rules look at. */
export interface ApprovalFacts {
  readonly bootMac: MacAddress;
  readonly serial: string;
  readonly address: string;
}

/** What the rules say about a machine. */
export type Approval =
  | { readonly kind: "none" }
  | { readonly kind: "approve"; readonly name: NodeName; readonly image?: string }
  /** A rule fits, but every name of its pattern is taken. */
  | { readonly kind: "names-exhausted"; readonly names: string };

/** The first rule that fits decides, under the first name of its pattern that no node has. */
export function planApproval(
  rules: readonly ApprovalRule[],
  machine: ApprovalFacts,
  taken: ReadonlySet<string>,
): Approval {
  const rule = rules.find((candidate) => fits(candidate, machine));
  if (rule === undefined) return { kind: "none" };
  const name = parseNodeSet(rule.names).find((candidate) => !taken.has(candidate));
  if (name === undefined) return { kind: "names-exhausted", names: rule.names };
  return { kind: "approve", name, ...(rule.image === undefined ? {} : { image: rule.image }) };
}

function fits(rule: ApprovalRule, machine: ApprovalFacts): boolean {
  const { macPrefixes, serials, addresses } = rule;
  return (
    (macPrefixes === undefined || macPrefixes.some((prefix) => hasPrefix(machine.bootMac, prefix))) &&
    // A machine without a serial number fits no list, not even one with an empty line in it.
    (serials === undefined || (machine.serial !== "" && serials.includes(machine.serial))) &&
    (addresses === undefined || isWithin(machine.address, addresses))
  );
}

/** Prefixes are written as MACs are: "52:54:00", "52-54-00", "525400". An empty one fits nothing. */
function hasPrefix(mac: MacAddress, prefix: string): boolean {
  const digits = prefix.toLowerCase().replaceAll(/[^0-9a-f]/g, "");
  return digits !== "" && mac.replaceAll(":", "").startsWith(digits);
}

function isWithin(address: string, cidr: string): boolean {
  const number = readIpv4(address);
  const network = readIpv4Network(cidr);
  if (number === undefined || network === undefined) return false;
  return networkOf(number, network.prefix).base === networkOf(network.address, network.prefix).base;
}
