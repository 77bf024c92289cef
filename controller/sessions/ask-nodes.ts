import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { DirectiveAction, Directives } from "./open-directives.ts";

/** What one node answered: the lines of its result, or why there is none. */
export type NodeAnswer =
  | { readonly node: NodeName; readonly lines: readonly string[] }
  | { readonly node: NodeName; readonly error: MusterError };

/**
 * Asks many nodes at once, and returns when each has answered or will not; in the order given. `makeAction` is called
 * at the moment a node is asked. A node that fails is an answer; a bug, or the signal, rejects.
 */
export async function askNodes(
  directives: Pick<Directives, "send">,
  nodes: readonly NodeName[],
  makeAction: () => DirectiveAction,
  options: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<readonly NodeAnswer[]> {
  return Promise.all(
    nodes.map(async (node) => {
      try {
        return { node, lines: await directives.send(node, makeAction(), options) };
      } catch (error) {
        options.signal?.throwIfAborted();
        if (error instanceof MusterError) return { node, error };
        throw new Error(`asking ${node}: ${errorSentence(error)}`, { cause: error });
      }
    }),
  );
}
