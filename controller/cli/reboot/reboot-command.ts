import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { AnswerList, RebootPlanView, RebootPreviewView } from "../../api/rest/directive-routes.ts";
import type { NodeList } from "../../api/rest/schemas.ts";
import { durationBetween } from "../../config/scalar-readers.ts";
import { isConfirmed } from "../ask-confirmation.ts";
import type { CliContext } from "../cli-context.ts";
import { foldFailures } from "../output/fold-answers.ts";
import { renderRebootPlan } from "./render-reboot-plan.ts";
import { renderCount } from "../output/render-text.ts";
import { waitForRestart } from "./wait-for-restart.ts";

const EXIT_SOME_FAILED = 1;

interface RebootOptions {
  readonly plan?: true;
  readonly wait?: true;
  readonly timeout: string;
  readonly force?: true;
  readonly message?: string;
  readonly yes?: true;
}

interface NodeResult {
  readonly node: string;
  readonly result: "restarting" | "ready" | "failed";
  readonly what?: string;
  readonly fix?: string;
}

/** `muster reboot`: exit status 1 when a node could not be asked or, with --wait, is not ready in the end. */
export async function rebootNodes(
  context: CliContext,
  nodeset: string,
  options: RebootOptions,
): Promise<number> {
  const timeoutSeconds = readTimeout(options.timeout);
  const { nodes: plan } = await context.api.get<RebootPlanView>("/reboot-plan", { names: nodeset });
  if (options.plan === true) {
    await context.print(plan, () => renderRebootPlan(plan));
    for (const line of foldFailures(unfitOf(plan))) context.note(line);
    return 0;
  }
  const unfit = unfitOf(plan);
  const fit = plan.filter(({ node }) => !unfit.some((one) => one.node === node)).map(({ node }) => node);
  if (fit.length > 1 && options.yes !== true && !(await isConfirmed(context, questionOf(plan, fit))))
    return 1;
  const failed: { readonly node: string; readonly what: string; readonly fix?: string | undefined }[] = [
    ...unfit,
  ];
  // Of those that were planned for: a group may have others in it by now.
  const planned = foldNodeSet(plan.map(({ node }) => node));
  const before = await context.api.get<NodeList>("/nodes", { names: planned });
  if (fit.length > 0) {
    const { answers } = await context.api.send<AnswerList>("POST", "/reboots", {
      names: foldNodeSet(fit),
      force: options.force === true,
      reason: options.message ?? "",
    });
    for (const { node, error } of answers) if (error !== undefined) failed.push({ node, ...error });
  }
  for (const line of foldFailures(failed)) context.note(line);
  const asked = fit.filter((node) => !failed.some((one) => one.node === node));
  if (asked.length > 0) context.note(`${foldNodeSet(asked)}: restarting`);
  const restarting = asked.map((node) => ({
    node,
    bootBefore: before.nodes.find(({ name }) => name === node)?.status.bootId,
  }));
  const waited =
    options.wait === true && asked.length > 0
      ? await waitForRestart(context, restarting, timeoutSeconds)
      : [];
  const results: readonly NodeResult[] = [
    ...failed.map(({ node, what, fix }) => ({
      ...{ node, result: "failed" as const, what },
      ...(fix === undefined ? {} : { fix }),
    })),
    ...(options.wait === true
      ? waited.map(({ node, isReady, text }) =>
          isReady ? { node, result: "ready" as const } : { node, result: "failed" as const, what: text },
        )
      : asked.map((node) => ({ node, result: "restarting" as const }))),
  ];
  if (context.output !== "table") await context.print(results, () => "");
  return results.every(({ result }) => result !== "failed") ? 0 : EXIT_SOME_FAILED;
}

/** Nodes that cannot be asked, and those that would come back to nothing: to restart them would only lose them. */
function unfitOf(
  plan: readonly RebootPreviewView[],
): readonly { readonly node: string; readonly what: string; readonly fix?: string }[] {
  return plan.flatMap(({ node, obstacle, trouble }) => {
    if (obstacle !== undefined) return [{ node, what: `cannot be asked: ${obstacle}` }];
    return trouble === undefined ? [] : [{ node, what: `would not boot: ${trouble.what}`, fix: trouble.fix }];
  });
}

function questionOf(plan: readonly RebootPreviewView[], fit: readonly string[]): string {
  const others = plan.length - fit.length;
  const rest = others === 0 ? "" : ` (${others} of the set cannot be)`;
  return `Restart ${renderCount(fit.length, "running node")} ${foldNodeSet(fit)}${rest}?`;
}

function readTimeout(text: string): number {
  const read = durationBetween("10s", "24h")(text, text);
  if ("value" in read) return read.value;
  throw new MusterError({
    code: "argument-invalid",
    what: `--timeout: ${read.problem}`,
    ...(read.fix === undefined ? {} : { fix: read.fix }),
  });
}
