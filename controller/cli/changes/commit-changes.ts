import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { ChangeAnswer, InventoryView } from "../../api/rest/inventory-schemas.ts";
import type { OverlayView } from "../../api/rest/overlay-routes.ts";
import type { InventoryRecord, InventoryState, RecordChange } from "../../inventory/changes.ts";
import { isConfirmed } from "../ask-confirmation.ts";
import type { CliContext } from "../cli-context.ts";
import { type Preview, planPreview } from "./plan-preview.ts";
import { type Reactions, renderDifferences, renderPreview } from "./render-preview.ts";
import { renderCount } from "../output/render-text.ts";

/** What a command wants to change, and what it saw when it decided. */
export interface ChangePlan {
  readonly changes: readonly RecordChange[];
  /** Before: all profiles, and the nodes that change; all nodes when a profile changes. */
  readonly state: InventoryState;
  /** What is asked; absent: "Change ...?". */
  readonly question?: string;
  /** What the command has to say besides: part of what `-o json` prints. */
  readonly also?: Readonly<Record<string, unknown>>;
}

/** The options of every command that changes records; addCommitOptions makes them. */
export interface CommitOptions {
  /** Without asking. */
  readonly yes?: boolean;
  /** Show it and have the controller check it; change nothing. */
  readonly dryRun?: boolean;
  /** Why, for the history. */
  readonly message?: string;
}

/** What `-o json` prints of a change. */
interface ChangeReport {
  /** Number in the history; absent when nothing was committed. */
  readonly change?: number;
  readonly profiles: Preview["profiles"];
  readonly nodes: Preview["nodes"];
  readonly effects: Preview["effects"];
  readonly dhcp: Preview["dhcp"];
  readonly runtimeOverlays: Preview["runtimeOverlays"];
}

/**
 * The one way a command changes records: shows on which node what will be different, asks, commits everything or nothing, and
 * tells the number of the change. Returns the exit status: 0, also when there is nothing to change; 1 when the answer was no.
 * Errors: whatever the controller refuses; `revision-stale` shows what both sides wanted.
 */
export async function previewAndCommit(
  context: CliContext,
  plan: ChangePlan,
  options: CommitOptions,
): Promise<number> {
  const changes = withoutIdle(plan);
  const preview = planPreview(plan.state, changes);
  const isTable = context.output === "table";
  if (changes.length === 0) {
    context.note("nothing to change");
    if (!isTable) await context.print({ ...reportOf(preview), ...plan.also }, () => "");
    return 0;
  }
  const isAsking = options.yes !== true && options.dryRun !== true;
  const tense = isAsking || options.dryRun === true ? "planned" : "done";
  const shown =
    isTable || isAsking ? renderPreview(preview, await fetchReactions(context, preview), tense) : "";
  if (isAsking) {
    context.process[isTable ? "out" : "err"](shown);
    const question = plan.question ?? `Change ${namedRecords(changes)}?`;
    if (!(await isConfirmed(context, question))) return 1;
  }
  const answer = await commit(context, { state: plan.state, changes }, options);
  // not before: "c001: added" is not to stand above the reason why it was not
  if (isTable && !isAsking) context.process.out(shown);
  if (!isTable) await context.print({ ...reportOf(preview, answer.id), ...plan.also }, () => "");
  context.note(outcomeOf(changes, answer, options));
  return 0;
}

/** Records of the controller, as written. `nodes` is a node set; absent: all nodes. Profiles are always all. */
export async function fetchState(
  { api }: Pick<CliContext, "api">,
  query: { readonly nodes?: string; readonly at?: string; readonly secrets?: boolean } = {},
): Promise<InventoryState> {
  return api.get<InventoryView>("/inventory", query);
}

/** What the runtime overlays that come or go have nodes run. Without an answer the preview says less, and is still true. */
async function fetchReactions({ api }: CliContext, { runtimeOverlays }: Preview): Promise<Reactions> {
  if (runtimeOverlays.length === 0) return new Map();
  const { overlays } = await api
    .get<{ overlays: readonly OverlayView[] }>("/overlays")
    .catch(() => ({ overlays: [] }));
  return new Map(overlays.map(({ name, reactions }) => [name, reactions ?? []]));
}

