/** Something wrong with a configuration file, and where. Lines and columns count from 1. */
export interface ConfigFinding {
  readonly line: number;
  readonly column: number;
  /** The key, dotted: "dhcp.range", "enrolment.rules[0].names". Empty for the document as a whole. */
  readonly key: string;
  readonly what: string;
  readonly fix?: string;
}

/**
 * Findings in the order of the file, one line each, in the form compilers use and editors jump to:
 *
 * muster.yaml:12:5: dhcp.range: 10.78.0.1 is outside network.subnet 10.77.0.0/24; choose addresses inside it
 */
export function renderConfigFindings(file: string, findings: readonly ConfigFinding[]): readonly string[] {
  return findings
    .toSorted((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, key, what, fix }) =>
      [
        `${file}:${line}:${column}: `,
        key === "" ? "" : `${key}: `,
        what,
        fix === undefined ? "" : `; ${fix}`,
      ].join(""),
    );
}
