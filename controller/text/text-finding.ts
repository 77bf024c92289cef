/** Something wrong with a text, and where. Lines and columns count from 1. */
export interface TextFinding {
  /** As it was named on the command line; "-" for standard input. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** "nodes.c001.devices.eno1.mac"; empty for the text as a whole. */
  readonly at: string;
  readonly what: string;
  readonly fix?: string;
}

/** One line each, in the form that compilers use and editors jump to, in the order of the files. */
export function renderTextFindings(findings: readonly TextFinding[]): readonly string[] {
  return findings.map(({ file, line, column, at, what, fix }) =>
    [
      `${file}:${line}:${column}: `,
      at === "" ? "" : `${at}: `,
      what,
      fix === undefined ? "" : `; ${fix}`,
    ].join(""),
  );
}
