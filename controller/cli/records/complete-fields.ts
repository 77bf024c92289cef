import { parseFieldPath } from "../../fields/field-path.ts";
import type { Fields } from "../../fields/fields.ts";
import { openMerger } from "../../fields/merge-fields.ts";
import type { InventoryRecord, InventoryState, RecordKind } from "../../inventory/changes.ts";
import type { CliContext } from "../cli-context.ts";
import { fetchNodes, fetchProfiles, listOfNames, profileFields } from "./fetch-records.ts";
import { rowOfOption } from "./field-options.ts";
import {
  planSetPaths,
  planSettablePaths,
  planValueCandidates,
  rowAtPath,
  type ValueCandidates,
} from "./plan-field-completion.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

/** Words for the value of an option of a field, or of a selector; undefined when the option is neither. */
export async function completeFieldOption(
  context: CliContext,
  kind: RecordKind,
  option: string,
  names: string | undefined,
): Promise<readonly string[] | undefined> {
  const candidates = SELECTED[option];
  if (candidates !== undefined) {
    const { effective } = await chosen(context, kind, names);
    return [...new Set(effective.flatMap(candidates))];
  }
  const row = rowOfOption(option);
  if (row !== undefined) return valuesOf(context, kind, names, planValueCandidates(row.type));
  if (!option.endsWith("untag")) return undefined;
  const path = `${option.replace(/^--/, "").replace(/-?untag$/, "")}.`;
  const { written } = await chosen(context, kind, names);
  const prefix = path === "." ? "tags." : path === "bmc." ? "bmc.tags." : undefined;
  return planSetPaths(written).flatMap((set) => {
    const key = prefix === undefined ? /^devices\.[^.]+\.tags\.(.+)$/.exec(set)?.[1] : undefined;
    return key ?? (prefix !== undefined && set.startsWith(prefix) ? [set.slice(prefix.length)] : []);
  });
}

/** "devices.eno1.mtu=", and behind the sign what its value may be. */
export async function completeAssignment(
  context: CliContext,
  kind: RecordKind,
  names: string | undefined,
  word: string,
): Promise<readonly string[]> {
  const [, path, sign] = /^([^=]+?)([+-]?=)/.exec(word) ?? [];
  if (path !== undefined && sign !== undefined) {
    const row = rowAtPath(parseFieldPath(path));
    const values =
      row === undefined ? [] : await valuesOf(context, kind, names, planValueCandidates(row.type));
    return values.map((value) => `${path}${sign}${value}`);
  }
  const { effective } = await chosen(context, kind, names);
  return planSettablePaths(kind, effective).map((one) => `${one}=`);
}

/** Paths that the records have set. */
export async function completeSetPath(
  context: CliContext,
  kind: RecordKind,
  names: string | undefined,
): Promise<readonly string[]> {
  return planSetPaths((await chosen(context, kind, names)).written);
}

/** Names of profiles. */
export async function completeProfile(context: CliContext): Promise<readonly string[]> {
  return (await fetchProfiles(context)).profiles.map(({ name }) => name);
}

const SELECTED: Readonly<Record<string, (fields: Fields) => readonly string[]>> = {
  "--device": ({ devices = {} }) => Object.keys(devices),
  "--disk": ({ disks = {} }) => Object.keys(disks),
  "--partition": ({ disks = {} }) =>
    Object.values(disks).flatMap(({ partitions = {} }) => Object.keys(partitions)),
  "--file-system": ({ fileSystems = {} }) => Object.keys(fileSystems),
};

async function valuesOf(
  context: CliContext,
  kind: RecordKind,
  names: string | undefined,
  candidates: ValueCandidates,
): Promise<readonly string[]> {
  if ("words" in candidates) return candidates.words;
  const named = (items: readonly { readonly name: string }[]): readonly string[] =>
    items.map(({ name }) => name);
  switch (candidates.namesOf) {
    case "image":
      return named((await context.api.get<{ images: { name: string }[] }>("/images")).images);
    case "overlay":
      return named((await context.api.get<{ overlays: { name: string }[] }>("/overlays")).overlays);
    case "profile":
      return completeProfile(context);
    case "device": {
      const { effective } = await chosen(context, kind, names);
      return [...new Set(effective.flatMap(({ devices = {} }) => Object.keys(devices)))];
    }
  }
}

/** The records that the command line names so far; one without fields when it names none that exist. */
async function chosen(
  context: CliContext,
  kind: RecordKind,
  names: string | undefined,
): Promise<{ readonly written: readonly Fields[]; readonly effective: readonly Fields[] }> {
  const state = await stateOf(context, kind, names).catch(() => fetchProfiles(context));
  const wanted = kind === "profile" ? new Set(listOfNames(names ?? "")) : undefined;
  const records: readonly InventoryRecord[] =
    wanted === undefined ? state.nodes : state.profiles.filter(({ name }) => wanted.has(name));
  const merger = openMerger(profileFields(state));
  const written = records.length === 0 ? [{}] : records.map(({ fields }) => fields);
  return { written, effective: written.map(merger.merge) };
}

async function stateOf(
  context: CliContext,
  kind: RecordKind,
  names: string | undefined,
): Promise<InventoryState> {
  if (kind === "profile" || names === undefined) return fetchProfiles(context);
  return fetchNodes(context, await resolveNodes(context, names));
}
