import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { ClearedAlerts, RevocationResult } from "../../api/rest/identity-routes.ts";
import type { NodeView } from "../../api/rest/schemas.ts";
import { isConfirmed } from "../ask-confirmation.ts";
import type { CliContext } from "../cli-context.ts";
import { renderCount } from "../output/render-text.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

/** `muster node revoke`. */
export async function revokeNodes(
  context: CliContext,
  nodeset: string,
  options: { readonly message?: string; readonly yes?: true },
): Promise<number> {
  // Once: a group may have others in it by the time the question is answered.
  const folded = foldNodeSet(await resolveNodes(context, nodeset));
  const { nodes } = await context.api.get<{ nodes: readonly NodeView[] }>("/nodes", { names: folded });
  const running = nodes.filter((node) => node.status.state === "ready").length;
  const warning = running === 0 ? "" : `, ${running} of them running`;
  const question = `Revoke the identity of ${renderCount(nodes.length, "node")} ${folded}${warning}?`;
  if (options.yes !== true && !(await isConfirmed(context, question))) return 1;
  const body = { names: folded, ...(options.message === undefined ? {} : { reason: options.message }) };
  const result = await context.api.send<RevocationResult>("POST", "/nodes/revoke", body);
  if (context.output !== "table") await context.print(result, () => "");
  if (result.revoked.length > 0) {
    context.note(
      `revoked ${renderCount(result.revoked.length, "identity", "identities")}: ${fold(result.revoked)}`,
    );
  }
  if (result.without.length > 0) context.note(`${fold(result.without)}: no identity to revoke`);
  return 0;
}

/** `muster node clear-alert`. */
export async function clearAlerts(context: CliContext, nodeset: string): Promise<number> {
  const names = foldNodeSet(await resolveNodes(context, nodeset));
  const result = await context.api.send<ClearedAlerts>("POST", "/nodes/clear-alerts", { names });
  if (context.output !== "table") await context.print(result, () => "");
  context.note(
    result.cleared.length === 0
      ? `no alert on ${names}`
      : `cleared ${renderCount(result.cleared.length, "alert")}: ${fold(result.cleared)}`,
  );
  return 0;
}

function fold(names: readonly string[]): string {
  return foldNodeSet(names);
}
