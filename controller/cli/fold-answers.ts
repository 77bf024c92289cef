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
