import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

/** `node-unknown` for these names. */
export function unknownNodes(names: readonly string[]): MusterError {
  return new MusterError({
    code: "node-unknown",
    what: `not in the inventory: ${foldNodeSet(names)}`,
    fix: "`muster node list` shows the nodes there are",
  });
}
