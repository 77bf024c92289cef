import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";

/** Nodes that gave the same answer. */
export interface FoldedAnswer {
  /** "c[001-003,007]" */
  readonly nodes: string;
  readonly count: number;
  readonly text: string;
}

/** One entry for each different text, by the first of its nodes: `c[003,007]`: `no session`. */
export function foldAnswers(
  answers: readonly { readonly node: string; readonly text: string }[],
): readonly FoldedAnswer[] {
  const byText = new Map<string, string[]>();
  for (const { node, text } of answers) {
    const nodes = byText.get(text);
    if (nodes === undefined) byText.set(text, [node]);
    else nodes.push(node);
  }
  return [...byText]
    .map(([text, nodes]) => ({ nodes: nodes.toSorted(compareNodeNames), text }))
    .toSorted((a, b) => compareNodeNames(a.nodes[0] ?? "", b.nodes[0] ?? ""))
    .map(({ nodes, text }) => ({ nodes: foldNodeSet(nodes), count: nodes.length, text }));
}

/** Why a node did not do what it was asked, and what to do. */
interface NodeFailure {
  readonly node: string;
  readonly what: string;
  readonly fix?: string | undefined;
}

/** Stands for the name of each node while texts are compared; in no text, as it cannot be printed. */
const OWN_NAME = "\0";

/**
 * Failures as lines for people, nodes with the same one together: "c[003,007]: no session", and below it the remedy,
 * with all of their names where it has one.
 */
export function foldFailures(failures: readonly NodeFailure[]): readonly string[] {
  const answers = failures.map(({ node, what, fix }) => ({
    node,
    text: (fix === undefined ? what : `${what}\n  fix: ${fix}`).replaceAll(
      new RegExp(`(?<![\\w-])${node.replaceAll(".", "\\.")}(?![\\w-])`, "g"),
      OWN_NAME,
    ),
  }));
  return foldAnswers(answers).map(({ nodes, text }) => `${nodes}: ${text.replaceAll(OWN_NAME, nodes)}`);
}
