import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { NodeList } from "../../api/rest/schemas.ts";
import type { CliContext } from "../cli-context.ts";
import { foldAnswers } from "../output/fold-answers.ts";
import {
  isRestartOver,
  planRestartProgress,
  planRestartVerdict,
  type RestartingNode,
  type RestartProgress,
} from "./plan-reboot-wait.ts";
import { showRestart } from "./show-restart.ts";

/** How the wait for one node ended. */
export interface RestartResult {
  readonly node: string;
  readonly isReady: boolean;
  readonly text: string;
}

/** How often the controller is asked; a list of thousands of nodes costs it something. */
const POLL_MS = 1000;
const POLL_MANY_MS = 3000;
const MANY = 500;

/**
 * Follows nodes until each is ready in another boot, or has failed for good, or the time is over. A controller that is
 * away for a while is waited for. What did not become ready is told on standard error, folded.
 */
export async function waitForRestart(
  context: CliContext,
  nodes: readonly RestartingNode[],
  timeoutSeconds: number,
): Promise<readonly RestartResult[]> {
  const { process } = context;
  const names = foldNodeSet(nodes.map(({ node }) => node));
  const startedMs = process.now().getTime();
  const since = new Map<string, { readonly phase: string; readonly ms: number }>();
  const display = await showRestart(
    context,
    nodes.map(({ node }) => node),
  );
  let progress: readonly RestartProgress[] = nodes.map((node) => ({
    node: node.node,
    phase: "going-down",
    text: "going down",
  }));
  try {
    for (;;) {
      const list = await context.api.get<NodeList>("/nodes", { names }).catch(() => undefined);
      const nowMs = process.now().getTime();
      if (list !== undefined) {
        const byName = new Map(list.nodes.map(({ name, status }) => [name, status]));
        progress = nodes.map((node) => planRestartProgress(node, byName.get(node.node)));
        display.show(progress);
      }
      for (const { node, phase } of progress) {
        if (since.get(node)?.phase !== phase) since.set(node, { phase, ms: nowMs });
      }
      const timed = progress.map((one) => ({ ...one, sinceMs: since.get(one.node)?.ms ?? nowMs }));
      if (isRestartOver(timed, nowMs) || nowMs - startedMs >= timeoutSeconds * 1000) break;
      await process.wait(nodes.length > MANY ? POLL_MANY_MS : POLL_MS);
    }
  } finally {
    await display.end();
  }
  const waited = timeoutSeconds % 60 === 0 ? `${timeoutSeconds / 60} min` : `${timeoutSeconds} s`;
  const results = progress.map((one) => ({
    node: one.node,
    isReady: one.phase === "ready",
    text: planRestartVerdict(one, waited),
  }));
  const failed = results.filter(({ isReady }) => !isReady);
  for (const { nodes: folded, text } of foldAnswers(failed)) context.note(`${folded}: ${text}`);
  context.note(`${results.length - failed.length} of ${results.length} ready`);
  return results;
}
