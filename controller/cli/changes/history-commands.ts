import { MusterError } from "#proto/contract/muster-error.ts";

import type { ChangeDetailsView, ChangeList, ChangeSummaryView } from "../../api/rest/inventory-schemas.ts";
import { renderFieldPath } from "../../fields/field-path.ts";
import type { Json } from "../../fields/fields.ts";
import { findLastTouches } from "../../history/find-last-touch.ts";
import { foldEffects, type FoldedEffect, renderEffectGroups } from "../../history/fold-effects.ts";
import { planUndo, type UndoConflict } from "../../history/plan-undo.ts";
import type { ChangeDetails } from "../../inventory/changes.ts";
import type { CliContext } from "../cli-context.ts";
import { type CommitOptions, fetchState, previewAndCommit } from "./commit-changes.ts";
import { resolveTime } from "./resolve-time.ts";
import { readPositive } from "../read-number.ts";
import { printable, renderCount, renderFields, renderTable, renderTime } from "../output/render-text.ts";

const PAGE = 100;
const DEFAULT_LIMIT = 20;
/** Who came after is looked for as far as people read. */
const MOST_CONFLICTS = 20;
const MOST_LATER = 50;

/** A change as `-o json` has it. */
interface HistoryEntry extends ChangeSummaryView {
  /** In one line. */
  readonly what: string;
}

/** `muster history`. */
export async function showHistory(
  context: CliContext,
  record: string | undefined,
  options: { readonly limit?: string; readonly since?: string; readonly change?: string },
): Promise<number> {
  if (options.change !== undefined) return showChange(context, readPositive("--change", options.change));
  const since = options.since === undefined ? undefined : resolveTime(context, options.since);
  const limit =
    options.limit !== undefined
      ? readPositive("--limit", options.limit)
      : since === undefined
        ? DEFAULT_LIMIT
        : Infinity;
  const changes = await listChanges(context, queryOf(record), limit, since);
  const entries = changes.map(
    (change): HistoryEntry => ({ ...change, what: renderEffectGroups(change.groups) }),
  );
  if (context.output !== "table" || entries.length > 0) {
    await context.print(entries, () => renderHistory(entries));
  }
  if (entries.length === 0) context.note("nothing was changed");
  return 0;
}

/** `muster undo`. */
export async function undoChange(
  context: CliContext,
  number: string,
  options: CommitOptions,
): Promise<number> {
  const id = readPositive("change", number);
  // With secrets, or a password that a change took away would not come back.
  const change = readDetails(await context.api.get<ChangeDetailsView>(`/changes/${id}`, { secrets: true }));
  const state = await fetchState(context, { secrets: true });
  const { changes, conflicts } = planUndo(change, state);
  if (conflicts.length > 0) throw await conflictError(context, id, conflicts);
  if (changes.length === 0) {
    context.note(`nothing to do: everything is as it was before change ${id}`);
    return 0;
  }
  const message = options.message ?? `undo of change ${id}`;
  return previewAndCommit(
    context,
    { changes, state, question: `Undo change ${id}?` },
    { ...options, message },
  );
}

async function showChange(context: CliContext, id: number): Promise<number> {
  const change = await context.api.get<ChangeDetailsView>(`/changes/${id}`);
  const { effects, ...summary } = change;
  const folded = foldEffects(effects);
  await context.print({ ...summary, effects: folded }, () => renderChange(summary, folded));
  return 0;
}

function queryOf(record: string | undefined): Readonly<Record<string, string>> {
  if (record === undefined) return {};
  return record.startsWith("profile:") ? { profile: record.slice("profile:".length) } : { node: record };
}

/** Newest first. */
async function listChanges(
  { api }: CliContext,
  query: Readonly<Record<string, string>>,
  limit: number,
  since: string | undefined,
): Promise<readonly ChangeSummaryView[]> {
  const isOlder = olderThan(since);
  const found: ChangeSummaryView[] = [];
  for (let before: number | undefined; ; ) {
    const size = Math.min(PAGE, limit - found.length);
    const { changes } = await api.get<ChangeList>("/changes", { ...query, limit: size, before });
    const wanted = changes.filter((change) => !isOlder(change));
    found.push(...wanted);
    before = changes.at(-1)?.id;
    if (changes.length < size || wanted.length < changes.length || found.length >= limit) return found;
  }
}

/** "change 17": that one is not older than itself. */
function olderThan(since: string | undefined): (change: ChangeSummaryView) => boolean {
  if (since === undefined) return () => false;
  const [, number] = /^change (\d+)$/.exec(since) ?? [];
  if (number !== undefined) return ({ id }) => id < Number(number);
  return ({ at }) => new Date(at) < new Date(since);
}

