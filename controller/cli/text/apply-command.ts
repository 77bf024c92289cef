import { stdin } from "node:process";

import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import { FIELD_TABLE } from "../../fields/field-table.ts";
import type { ParsedText } from "../../text/parse-inventory.ts";
import { type ApplyPlan, hasSecrets, planApply } from "../../text/plan-apply.ts";
import { readInventoryTexts } from "../../text/read-inventory-texts.ts";
import { renderTextFindings, type TextFinding } from "../../text/text-finding.ts";
import { RefusedRequest } from "../api-client.ts";
import type { CliContext } from "../cli-context.ts";
import { type CommitOptions, fetchState, previewAndCommit } from "../changes/commit-changes.ts";
import { locateRefusal } from "./locate-refusal.ts";
import { printable, renderCount } from "../output/render-text.ts";
import { showLateProgress } from "../output/show-late-progress.ts";

export interface ApplyOptions extends CommitOptions {
  readonly file: string;
  readonly prune?: true;
}

/** `muster apply`: makes the records those of a text, in one change. */
export async function applyText(context: CliContext, options: ApplyOptions): Promise<number> {
  await using progress = showLateProgress(context);
  progress.say(`reading ${options.file}`);
  // asked for before the text is read, which takes as long
  const early = options.file === "-" ? undefined : fetchState(context);
  early?.catch(() => undefined);
  const texts = await readInventoryTexts(options.file, {
    input: stdin,
    progress: (done, all) => {
      progress.say(`read ${done} of ${all} files`);
    },
  });
  await refuseFindings(
    context,
    texts.flatMap(({ findings }) => findings),
  );
  refusePartialPrune(texts, options);
  progress.say("comparing with the inventory");
  const state = hasSecrets(texts, SECRET_PATHS)
    ? await fetchState(context, { secrets: true })
    : await (early ?? fetchState(context));
  const plan = planApply(texts, state, { prune: options.prune === true });
  await refuseFindings(context, plan.findings);
  // of a part it is no news that it has not got the rest
  if (texts.every(({ part }) => part === undefined)) tellLeft(context, plan, options);
  progress.end();
  try {
    return await previewAndCommit(context, { changes: plan.changes, state }, options);
  } catch (error) {
    throw error instanceof RefusedRequest ? await tellRefusal(context, texts, error) : error;
  }
}

const SECRET_PATHS = FIELD_TABLE.filter(({ type }) => type.kind === "secret").map(({ path }) => path);

/** Every finding is printed with its place; `-o json` has them as data. */
async function refuseFindings(context: CliContext, findings: readonly TextFinding[]): Promise<void> {
  const [first] = findings;
  if (first === undefined) return;
  if (context.output !== "table") await context.print({ findings }, () => "");
  for (const line of renderTextFindings(findings)) context.note(printable(line));
  throw new MusterError({ code: "request-invalid", what: sentenceOf(findings.length) });
}

/** A part of the inventory does not have what it is not about: that is not deleted. */
function refusePartialPrune(texts: readonly ParsedText[], { prune, file }: ApplyOptions): void {
  const part = texts.find((text) => text.part !== undefined);
  if (prune !== true || part === undefined) return;
  throw new MusterError({
    code: "argument-invalid",
    what: `${file} has a part of the inventory alone (${part.part ?? ""}): --prune would delete all the rest`,
    fix: "apply it without --prune, or take `, part: ...` out of its first line if it is complete",
  });
}

function tellLeft(context: CliContext, { left }: ApplyPlan, { prune, file }: ApplyOptions): void {
  const nodes = left.filter(({ kind }) => kind === "node").map(({ name }) => name);
  const profiles = left.length - nodes.length;
  if (left.length === 0 || prune === true) return;
  const what = [
    ...(nodes.length === 0 ? [] : [`${renderCount(nodes.length, "node")} ${foldNodeSet(nodes)}`]),
    ...(profiles === 0 ? [] : [renderCount(profiles, "profile")]),
  ].join(" and ");
  context.note(`not in ${file}, and left as they are: ${what}; --prune deletes them`);
}

/** What the controller finds wrong is told at its place in the text; what is about something else as it said it. */
async function tellRefusal(
  context: CliContext,
  texts: readonly ParsedText[],
  error: RefusedRequest,
): Promise<MusterError> {
  const { findings, elsewhere } = locateRefusal(texts, error);
  if (findings.length === 0) return error;
  for (const line of elsewhere) context.note(printable(line));
  if (context.output !== "table") await context.print({ findings }, () => "");
  for (const line of renderTextFindings(findings)) context.note(printable(line));
  return new MusterError({ code: error.code, what: sentenceOf(findings.length + elsewhere.length) });
}

function sentenceOf(count: number): string {
  return `nothing was changed: ${renderCount(count, "finding")}, listed above`;
}
