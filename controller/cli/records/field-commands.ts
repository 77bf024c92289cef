import { readFile } from "node:fs/promises";
import { stdin } from "node:process";
import { text as readText } from "node:stream/consumers";

import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { NodeSummaryList } from "../../api/rest/schemas.ts";
import { DEFAULT_PROFILE, type Fields } from "../../fields/fields.ts";
import type { InventoryRecord, InventoryState, RecordChange, RecordKind } from "../../inventory/changes.ts";
import type { CliContext } from "../cli-context.ts";
import { type CommitOptions, previewAndCommit } from "../changes/commit-changes.ts";
import { chooseRecords, fetchProfiles, listOfNames, namesQuery, profileFields } from "./fetch-records.ts";
import { type GivenOption, readGivenOptions, rowOfOption } from "./field-options.ts";
import { planFieldChanges, planUnset } from "./plan-field-changes.ts";
import { type FieldEdit, planFieldEdits } from "./plan-field-edits.ts";
import { planProfileUsers, refuseUsedProfiles } from "./plan-profile-users.ts";
import { renderCount } from "../output/render-text.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

/**
 * Up to this many nodes are set and unset without a question: a rack. More, on a terminal, are asked about: a set that was meant to
 * be smaller shows in the preview.
 */
const UNASKED_NODES = 50;

type FieldCommandOptions = CommitOptions & Readonly<Record<string, unknown>>;

/** `muster node add`. */
export async function addNodes(
  context: CliContext,
  nodeset: string,
  assignments: readonly string[],
  options: FieldCommandOptions,
): Promise<number> {
  const edits = await readEdits(context, assignments, options);
  const names = await resolveNodes(context, nodeset);
  const state = await fetchProfiles(context);
  const fields = startOf(edits, state);
  const records = names.map((name): InventoryRecord => ({ kind: "node", name, revision: 0, fields }));
  const changes = planFieldChanges(records, edits, profileFields(state));
  return previewAndCommit(context, { changes, state }, unasked(options));
}

/** `muster profile add`. */
export async function addProfiles(
  context: CliContext,
  names: string,
  assignments: readonly string[],
  options: FieldCommandOptions,
): Promise<number> {
  const edits = await readEdits(context, assignments, options);
  const state = await fetchProfiles(context);
  const records = listOfNames(names).map(
    (name): InventoryRecord => ({ kind: "profile", name, revision: 0, fields: {} }),
  );
  const changes = planFieldChanges(records, edits, profileFields(state));
  return previewAndCommit(context, { changes, state }, unasked(options));
}

/** `muster node set` and `muster profile set`. */
export function setRecords(kind: RecordKind) {
  return async (
    context: CliContext,
    names: string,
    assignments: readonly string[],
    options: FieldCommandOptions,
  ): Promise<number> => {
    const edits = await readEdits(context, assignments, options);
    if (edits.length === 0) {
      throw new MusterError({
        code: "argument-invalid",
        what: "nothing to change was given",
        fix: `\`muster ${kind} set --help\` lists what can be`,
      });
    }
    const { state, records } = await chooseRecords(context, kind, names);
    const changes = planFieldChanges(records, edits, profileFields(state));
    return commitChosen(context, { changes, state }, options);
  };
}

/** `muster node unset` and `muster profile unset`. */
export function unsetRecords(kind: RecordKind) {
  return async (
    context: CliContext,
    names: string,
    paths: readonly string[],
    options: CommitOptions,
  ): Promise<number> => {
    const { state, records } = await chooseRecords(context, kind, names);
    const changes = planUnset(records, paths, profileFields(state));
    return commitChosen(context, { changes, state }, options);
  };
}

/** `muster node delete`. */
export async function deleteNodes(
  context: CliContext,
  nodeset: string,
  options: CommitOptions,
): Promise<number> {
  const { state, records } = await chooseRecords(context, "node", nodeset);
  const names = records.map(({ name }) => name);
  const { nodes } = await context.api.get<NodeSummaryList>("/node-summaries", namesQuery("names", names));
  const chosen = new Set(names);
  const running = nodes.filter(({ name, status }) => status.state === "ready" && chosen.has(name)).length;
  const warning = running === 0 ? "" : `, ${running} of them running`;
  const question = `Delete ${renderCount(names.length, "node")} ${foldNodeSet(names)}${warning}?`;
  return previewAndCommit(context, { changes: records.map(deletion), state, question }, options);
}