async function conflictError(
  context: CliContext,
  id: number,
  conflicts: readonly UndoConflict[],
): Promise<MusterError> {
  const lines: string[] = [];
  const later = new Set<number>();
  for (const conflict of conflicts.slice(0, MOST_CONFLICTS)) {
    for (const { path, change } of findLastTouches(conflict, await listLater(context, id, conflict))) {
      if (change !== undefined) later.add(change.id);
      lines.push(`${renderConflict(conflict, path)}${renderBy(change)}`);
    }
  }
  const more = conflicts.length - MOST_CONFLICTS;
  const first = [...later].sort((a, b) => b - a)[0];
  return new MusterError({
    code: "undo-conflict",
    what: [
      `change ${id} cannot be undone, for what it changed was changed again since; nothing was done`,
      ...lines,
      ...(more > 0 ? [`and ${renderCount(more, "more record")}`] : []),
    ].join("\n  "),
    fix:
      first === undefined
        ? "write what you want with muster node set or muster profile set"
        : `undo the later change first (muster undo ${first}), or write what you want with muster node set`,
  });
}

async function listLater(
  context: CliContext,
  id: number,
  { kind, name }: UndoConflict,
): Promise<readonly ChangeDetails[]> {
  const found = await listChanges(context, { [kind]: name }, MOST_LATER, undefined);
  const later: ChangeDetails[] = [];
  for (const change of found) {
    if (change.id > id) later.push(readDetails(await context.api.get(`/changes/${change.id}`)));
  }
  return later;
}

function renderConflict({ kind, name, why, fields }: UndoConflict, path: string | undefined): string {
  const title = kind === "node" ? name : `${kind} ${name}`;
  if (why === "deleted") return `${title} is not there any more`;
  if (why === "exists") return `${title} was made anew`;
  const field = fields.find((one) => one.path.join(".") === path);
  if (field === undefined) return title;
  const isSecret = field.path.at(-1) === "password";
  const now = isSecret ? "another secret" : renderValue(field.now);
  return `${title}: ${renderFieldPath(field.path)} is ${now}, not ${isSecret ? "the one it left" : renderValue(field.left)}`;
}

function renderBy(change: ChangeDetails | undefined): string {
  if (change === undefined) return "";
  const who = renderWho({
    user: change.user,
    ...(change.address === undefined ? {} : { address: change.address }),
  });
  return `: change ${change.id}, ${who}, ${renderTime(change.at.toISOString())}`;
}

function renderHistory(entries: readonly HistoryEntry[]): string {
  return renderTable(
    ["CHANGE", "WHEN", "WHO", "WHAT", "WHY"],
    entries.map((entry) => [
      String(entry.id),
      renderTime(entry.at),
      renderWho(entry),
      entry.what,
      entry.reason ?? "",
    ]),
    ["CHANGE"],
  );
}

function renderChange(summary: Omit<ChangeDetailsView, "effects">, effects: readonly FoldedEffect[]): string {
  const head = renderFields([
    ["change", String(summary.id)],
    ["when", renderTime(summary.at)],
    ["who", renderWho(summary)],
    ["why", summary.reason],
  ]);
  const parts = effects.map(({ kind, names, action, renamedTo, fields }) => {
    const title = `${kind === "node" ? "" : `${kind} `}${names}`;
    const done =
      action === "changed" ? "" : action === "renamed" ? ` renamed ${renamedTo ?? ""}` : ` ${action}`;
    const lines = fields.map(
      ({ path, before, after }) =>
        `  ${printable(path)}: ${
          action === "added"
            ? renderValue(after)
            : action === "deleted"
              ? renderValue(before)
              : `${renderValue(before)} -> ${renderValue(after)}`
        }\n`,
    );
    return `\n${printable(title)}${done}${lines.length === 0 ? "" : ":"}\n${lines.join("")}`;
  });
  return head + parts.join("");
}

function renderValue(value: Json | undefined): string {
  if (value === undefined) return "-";
  return printable(typeof value === "string" ? value : JSON.stringify(value));
}

function renderWho({ user, address }: { readonly user: string; readonly address?: string }): string {
  return address === undefined ? user : `${user}@${address}`;
}

function readDetails({ at, effects, ...rest }: ChangeDetailsView): ChangeDetails {
  return {
    ...rest,
    at: new Date(at),
    effects: effects.map((effect) => ({ ...effect, before: effect.before, after: effect.after })),
  };
}
