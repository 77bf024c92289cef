import type { NodeName } from "#proto/contract/node-name.ts";
import { parseNodeSet } from "#proto/contract/node-set.ts";

import type { CliContext } from "./cli-context.ts";

/** What only the controller can resolve: groups (@profile:gpu), and wildcards (c*, c00?). */
const ASKS_CONTROLLER = /[@*?]/;

/**
 * The nodes that a node set on the command line names, in its order, whether they exist or not. The controller is asked only when
 * the set has groups or wildcards. Errors: `node-set-invalid`.
 */
export async function resolveNodes(
  { api }: Pick<CliContext, "api">,
  text: string,
): Promise<readonly NodeName[]> {
  if (!ASKS_CONTROLLER.test(text)) return parseNodeSet(text);
  const { names } = await api.get<{ readonly names: readonly NodeName[] }>("/node-sets", { names: text });
  return names;
}
