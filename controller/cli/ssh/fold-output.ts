import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";

/** What came of one node. */
export interface NodeOutput {
  readonly node: string;
  /** Of the command; absent when it did not get to its end. */
  readonly exitCode?: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Why the command did not get to its end, or was never begun. */
  readonly failure?: string;
}

/** Nodes with the same text, in the order of the first of each. */
export interface FoldedText {
  readonly nodes: string;
  readonly count: number;
  readonly text: string;
}

/** Puts nodes together that wrote the same; nodes that wrote nothing are left out. */
export function foldTexts(
  outputs: readonly { readonly node: string; readonly text: string }[],
): readonly FoldedText[] {
  const sorted = outputs
    .filter(({ text }) => text !== "")
    .toSorted((a, b) => compareNodeNames(a.node, b.node));
  return [...Map.groupBy(sorted, ({ text }) => text)].map(([text, members]) => ({
    nodes: foldNodeSet(members.map(({ node }) => node)),
    count: members.length,
    text,
  }));
}

/** As `clush -b` and `dshbak -c` show it: the nodes between two rules, and below what all of them wrote. */
export function renderFolded(folded: readonly FoldedText[]): string {
  const rule = "-".repeat(15);
  return folded
    .map(({ nodes, count, text }) => {
      const head = count === 1 ? nodes : `${nodes} (${count})`;
      return `${rule}\n${head}\n${rule}\n${text.endsWith("\n") ? text : `${text}\n`}`;
    })
    .join("");
}

/** Lines about the nodes where not all is well: "c[003,007]: ssh: connect to port 22: Connection timed out". */
export function renderTroubles(outputs: readonly NodeOutput[]): readonly string[] {
  const troubles = outputs.map(({ node, exitCode, failure }) => ({
    node,
    text: failure ?? (exitCode === undefined || exitCode === 0 ? "" : `exited with ${exitCode}`),
  }));
  return foldTexts(troubles).map(({ nodes, text }) => `${nodes}: ${text}`);
}