async function commit(
  context: CliContext,
  { changes, state }: ChangePlan,
  { dryRun, message }: CommitOptions,
): Promise<ChangeAnswer> {
  try {
    return await context.api.send<ChangeAnswer>("POST", "/changes", {
      changes: changes.map(({ fields, ...change }) => ({ ...change, fields: fields ?? null })),
      ...(message === undefined ? {} : { reason: message }),
      ...(dryRun === true ? { dryRun: true } : {}),
    });
  } catch (error) {
    if (error instanceof MusterError && error.code === "revision-stale")
      await showConflict(context, changes, state);
    throw error;
  }
}

/** Shows, for the records that somebody else changed meanwhile, what they did and what was wanted here. */
async function showConflict(
  context: CliContext,
  changes: readonly RecordChange[],
  seen: InventoryState,
): Promise<void> {
  const now = await fetchState(context).catch(() => undefined);
  if (now === undefined) return;
  const current = indexOf(now);
  const stale = changes.filter((change) => (current.get(keyOf(change))?.revision ?? 0) !== change.revision);
  const theirs = stale.map((change): RecordChange => {
    const { kind, name } = change;
    return { kind, name, revision: change.revision, fields: current.get(keyOf(change))?.fields };
  });
  context.process.err(
    `changed meanwhile by somebody else:\n${indented(renderDifferences(planPreview(onlyOf(seen, stale), theirs)))}`,
  );
  context.process.err(
    `what you wanted:\n${indented(renderDifferences(planPreview(onlyOf(seen, stale), stale)))}`,
  );
}

function indexOf({ nodes, profiles }: InventoryState): ReadonlyMap<string, InventoryRecord> {
  return new Map([...nodes, ...profiles].map((record) => [keyOf(record), record]));
}

function keyOf({ kind, name }: { readonly kind: string; readonly name: string }): string {
  return `${kind} ${name}`;
}

/** The state with only the nodes that the changes name, so that the preview shows no other. */
function onlyOf({ nodes, profiles }: InventoryState, changes: readonly RecordChange[]): InventoryState {
  const names = new Set(changes.filter(({ kind }) => kind === "node").map(({ name }) => name));
  return { nodes: nodes.filter(({ name }) => names.has(name)), profiles };
}

function indented(text: string): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? line : `  ${line}`))
    .join("\n");
}

/** Without the changes of which nothing would be different. */
function withoutIdle({ changes, state }: ChangePlan): readonly RecordChange[] {
  const before = indexOf(state);
  return changes.filter((change) => {
    const { fields } = before.get(keyOf(change)) ?? {};
    if (change.renameTo !== undefined) return true;
    return JSON.stringify(fields) !== JSON.stringify(change.fields);
  });
}

function reportOf(preview: Preview, change?: number): ChangeReport {
  const { profiles, nodes, effects, dhcp, runtimeOverlays } = preview;
  return { ...(change === undefined ? {} : { change }), profiles, nodes, effects, dhcp, runtimeOverlays };
}

function outcomeOf(
  changes: readonly RecordChange[],
  { id }: ChangeAnswer,
  { dryRun }: CommitOptions,
): string {
  if (dryRun === true)
    return `the controller would take this change of ${namedRecords(changes)}; nothing was changed`;
  if (id === undefined) return "nothing to change";
  return `change ${id}: ${namedRecords(changes)}; to take it back: muster undo ${id}`;
}

/** "3 nodes c[001-003] and profile gpu". */
function namedRecords(changes: readonly RecordChange[]): string {
  const nodes = changes.filter(({ kind }) => kind === "node").map(({ name }) => name);
  const profiles = changes.filter(({ kind }) => kind === "profile").map(({ name }) => name);
  return [
    ...(nodes.length === 0 ? [] : [`${renderCount(nodes.length, "node")} ${foldNodeSet(nodes)}`]),
    ...(profiles.length === 0
      ? []
      : [
          profiles.length <= 3
            ? `${profiles.length === 1 ? "profile" : "profiles"} ${profiles.join(", ")}`
            : renderCount(profiles.length, "profile"),
        ]),
  ].join(" and ");
}
