import type { NodeName } from "#proto/contract/node-name.ts";
import { parseNodeSet } from "#proto/contract/node-set.ts";
import { needsInventory } from "#proto/contract/node-set/node-expression.ts";
import { parseNodeExpression } from "#proto/contract/node-set/parse-node-expression.ts";

import type { NodeSetView } from "../api/rest/node-set-routes.ts";
import type { CliContext } from "./cli-context.ts";

/**
 * The nodes that a node set on the command line names, in its order, whether they exist or not. The controller is asked only when
 * the set has groups (@profile:gpu) or wildcards (c*, c00?). Errors: `node-set-invalid`, also for a set that nobody is in now.
 */
export async function resolveNodes(
  { api }: Pick<CliContext, "api">,
  text: string,
): Promise<readonly NodeName[]> {
  if (!needsInventory(parseNodeExpression(text))) return parseNodeSet(text);
  // The controller's own answer, so these are node names.
  const { names } = await api.get<NodeSetView>("/node-sets", { names: text });
  return names as NodeName[];
}
