import { errorSentence } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { foldNodeSet, parseNodeSet } from "#proto/contract/node-set.ts";

import type { ConfigFinding } from "../config/config-finding.ts";
import { type FilePlace, findingAt } from "./imported-node.ts";

/** An attribute of one node. */
export interface GendersAttribute extends FilePlace {
  readonly name: string;
  /** With %n and %% replaced; undefined for an attribute without one. */
  readonly value: string | undefined;
}

/** A node with all its attributes, in the order of the file. */
export interface GendersNode extends FilePlace {
  readonly name: NodeName;
  readonly attributes: readonly GendersAttribute[];
}

/**
 * Reads a genders file as libgenders 1.22 does: a list of nodes, blanks, attributes without blanks; several lines of one
 * node add up; `#` starts a comment anywhere; there are no continuation lines. What `nodeattr --parse-check` refuses is a
 * finding: blanks in the attributes, an attribute twice for a node, "a=" without a value, names with a domain.
 */
export function parseGenders(text: string): {
  readonly nodes: readonly GendersNode[];
  readonly findings: readonly ConfigFinding[];
} {
  const nodes = new Map<NodeName, FilePlace & { readonly attributes: Map<string, GendersAttribute> }>();
  const findings: ConfigFinding[] = [];
  const twice = new Map<GendersAttribute, NodeName[]>();
  for (const [index, whole] of text.split("\n").entries()) {
    const [said = ""] = whole.split("#", 1);
    const [hosts, attributes, extra] = [...said.matchAll(/[^\s\uFEFF]+/g)];
    if (hosts === undefined) continue;
    const at = { line: index + 1, column: hosts.index + 1 };
    const names = readHosts(hosts[0], at, findings);
    if (extra !== undefined) {
      const place = { line: at.line, column: extra.index + 1 };
      findings.push(
        findingAt(place, extra[0], "blanks end the attributes", "put commas, and no blanks, between"),
      );
    }
    const listed = attributes === undefined ? [] : readAttributes(attributes, at.line, findings);
    for (const name of names) {
      const node = nodes.get(name) ?? { ...at, attributes: new Map() };
      nodes.set(name, node);
      for (const attribute of listed) addAttribute(name, attribute, node.attributes, twice);
    }
  }
  for (const [attribute, names] of twice) {
    const what = `${foldNodeSet(names)} has this attribute already from an earlier place`;
    findings.push(findingAt(attribute, attribute.name, what, "delete one of them"));
  }
  return {
    nodes: [...nodes].map(([name, { line, column, attributes }]) => ({
      name,
      line,
      column,
      attributes: [...attributes.values()],
    })),
    findings,
  };
}

function readHosts(text: string, at: FilePlace, findings: ConfigFinding[]): readonly NodeName[] {
  // libgenders takes "a,,b" for "a,b".
  const list = text.toLowerCase().replace(/,{2,}/g, ",").replace(/^,|,$/g, "");
  try {
    return parseNodeSet(list);
  } catch (error) {
    const fix = "names are one word of a-z, 0-9 and '-': without a domain";
    findings.push(findingAt(at, text, errorSentence(error), fix));
    return [];
  }
}

function readAttributes(
  match: RegExpExecArray,
  line: number,
  findings: ConfigFinding[],
): readonly GendersAttribute[] {
  const attributes: GendersAttribute[] = [];
  let column = match.index + 1;
  for (const word of match[0].split(",")) {
    const at = { line, column };
    column += word.length + 1;
    const [, name = "", sign, value] = /^([^=]*)(=)?(.*)$/s.exec(word) ?? [];
    if (name === "") findings.push(findingAt(at, word, "an attribute has no name", "delete a comma"));
    else if (sign === undefined) attributes.push({ ...at, name, value: undefined });
    else if (value === undefined || value === "") {
      findings.push(findingAt(at, name, "has no value behind its =", `write ${name} or ${name}=VALUE`));
    } else attributes.push({ ...at, name, value });
  }
  return attributes;
}

function addAttribute(
  node: NodeName,
  attribute: GendersAttribute,
  into: Map<string, GendersAttribute>,
  twice: Map<GendersAttribute, NodeName[]>,
): void {
  const { name, value } = attribute;
  if (into.has(name)) {
    const known = twice.get(attribute);
    if (known === undefined) twice.set(attribute, [node]);
    else known.push(node);
    return;
  }
  into.set(name, value === undefined ? attribute : { ...attribute, value: substitute(value, node) });
}

/** "%n" is the node's name, "%%" a per cent sign; any other stays as it is. */
function substitute(value: string, node: NodeName): string {
  return value.replace(/%([n%])/g, (_, character: string) => (character === "n" ? node : "%"));
}
