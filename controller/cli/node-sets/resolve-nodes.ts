import type { NodeName } from "#proto/contract/node-name.ts";
import { evaluateNodeSet } from "#proto/contract/node-set/evaluate-node-set.ts";
import { needsInventory } from "#proto/contract/node-set/node-expression.ts";
import { nodeSetEmpty } from "#proto/contract/node-set/node-set-error.ts";
import { parseNodeExpression } from "#proto/contract/node-set/parse-node-expression.ts";

import type { NodeSetView } from "../../api/rest/node-set-routes.ts";
import type { CliContext } from "../cli-context.ts";

/**
 * The nodes that a node set on the command line names, in its order, whether they exist or not. The controller is asked only when
 * the set has groups (@profile:gpu) or wildcards (c*, c00?). Errors: `node-set-invalid`, also for a set that nobody is in now.
 */
export async function resolveNodes(
  context: Pick<CliContext, "api">,
  text: string,
): Promise<readonly NodeName[]> {
  const names = await resolveAnyNodes(context, text);
  if (names.length === 0) throw nodeSetEmpty(text);
  return names;
}

/** As {@link resolveNodes}, for what has nothing to do when nobody is in the set. */
export async function resolveAnyNodes(
  { api }: Pick<CliContext, "api">,
  text: string,
): Promise<readonly NodeName[]> {
  const expression = parseNodeExpression(text);
  if (!needsInventory(expression)) return evaluateNodeSet(expression, noGroups);
  // The controller's own answer, so these are node names.
  const { names } = await api.get<NodeSetView>("/node-sets", { names: text });
  return names as NodeName[];
}

function noGroups(): never {
  throw new Error("a set that needs the controller was not sent to it");
}
