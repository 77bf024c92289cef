import { isIP } from "node:net";

import type { ConfigFinding } from "../config/config-finding.ts";
import { type FilePlace, findingAt } from "./imported-node.ts";

/** A name in the file, as written. */
export interface HostsName extends FilePlace {
  readonly text: string;
}

/** One line of hosts(5) that says something. */
export interface HostsLine extends FilePlace {
  readonly address: string;
  readonly isIpv6: boolean;
  /** The canonical name and its aliases. */
  readonly names: readonly [HostsName, ...HostsName[]];
}

/** Reads hosts(5): an address and names on each line, `#` starts a comment. Lines that cannot be read are findings. */
export function parseHostsFile(text: string): {
  readonly lines: readonly HostsLine[];
  readonly findings: readonly ConfigFinding[];
} {
  const lines: HostsLine[] = [];
  const findings: ConfigFinding[] = [];
  for (const [index, whole] of text.split("\n").entries()) {
    const [said = ""] = whole.split("#", 1);
    const [address, first, ...more] = wordsOf(said, index + 1);
    if (address === undefined) continue;
    const family = isIP(address.text);
    if (family === 0) {
      findings.push(
        findingAt(
          address,
          "",
          `${JSON.stringify(address.text)} is no IP address`,
          "write ADDRESS NAME [ALIAS...]",
        ),
      );
    } else if (first === undefined) {
      findings.push(
        findingAt(address, "", `${address.text} has no name`, "write its name behind it, or delete the line"),
      );
    } else {
      const { line, column } = address;
      lines.push({ line, column, address: address.text, isIpv6: family === 6, names: [first, ...more] });
    }
  }
  return { lines, findings };
}

function wordsOf(said: string, line: number): readonly HostsName[] {
  // A byte order mark is no blank to hosts(5), and no part of an address either.
  return [...said.matchAll(/[^\s\uFEFF]+/g)].map((match) => ({
    line,
    column: match.index + 1,
    text: match[0],
  }));
}
