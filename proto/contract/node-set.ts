import { MusterError } from "./muster-error.ts";
import type { NodeName } from "./node-name.ts";
import { evaluateNodeSet } from "./node-set/evaluate-node-set.ts";
import { nodeSetEmpty } from "./node-set/node-set-error.ts";
import { parseNodeExpression } from "./node-set/parse-node-expression.ts";

export { compareNodeNames } from "./node-set/compare-node-names.ts";
export { foldNodeSet } from "./node-set/fold-node-set.ts";
export { MAX_NODE_SET_SIZE } from "./node-set/node-set-error.ts";

/**
 * Reads a node set that needs nobody who knows the nodes, and expands it in the order written; a name given twice counts
 * once, at its first place. See {@link parseNodeExpression} for what can be written.
 *
 * `c[001-003,010],login` : c001 c002 c003 c010 login. `r[1-2]n[01-02]` : r1n01 r1n02 r2n01 r2n02.
 * `c[0-10/5]` : c0 c5 c10. `c[1-4]!c2` : c1 c3 c4. The digits of a range's first number set the width: `[098-101]`, `[8-11]`.
 *
 * Throws `node-set-invalid`, naming the column (from 1), for anything else, for a set of no names, and for groups (`@rack1`)
 * and wildcards.
 */
export function parseNodeSet(text: string): readonly NodeName[] {
  const names = evaluateNodeSet(parseNodeExpression(text), refuseGroups);
  if (names.length === 0) throw nodeSetEmpty(text);
  return names;
}

function refuseGroups(): never {
  throw new MusterError({
    code: "node-set-invalid",
    what: "groups (@NAME) and wildcards have no meaning here: only the controller knows them",
    fix: "name the nodes themselves",
  });
}
