import type { LogLineView } from "../api/rest/log-routes.ts";
import type { CliContext } from "./cli-context.ts";
import { readLimit } from "./node-commands.ts";
import { printStream } from "./print-stream.ts";
import { printable, renderTime } from "./render-text.ts";

/** `muster node logs`. */
export async function showLogs(
  context: CliContext,
  node: string,
  options: { readonly boot?: string; readonly follow?: true; readonly limit: string },
): Promise<number> {
  const path = `/nodes/${encodeURIComponent(node)}/logs`;
  const query = { boot: options.boot, limit: readLimit(options.limit) };
  const render = openLogRenderer();
  if (options.follow === true) {
    const follow = (signal: AbortSignal): AsyncIterable<LogLineView> =>
      context.api.follow(path, { ...query, follow: true }, signal);
    return printStream(context, follow, render);
  }
  const { lines } = await context.api.get<{ lines: readonly LogLineView[] }>(path, query);
  if (lines.length === 0) {
    context.note(`${node} has said nothing yet${options.boot === undefined ? "" : " in such a boot"}`);
  }
  if (lines.length > 0 || context.output !== "table") {
    await context.print(lines, () => lines.map(render).join(""));
  }
  return 0;
}

/** A line each, with a heading where another boot begins, as journalctl has it. */
function openLogRenderer(): (line: LogLineView) => string {
  let current: string | undefined;
  return ({ at, boot, source, text }) => {
    const heading = boot === current ? "" : `-- boot ${printable(boot)} --\n`;
    current = boot;
    return `${heading}${renderTime(at)}  ${printable(source).padEnd(8)}  ${printable(text)}\n`;
  };
}
