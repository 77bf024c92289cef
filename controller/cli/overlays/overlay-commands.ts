import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { OverlayStatusView, OverlayView, RefreshAnswer } from "../../api/rest/overlay-routes.ts";
import { durationBetween } from "../../config/scalar-readers.ts";
import type { CliContext } from "../cli-context.ts";
import { foldAnswers, foldFailures } from "../output/fold-answers.ts";
import { renderOverlayStatus, renderOverlayTable } from "./render-overlays.ts";
import { renderCount } from "../output/render-text.ts";

const EXIT_SOME_FAILED = 1;
/** Long enough to be no noise on a serial console, short enough to see that something goes on. */
const PROGRESS_MS = 1000;

/** `muster overlay list`. */
export async function listOverlays(context: CliContext): Promise<number> {
  const { overlays } = await context.api.get<{ overlays: readonly OverlayView[] }>("/overlays");
  if (overlays.length > 0 || context.output !== "table") {
    await context.print(overlays, () => renderOverlayTable(overlays));
  }
  for (const { trouble } of overlays) if (trouble !== undefined) context.note(`error: ${trouble}`);
  if (overlays.length === 0) {
    context.note("there are no static overlays yet: make NAME/rootfs below paths.overlays");
  }
  return 0;
}

/** `muster overlay status`. */
export async function showOverlayStatus(context: CliContext, nodeset: string | undefined): Promise<number> {
  const status = await context.api.get<OverlayStatusView>("/overlay-status", { names: nodeset });
  if (status.nodes.length > 0 || context.output !== "table") {
    await context.print(status, () => renderOverlayStatus(status, context.process.now()));
  }
  for (const { what, fix } of status.troubles) {
    context.note(
      `error: ${what}; nodes keep what they have of it${fix === undefined ? "" : `\n  fix: ${fix}`}`,
    );
  }
  if (status.nodes.length === 0) context.note("there are no nodes yet");
  const others = status.nodes.filter(({ verdict }) => verdict !== "current").length;
  if (others > 0) context.note(`${others} of ${renderCount(status.nodes.length, "node")} not current`);
  return others > 0 || status.troubles.length > 0 ? EXIT_SOME_FAILED : 0;
}

/** `muster node refresh`. */
export async function refreshNodes(
  context: CliContext,
  nodeset: string,
  options: { readonly wait?: true; readonly timeout: string },
): Promise<number> {
  const { api, process } = context;
  const body = { names: nodeset, wait: options.wait === true, timeoutSeconds: readTimeout(options.timeout) };
  const answers: RefreshAnswer[] = [];
  let shownAt = process.now().getTime();
  for await (const answer of api.sendAndFollow<RefreshAnswer>("/overlay-refreshes", body, process.signal)) {
    answers.push(answer);
    const nowMs = process.now().getTime();
    if (nowMs - shownAt < PROGRESS_MS) continue;
    shownAt = nowMs;
    context.note(`${renderCount(answers.length, "node")} done`);
  }
  process.signal.throwIfAborted();
  return reportRefresh(context, answers, options.wait === true);
}

async function reportRefresh(
  context: CliContext,
  answers: readonly RefreshAnswer[],
  hasWaited: boolean,
): Promise<number> {
  const done = answers.filter(({ error }) => error === undefined);
  const failed = answers.flatMap(({ node, error }) => (error === undefined ? [] : [{ node, ...error }]));
  const said = foldAnswers(done.map(({ node, lines }) => ({ node, text: (lines ?? []).join("; ") })));
  if (context.output !== "table" || (hasWaited && done.length > 0)) {
    await context.print(answers, () =>
      said.map(({ nodes, text }) => `${nodes}: ${text === "" ? "done" : text}\n`).join(""),
    );
  }
  if (!hasWaited && done.length > 0) {
    context.note(
      `asked ${foldNodeSet(done.map(({ node }) => node))}; not waited for: muster overlay status shows what comes of it`,
    );
  }
  for (const line of foldFailures(failed)) context.note(line);
  return failed.length > 0 ? EXIT_SOME_FAILED : 0;
}

function readTimeout(text: string): number {
  const read = durationBetween("1s", "1h")(text, text);
  if ("value" in read) return read.value;
  throw new MusterError({
    code: "argument-invalid",
    what: `--timeout ${text}: ${read.problem}`,
    fix: "for example --timeout 5m",
  });
}
