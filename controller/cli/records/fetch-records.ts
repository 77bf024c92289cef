import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { Profiles } from "../../fields/merge-fields.ts";
import type { InventoryRecord, InventoryState, RecordKind } from "../../inventory/changes.ts";
import type { CliContext } from "../cli-context.ts";
import { fetchState } from "../changes/commit-changes.ts";
import { resolveNodes } from "../node-sets/resolve-nodes.ts";

/** Node refuses requests whose head is longer than 16 KiB (--max-http-header-size); brackets and commas take three bytes each. */
const LONGEST_QUERY = 4096;

/** All profiles as written, and no node. */
export async function fetchProfiles({ api }: Pick<CliContext, "api">): Promise<InventoryState> {
  const { profiles } = await api.get<Pick<InventoryState, "profiles">>("/profiles");
  return { nodes: [], profiles };
}

/** "gpu,compute" */
export function listOfNames(text: string): readonly string[] {
  return [...new Set(text.split(",").map((name) => name.trim()))].filter((name) => name !== "");
}

/** The records that a command names, in its order, and what it needs to see to change them. */
export async function chooseRecords(
  context: CliContext,
  kind: RecordKind,
  text: string,
): Promise<{ readonly state: InventoryState; readonly records: readonly InventoryRecord[] }> {
  if (kind === "profile") {
    const state = await fetchState(context);
    return { state, records: listOfNames(text).map((name) => knownProfile(name, state)) };
  }
  // in the order written, so that addresses count up as the operator sees them
  const names = await resolveNodes(context, text);
  const state = await fetchNodes(context, names);
  const byName = new Map(state.nodes.map((node) => [node.name, node]));
  return { state, records: names.flatMap((name) => byName.get(name) ?? []) };
}

/** These nodes as written, in natural order, and all profiles; `node-unknown` names what does not exist. */
export async function fetchNodes(
  context: CliContext,
  names: readonly string[],
  query: Omit<Parameters<typeof fetchState>[1] & object, "nodes"> = {},
): Promise<InventoryState> {
  const state = await fetchState(context, { ...namesQuery("nodes", names), ...query });
  const wanted = new Set(names);
  const nodes = state.nodes.filter(({ name }) => wanted.delete(name));
  if (wanted.size === 0) return { nodes, profiles: state.profiles };
  throw new MusterError({
    code: "node-unknown",
    what: `there is no node ${foldNodeSet(wanted)}`,
    fix: "`muster node list` shows all nodes",
  });
}

/** Thousands of names that do not fold are too long for a URL: then everything is asked for. */
export function namesQuery<K extends string>(
  key: K,
  names: readonly string[],
): { readonly [P in K]?: string } {
  const folded = foldNodeSet(names);
  return (folded.length > LONGEST_QUERY ? {} : { [key]: folded }) as { readonly [P in K]?: string };
}

/** The profile of this name; `profile-unknown` without one. */
export function knownProfile(name: string, { profiles }: InventoryState): InventoryRecord {
  const found = profiles.find((profile) => profile.name === name);
  if (found !== undefined) return found;
  throw new MusterError({
    code: "profile-unknown",
    what: `there is no profile ${JSON.stringify(name)}`,
    fix:
      profiles.length === 0
        ? `muster profile add ${name}`
        : `there are: ${profiles.map((profile) => profile.name).join(", ")}`,
  });
}

/** Every profile's fields as written, by name. */
export function profileFields({ profiles }: InventoryState): Profiles {
  return new Map(profiles.map(({ name, fields }) => [name, fields]));
}