/** `muster profile delete`. */
export async function deleteProfiles(
  context: CliContext,
  names: string,
  options: CommitOptions,
): Promise<number> {
  const { state, records } = await chooseRecords(context, "profile", names);
  const list = records.map(({ name }) => name);
  refuseUsedProfiles(list, state);
  const question = `Delete ${renderCount(list.length, "profile")} ${list.join(", ")}?`;
  return previewAndCommit(context, { changes: records.map(deletion), state, question }, options);
}

/** `muster node rename` and `muster profile rename`. */
export function renameRecord(kind: RecordKind) {
  return async (context: CliContext, from: string, to: string, options: CommitOptions): Promise<number> => {
    const { state, records } = await chooseRecords(context, kind, from);
    const [record] = records;
    const names = kind === "node" ? await resolveNodes(context, to) : listOfNames(to);
    const [name] = names;
    if (record === undefined || records.length > 1 || name === undefined || names.length > 1) {
      throw new MusterError({
        code: "argument-invalid",
        what: `one ${kind} is renamed at a time, and "${from}" "${to}" names ${Math.max(records.length, names.length)}`,
        fix: `muster ${kind} rename OLD NEW`,
      });
    }
    const change: RecordChange = { ...record, renameTo: name };
    const question = `Rename ${kind} ${record.name} to ${name}?`;
    return previewAndCommit(context, { changes: [change], state, question }, options);
  };
}

/** Asks on a terminal when many nodes would be different. */
function commitChosen(
  context: CliContext,
  plan: { readonly changes: readonly RecordChange[]; readonly state: InventoryState },
  options: CommitOptions,
): Promise<number> {
  const isMany = context.process.errIsTerminal && reachOf(plan) > UNASKED_NODES;
  return previewAndCommit(context, plan, isMany ? options : unasked(options));
}

function reachOf({ changes, state }: { changes: readonly RecordChange[]; state: InventoryState }): number {
  const users = planProfileUsers(state);
  const reached = changes.flatMap(({ kind, name }) => (kind === "node" ? [name] : (users.get(name) ?? [])));
  return new Set(reached).size;
}

function unasked(options: CommitOptions): CommitOptions {
  return { ...options, yes: true };
}

async function readEdits(
  context: CliContext,
  assignments: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Promise<readonly FieldEdit[]> {
  const { given, selectors } = readGivenOptions(options);
  return planFieldEdits({
    given: await Promise.all(given.map(async (one) => withSecret(context, one))),
    selectors,
    assignments,
  });
}

/** Passwords come from files: a command line is in the process list and in the shell's history. */
async function withSecret(context: CliContext, given: GivenOption): Promise<GivenOption> {
  if (rowOfOption(given.option)?.type.kind !== "secret" || given.text === "") return given;
  try {
    const read = given.text === "-" ? readText(context.process.input ?? stdin) : readFile(given.text, "utf8");
    const text = (await read).replace(/\r?\n$/, "");
    if (text !== "") return { ...given, text };
  } catch (cause) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${given.option}: cannot read ${given.text}`,
      fix: "name a file that holds the password and nothing else, or - for standard input",
      cause,
    });
  }
  throw new MusterError({
    code: "argument-invalid",
    what: `${given.option}: ${given.text} is empty`,
    fix: `to take the password away: ${given.option} ""`,
  });
}

/** A new node takes from the profile "default" unless its profiles are given; `--profile ""` gives it none. */
function startOf(edits: readonly FieldEdit[], { profiles }: InventoryState): Fields {
  const isGiven = edits.some(({ row }) => row?.path === "profiles");
  return !isGiven && profiles.some(({ name }) => name === DEFAULT_PROFILE)
    ? { profiles: [DEFAULT_PROFILE] }
    : {};
}

function deletion({ kind, name, revision }: InventoryRecord): RecordChange {
  return { kind, name, revision, fields: undefined };
}
