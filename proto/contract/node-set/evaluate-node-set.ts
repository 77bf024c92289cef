import { MusterError } from "../muster-error.ts";
import type { NodeName } from "../node-name.ts";
import { expandName, expandNodePattern, isWithoutRepeats, matchWildcards } from "./expand-node-pattern.ts";
import type { NodeExpression, NodeSetOperand, NodeSetStep } from "./node-expression.ts";
import { MAX_NODE_SET_SIZE, nodeSetInvalid, nodeSetTooLarge } from "./node-set-error.ts";

/**
 * The nodes of a group: `@profile:gpu` asks for ("profile", "gpu"), `@up` for ("up", undefined), and `@all`, `@*` and wildcards
 * for ("all", undefined). Throws a MusterError for a group there is not; the column is added to it.
 */
export type NodeGroups = (source: string, name: string | undefined) => Iterable<NodeName>;

/**
 * The names of a node set, in the order in which they are written (in that of the group within a group); each once. It can
 * be empty: the operators leave nothing, or a group has nobody. Throws `node-set-invalid`, naming the column (from 1).
 */
export function evaluateNodeSet(expression: NodeExpression, groups: NodeGroups): readonly NodeName[] {
  const { text, steps } = expression;
  const [only, ...more] = steps;
  // Half of the time of expanding 100,000 names is looking whether one is there already.
  if (only?.operand.kind === "pattern" && more.length === 0 && !only.operand.hasWildcards) {
    const { at, parts } = only.operand;
    if (isWithoutRepeats(parts)) return expandNodePattern(text, at, parts);
  }
  return [...evaluateSteps(text, steps, groups)];
}

function evaluateSteps(text: string, steps: readonly NodeSetStep[], groups: NodeGroups): Set<NodeName> {
  let names = new Set<NodeName>();
  for (const { operator, operand } of steps) {
    const right = namesOf(text, operand, groups);
    switch (operator) {
      case ",":
        for (const name of right) names.add(name);
        if (names.size > MAX_NODE_SET_SIZE) throw nodeSetTooLarge(text, operand.at);
        break;
      case "!":
        for (const name of right) names.delete(name);
        break;
      case "&": {
        const common = new Set(right);
        names = new Set([...names].filter((name) => common.has(name)));
        break;
      }
      case "^":
        // Each name of the right once: twice would bring it back.
        for (const name of new Set(right)) if (!names.delete(name)) names.add(name);
        break;
      default:
        operator satisfies never;
    }
  }
  return names;
}

function namesOf(text: string, operand: NodeSetOperand, groups: NodeGroups): Iterable<NodeName> {
  const { kind, at } = operand;
  if (kind === "nested") return evaluateSteps(text, operand.steps, groups);
  if (kind === "pattern") {
    if (!operand.hasWildcards) return expandNodePattern(text, at, operand.parts);
    return matchWildcards(text, at, operand.parts, askGroup(text, at, groups, "all", undefined));
  }
  const { source, name } = operand;
  if (name === undefined) return askGroup(text, at, groups, source === "*" ? "all" : source, undefined);
  const names = new Set<NodeName>();
  for (const one of expandName(text, at, name)) {
    for (const node of askGroup(text, at, groups, source, one)) names.add(node);
  }
  return names;
}

/** The nodes of a group; what is wrong with it gets its column. */
function askGroup(
  text: string,
  at: number,
  groups: NodeGroups,
  ...[source, name]: Parameters<NodeGroups>
): readonly NodeName[] {
  try {
    return [...groups(source, name)];
  } catch (error) {
    if (!(error instanceof MusterError)) throw error;
    throw nodeSetInvalid(text, at, error.message, error.fix);
  }
}
