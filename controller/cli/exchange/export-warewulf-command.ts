import { renderNodesConf } from "../../exchange/warewulf/render-nodes-conf.ts";
import type { CliContext } from "../cli-context.ts";
import { fetchState } from "../changes/commit-changes.ts";
import { printable, renderCount } from "../output/render-text.ts";
import { showLateProgress } from "../output/show-late-progress.ts";

/** Kinds of things that are shown by themselves; of more the file's comments tell. */
const SHOWN = 10;

/** `muster export warewulf`: nodes.conf on standard output; what is not in it is counted on standard error. */
export async function exportWarewulf(
  context: CliContext,
  options: { readonly secrets?: true },
): Promise<number> {
  await using progress = showLateProgress(context);
  progress.say("asking the controller");
  const { nodes, profiles } = await fetchState(context, options.secrets === true ? { secrets: true } : {});
  const { text, left } = renderNodesConf([...profiles, ...nodes]);
  progress.end();
  if (context.output === "table") context.process.out(text);
  else await context.print({ nodesConf: text, left }, () => text);
  const counts = new Map<string, number>();
  for (const { path, why } of left) {
    const key = `${path}: ${why}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  for (const [what, count] of [...counts].slice(0, SHOWN)) {
    context.note(printable(`${what} (${renderCount(count, "record")})`));
  }
  if (left.length > 0) {
    context.note(
      `${renderCount(left.length, "thing")} not in nodes.conf; comments in it say which and where`,
    );
  }
  return 0;
}
