import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

import type { InventoryRecord, InventoryState, RecordKind } from "../../inventory/changes.ts";
import { checkText } from "../../text/check-text.ts";
import { type ParsedText, parseInventory } from "../../text/parse-inventory.ts";
import { planApply } from "../../text/plan-apply.ts";
import { markFindings, renderEditText, unmarkFindings } from "../../text/render-edit-text.ts";
import { renderTextFindings, type TextFinding } from "../../text/text-finding.ts";
import { RefusedRequest } from "../api-client.ts";
import type { CliContext } from "../cli-context.ts";
import { type CommitOptions, fetchState, previewAndCommit } from "../changes/commit-changes.ts";
import { knownProfile, listOfNames } from "../records/fetch-records.ts";
import { openEditor } from "./open-editor.ts";
import { locateRefusal } from "./locate-refusal.ts";
import { printable, renderCount } from "../output/render-text.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

/** `muster node edit`. */
export async function editNodes(
  context: CliContext,
  nodeset: string,
  options: CommitOptions,
): Promise<number> {
  const names = await resolveNodes(context, nodeset);
  const state = await fetchState(context, { nodes: foldNodeSet(names) });
  return editRecords(context, "node", state, new Set<string>(names), options);
}

/** `muster profile edit`. */
export async function editProfiles(
  context: CliContext,
  words: string,
  options: CommitOptions,
): Promise<number> {
  const names = listOfNames(words);
  // all nodes: the preview shows which of them a profile reaches
  const state = await fetchState(context);
  for (const name of names) knownProfile(name, state);
  return editRecords(context, "profile", state, new Set(names), options);
}

/**
 * Shows records in the editor until the text is right or given up, and commits what is different against the revisions from before.
 * The text lies in a file of its own until it is committed: whatever happens, it is still there, and its path is told.
 */
async function editRecords(
  context: CliContext,
  kind: RecordKind,
  state: InventoryState,
  names: ReadonlySet<string>,
  options: CommitOptions,
): Promise<number> {
  const records = (kind === "node" ? state.nodes : state.profiles).filter(({ name }) => names.has(name));
  const before = renderEditText(kind, records);
  const directory = await makePlace(context.process.env["TMPDIR"] ?? tmpdir());
  const file = join(directory, `${kind}s.yaml`);
  let isDone = false;
  try {
    await writeFile(file, before, { mode: 0o600 }).catch((cause: unknown) => {
      isDone = true;
      throw noPlace(file, cause);
    });
    const outcome = await editUntilRight(context, { kind, state, records, file, before }, options);
    isDone = outcome.isDone;
    return outcome.exitCode;
  } finally {
    // nothing was typed: an editor that could not start leaves nothing worth keeping
    isDone ||= (await readFile(file, "utf8").catch(() => "")) === before;
    if (isDone) await rm(directory, { recursive: true, force: true });
    else context.note(`your text is kept in ${file}: muster apply -f ${file}`);
  }
}

async function makePlace(parent: string): Promise<string> {
  return mkdtemp(join(parent, "muster-edit-")).catch((cause: unknown) => {
    throw noPlace(parent, cause);
  });
}

function noPlace(path: string, cause: unknown): MusterError {
  return new MusterError({
    code: "directory-unusable",
    what: `there is no place for what is to be edited: ${path} cannot be written`,
    fix: "set TMPDIR to a directory with room",
    cause,
  });
}

interface Edit {
  readonly kind: RecordKind;
  readonly state: InventoryState;
  readonly records: readonly InventoryRecord[];
  readonly file: string;
  readonly before: string;
}

interface Outcome {
  readonly exitCode: number;
  /** The text is in the inventory, or there is nothing in it: it need not be kept. */
  readonly isDone: boolean;
}

async function editUntilRight(context: CliContext, edit: Edit, options: CommitOptions): Promise<Outcome> {
  for (;;) {
    await openEditor(edit.file, context.process.env);
    const bytes = await readFile(edit.file);
    const checked = checkText(edit.file, bytes);
    const text = "text" in checked ? unmarkFindings(checked.text) : undefined;
    if (text === edit.before || text?.trim() === "") {
      context.note("nothing was changed");
      return { exitCode: 0, isDone: true };
    }
    const parsed = text === undefined ? undefined : parseInventory(edit.file, text);
    const findings =
      "findings" in checked ? checked.findings : [...(parsed?.findings ?? []), ...strangersOf(edit, parsed)];
    const outcome =
      findings.length > 0 || parsed === undefined
        ? { findings }
        : await commitText(context, edit, parsed, options);
    if ("exitCode" in outcome) return outcome;
    for (const line of renderTextFindings(outcome.findings)) context.note(printable(line));
    if (text !== undefined) await markText(edit.file, markFindings(text, outcome.findings));
    const again = await context.process.ask("Edit again? [Y/n] ");
    if (again === undefined || /^n/i.test(again.trim())) {
      throw new MusterError({
        code: "request-invalid",
        what: `nothing was changed: ${renderCount(outcome.findings.length, "finding")}, listed above and at their lines`,
      });
    }
  }
}

/** On a full disk the text stays as it was typed, without marks: the findings were told. */
async function markText(file: string, text: string): Promise<void> {
  await writeFileAtomically(file, text, 0o600).catch(() => undefined);
}

async function commitText(
  context: CliContext,
  { kind, state, records }: Edit,
  parsed: ParsedText,
  options: CommitOptions,
): Promise<Outcome | { readonly findings: readonly TextFinding[] }> {
  const plan = planApply([parsed], state, { prune: false });
  if (plan.findings.length > 0) return { findings: plan.findings };
  const written = new Set(parsed.records.map(({ name }) => name));
  const leftOut = records.filter(({ name }) => !written.has(name)).map(({ name }) => name);
  if (leftOut.length > 0) {
    const shown = kind === "node" ? foldNodeSet(leftOut) : leftOut.join(",");
    context.note(
      `not in the text any more, and left as it is: ${shown}; to delete: muster ${kind} delete ${shown}`,
    );
  }
  try {
    const exitCode = await previewAndCommit(context, { changes: plan.changes, state }, options);
    return { exitCode, isDone: exitCode === 0 && options.dryRun !== true };
  } catch (error) {
    const refusal = error instanceof RefusedRequest ? locateRefusal([parsed], error) : undefined;
    if (refusal === undefined || refusal.findings.length === 0) throw error;
    for (const line of refusal.elsewhere) context.note(printable(line));
    return { findings: refusal.findings };
  }
}

/** Records that were not given to be edited: a name that was changed would leave the old node and add another. */
function strangersOf({ kind, records }: Edit, parsed: ParsedText | undefined): readonly TextFinding[] {
  const known = new Set(records.map(({ name }) => name));
  const strange = (parsed?.records ?? []).filter((record) => record.kind !== kind || !known.has(record.name));
  return (
    parsed?.locate(
      strange.map(({ kind: of, name }) => ({
        kind: of,
        name,
        at: "",
        what: `${of} ${name} is not what is edited`,
        fix: `new ones come with muster ${of} add ${name}, other names with muster ${of} rename`,
      })),
    ) ?? []
  );
}
