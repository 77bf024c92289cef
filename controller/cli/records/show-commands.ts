import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { NodeList, NodeView } from "../../api/rest/schemas.ts";
import { type ExplainedField, explainFields } from "../../fields/explain-fields.ts";
import { renderFieldPath } from "../../fields/field-path.ts";
import type { Fields, Json } from "../../fields/fields.ts";
import { listLeaves } from "../../fields/list-leaves.ts";
import { openMerger, type Profiles } from "../../fields/merge-fields.ts";
import type { InventoryRecord } from "../../inventory/changes.ts";
import type { CliContext } from "../cli-context.ts";
import { fetchState } from "../changes/commit-changes.ts";
import { fetchNodes, knownProfile, listOfNames, namesQuery, profileFields } from "./fetch-records.ts";
import { resolveTime } from "../changes/resolve-time.ts";
import { planNodeDiff } from "./plan-node-diff.ts";
import { planProfileUsers } from "./plan-profile-users.ts";
import { isSummarised, renderNode } from "../nodes/render-nodes.ts";
import {
  renderExplained,
  renderLeaves,
  renderNodeDiff,
  renderProfileTable,
  renderUsers,
} from "./render-records.ts";
import { renderFields, renderTime } from "../output/render-text.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

interface ShowOptions {
  readonly explain?: true;
  readonly at?: string;
  readonly secrets?: true;
}

/** What `-o json` has of the fields of a node or profile. */
interface ShownFields {
  /** In effect: its profiles merged with its own. */
  readonly fields: Fields;
  /** Its own, as written. */
  readonly written: Fields;
  /** With --explain. */
  readonly explained?: readonly ExplainedField[];
}

/** `muster node show`. One node is an object in JSON, several are a list. */
export async function showNodes(context: CliContext, nodeset: string, options: ShowOptions): Promise<number> {
  const names = await resolveNodes(context, nodeset);
  const at = atOf(context, options);
  // first: what musterd says of a name that does not exist is the error
  const views = at === undefined ? await fetchViews(context, names) : new Map<string, NodeView>();
  const state = await fetchNodes(context, names, queryOf(options, at));
  const records = new Map(state.nodes.map((record) => [record.name, record]));
  const profiles = profileFields(state);
  const shown = names.flatMap((name) => {
    const record = records.get(name);
    return record === undefined ? [] : [{ name, record, ...shownFields(record, profiles, options) }];
  });
  const data = shown.map(({ name, fields, written, explained }) => ({
    ...(views.get(name) ?? { name, at }),
    fields,
    written,
    explained,
  }));
  await context.print(data.length === 1 ? data[0] : data, () =>
    shown
      .map(({ name, record, fields, explained }) => {
        const view = views.get(name);
        const head =
          view === undefined
            ? renderFields([
                ["name", name],
                ["as of", at === undefined ? undefined : renderTime(at)],
              ])
            : undefined;
        if (explained !== undefined) {
          const title =
            head ??
            renderFields([
              ["name", name],
              ["revision", String(record.revision)],
            ]);
          return `${title}\n${renderExplained(explained)}`;
        }
        if (view === undefined) return `${head ?? ""}\n${renderLeaves(leavesOf(fields))}`;
        const rest = leavesOf(fields).filter(({ path }) => !isSummarised(path));
        const text = renderNode(view, context.process.now(), fields);
        return rest.length === 0 ? text : `${text}\n${renderLeaves(rest)}`;
      })
      .join("\n"),
  );
  return 0;
}

/** What musterd knows of nodes, by name. A list leaves the kernel's log of a failed boot out: those are asked for one by one. */
async function fetchViews(
  { api }: CliContext,
  names: readonly string[],
): Promise<ReadonlyMap<string, NodeView>> {
  const ask = (name: string): Promise<NodeView> => api.get<NodeView>(`/nodes/${encodeURIComponent(name)}`);
  const [first, ...more] = names;
  if (first !== undefined && more.length === 0) return new Map([[first, await ask(first)]]);
  const { nodes } = await api.get<NodeList>("/nodes", namesQuery("names", names));
  const views = new Map(nodes.map((view) => [view.name, view]));
  for (const name of names)
    if (views.get(name)?.status.failure !== undefined) views.set(name, await ask(name));
  return views;
}

