import { MusterError } from "#proto/contract/muster-error.ts";

import type { LogLineView } from "../../api/rest/log-routes.ts";
import type { CliContext } from "../cli-context.ts";
import { readPositive } from "../read-number.ts";
import { printStream } from "../output/print-stream.ts";
import { printable, renderTime } from "../output/render-text.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

/** `muster node logs`. */
export async function showLogs(
  context: CliContext,
  nodeset: string,
  options: { readonly boot?: string; readonly follow?: true; readonly limit: string },
): Promise<number> {
  const node = await readName(context, nodeset);
  const path = `/nodes/${encodeURIComponent(node)}/logs`;
  const query = { boot: readBoot(options.boot), limit: readPositive("--limit", options.limit) };
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

async function readName(context: CliContext, text: string): Promise<string> {
  const [name, ...others] = await resolveNodes(context, text);
  if (name !== undefined && others.length === 0) return name;
  throw new MusterError({
    code: "argument-invalid",
    what: `logs are of one node; ${text} are ${others.length + 1}`,
    fix: name === undefined ? "name a node" : `for example muster node logs ${name}`,
  });
}

/** An id or how it begins: muster node boots shows them. */
function readBoot(text: string | undefined): string | undefined {
  if (text === undefined || /^[0-9a-f-]{1,64}$/i.test(text)) return text;
  throw new MusterError({
    code: "argument-invalid",
    what: `--boot ${text} is no id of a boot`,
    fix: "`muster node boots NODE -o json` has them; the first characters are enough",
  });
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
