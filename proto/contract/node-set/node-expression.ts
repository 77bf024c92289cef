/** How an operand changes what stands to its left. ClusterShell's: union, difference, intersection, symmetric difference. */
export type NodeSetOperator = "," | "!" | "&" | "^";

/** Numbers of a bracket: 001-064, 0-10/2, or 7 (then first and last are the same). */
export interface NumberRange {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  /** Digits of the first number as it was written: shorter numbers are filled up with zeros. */
  readonly width: number;
}

/** A piece of a name: text as it is, or the numbers of a bracket. */
export type NamePart = string | readonly NumberRange[];

/** One operand, with the place (from 0) at which it begins in the text. */
export type NodeSetOperand =
  /** c[001-064]; with `hasWildcards` (c*, c00?) it stands for those nodes there are that look like it. */
  | {
      readonly kind: "pattern";
      readonly at: number;
      readonly parts: readonly NamePart[];
      readonly hasWildcards: boolean;
    }
  /** @SOURCE or @SOURCE:NAME. */
  | {
      readonly kind: "group";
      readonly at: number;
      readonly source: string;
      readonly name: readonly NamePart[] | undefined;
    }
  /** What stands in parentheses. */
  | { readonly kind: "nested"; readonly at: number; readonly steps: readonly NodeSetStep[] };

export interface NodeSetStep {
  /** Of the first step always ",". */
  readonly operator: NodeSetOperator;
  readonly operand: NodeSetOperand;
}

/** A node set as it was written: worked off from left to right, no operator before another. */
export interface NodeExpression {
  /** For errors. */
  readonly text: string;
  readonly steps: readonly NodeSetStep[];
}

/** Whether only somebody who knows the nodes there are can evaluate it: it has groups or wildcards. */
export function needsInventory({ steps }: { readonly steps: readonly NodeSetStep[] }): boolean {
  return steps.some(({ operand }) =>
    operand.kind === "nested" ? needsInventory(operand) : operand.kind === "group" || operand.hasWildcards,
  );
}