/** `muster profile show`. One profile is an object in JSON, several are a list. */
export async function showProfiles(
  context: CliContext,
  names: string,
  options: ShowOptions,
): Promise<number> {
  const at = atOf(context, options);
  const state = await fetchState(context, queryOf(options, at));
  const users = planProfileUsers(state);
  const profiles = profileFields(state);
  const shown = listOfNames(names).map((name) => {
    const record = knownProfile(name, state);
    return {
      name,
      revision: at === undefined ? record.revision : undefined,
      at,
      nodes: users.get(name) ?? [],
      ...shownFields(record, profiles, options),
    };
  });
  await context.print(shown.length === 1 ? shown[0] : shown, () =>
    shown
      .map(({ name, nodes, revision, written, explained }) => {
        const head = renderFields([
          ["name", name],
          ["used by", renderUsers(nodes)],
          ["revision", revision === undefined ? undefined : String(revision)],
          ["as of", at === undefined ? undefined : renderTime(at)],
        ]);
        const fields = explained === undefined ? renderLeaves(leavesOf(written)) : renderExplained(explained);
        return `${head}\n${fields}`;
      })
      .join("\n"),
  );
  return 0;
}

/** `muster profile list`. */
export async function listProfiles(context: CliContext): Promise<number> {
  const state = await fetchState(context);
  const users = planProfileUsers(state);
  const data = state.profiles.map(({ name, revision, fields }) => ({
    name,
    revision,
    profiles: fields.profiles ?? [],
    nodes: users.get(name) ?? [],
    ...(fields.comment === undefined ? {} : { comment: fields.comment }),
  }));
  if (data.length > 0 || context.output !== "table") {
    await context.print(data, () => renderProfileTable(state.profiles, users));
  }
  if (data.length === 0) context.note("there are no profiles yet: muster profile add NAME --image IMAGE");
  return 0;
}

/** `muster node diff`. Exit status as diff(1): 1 when something differs. */
export async function diffNodes(
  context: CliContext,
  left: string,
  right: string | undefined,
  options: { readonly at?: string; readonly ignoreUnique?: true },
): Promise<number> {
  const at = atOf(context, options);
  if (right === undefined && at === undefined) throw nothingToCompare(left);
  const leftNames = await resolveNodes(context, left);
  const rightNames = right === undefined ? leftNames : await resolveNodes(context, right);
  const names = [...new Set([...leftNames, ...rightNames])];
  // with secrets, to tell that they differ; planNodeDiff does not let them out
  const then = await fetchNodes(context, names, queryOf({ secrets: true }, at));
  const now = right === undefined ? await fetchNodes(context, names, { secrets: true }) : then;
  const effective = (state: typeof then, chosen: readonly string[]): { name: string; fields: Fields }[] => {
    const merger = openMerger(profileFields(state));
    const wanted = new Set(chosen);
    return state.nodes
      .filter(({ name }) => wanted.has(name))
      .map(({ name, fields }) => ({ name, fields: merger.merge(fields) }));
  };
  const differences = planNodeDiff(effective(then, leftNames), effective(now, rightNames), {
    ignoreUnique: options.ignoreUnique === true,
    byName: right === undefined,
  });
  const titles: readonly [string, string] =
    right === undefined
      ? [`${foldNodeSet(leftNames)} ${renderTime(at ?? "")}`, `${foldNodeSet(leftNames)} now`]
      : [foldNodeSet(leftNames), foldNodeSet(rightNames)];
  if (differences.length > 0 || context.output !== "table") {
    await context.print(differences, () => renderNodeDiff(differences, titles));
  }
  if (differences.length === 0) context.note("no field differs");
  return differences.length === 0 ? 0 : 1;
}

function shownFields(record: InventoryRecord, profiles: Profiles, { explain }: ShowOptions): ShownFields {
  const { fields } = record;
  return {
    fields: openMerger(profiles).merge(fields),
    written: fields,
    ...(explain === true ? { explained: explainFields(record, profiles) } : {}),
  };
}

function leavesOf(fields: Fields): readonly { readonly path: string; readonly value: Json }[] {
  return listLeaves(fields).map(({ path, value }) => ({ path: renderFieldPath(path), value }));
}

function atOf(context: CliContext, { at }: { readonly at?: string }): string | undefined {
  return at === undefined ? undefined : resolveTime(context, at);
}

function queryOf(
  { secrets }: ShowOptions,
  at: string | undefined,
): { readonly at?: string; readonly secrets?: boolean } {
  return { ...(at === undefined ? {} : { at }), ...(secrets === true ? { secrets } : {}) };
}

function nothingToCompare(nodeset: string): MusterError {
  return new MusterError({
    code: "argument-invalid",
    what: `there is nothing to compare ${nodeset} with`,
    fix: `name another node, or a time: muster node diff ${nodeset} --at '2 days ago'`,
  });
}
