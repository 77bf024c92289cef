import { compareNodeNames } from "#proto/contract/node-set.ts";

import { diffFields, effectOf, type FieldDifference } from "../../fields/diff-fields.ts";
import { FIELD_TABLE, type FieldEffect } from "../../fields/field-table.ts";
import type { Fields, Json } from "../../fields/fields.ts";
import { type FieldsMerger, openMerger } from "../../fields/merge-fields.ts";
import type { InventoryRecord, InventoryState, RecordChange } from "../../inventory/changes.ts";

/** What differs in one field. `before` absent: it was not set. `after` absent: it is no more. */
export interface PreviewDifference {
  /** "devices.eno1.mtu". */
  readonly path: string;
  readonly before?: Json;
  readonly after?: Json;
  readonly effect: FieldEffect;
}

/** What happens to a record. */
type PreviewAction = "added" | "changed" | "deleted" | "renamed";

/** Records to which the same happens. */
export interface PreviewGroup {
  readonly action: PreviewAction;
  /** Names in natural order. */
  readonly names: readonly string[];
  /** Of a renamed record. */
  readonly renamedTo?: string;
  /** None for what is deleted. */
  readonly differences: readonly PreviewDifference[];
}

/** What a change would do. */
export interface Preview {
  /** Profiles as they are written. */
  readonly profiles: readonly (PreviewGroup & {
    /** Nodes that take something from them, before or after. */
    readonly reaches: readonly string[];
  })[];
  /** Nodes as they are in effect, profiles merged. */
  readonly nodes: readonly PreviewGroup[];
  /** Changed nodes of which nothing is different in effect: they only say it another way. */
  readonly unchanged: readonly string[];
  /** What follows, by node; a node stands under its strongest effect only, and a renamed one under its new name. */
  readonly effects: {
    readonly reboot: readonly string[];
    readonly refresh: readonly string[];
    readonly none: readonly string[];
  };
  /** Nodes about which DHCP answers otherwise at once: their names, MACs or addresses differ. */
  readonly dhcp: readonly string[];
  /** Runtime overlays that nodes gain, or have no more. */
  readonly runtimeOverlays: readonly string[];
}

/**
 * What the changes would make different, node by node in effect: a changed profile shows at the nodes it reaches. Only nodes
 * that the changes can reach are merged; when a profile changes, `state` must have all nodes.
 */
export function planPreview(state: InventoryState, changes: readonly RecordChange[]): Preview {
  const before = profilesOf(state.profiles);
  const renames = renamesOf(changes);
  const after = changedProfiles(state.profiles, changes, renames);
  const { nodes, reaches } = lookAtNodes(state, changes, { before, after, renames });
  const profiles = changes
    .filter((one) => one.kind === "profile")
    .map((one) => entryOf(one.name, before.get(one.name), one.fields, one));
  return {
    profiles: groupEntries(profiles).map((group) => ({
      ...group,
      reaches: sorted(new Set(group.names.flatMap((name) => reaches.get(name) ?? []))),
    })),
    nodes: groupEntries(nodes.filter(isDifferent)),
    unchanged: sorted(nodes.filter((entry) => !isDifferent(entry)).map(({ name }) => name)),
    effects: effectsOf(nodes.filter(isDifferent)),
    dhcp: sorted(nodes.filter(isNewsForDhcp).map(nameAfter)),
    runtimeOverlays: sorted(new Set(nodes.flatMap(runtimeOverlaysOf))),
  };
}

interface ProfileChanges {
  readonly before: ReadonlyMap<string, Fields>;
  readonly after: ReadonlyMap<string, Fields>;
  readonly renames: ReadonlyMap<string, string>;
}

/** Nodes that are changed, or of which a changed profile makes something else; and the nodes that each changed profile reaches. */
function lookAtNodes(
  state: InventoryState,
  changes: readonly RecordChange[],
  { before, after, renames }: ProfileChanges,
): { readonly nodes: readonly Entry[]; readonly reaches: ReadonlyMap<string, readonly string[]> } {
  const change = new Map(changes.flatMap((one) => (one.kind === "node" ? [[one.name, one]] : [])));
  const reached = reachableFrom(changes, [before, after]);
  const mergeBefore = openLenientMerger(before, state, changes).merge;
  const mergeAfter = openLenientMerger(after, state, changes).merge;
  const nodes: Entry[] = [];
  const reaches = new Map<string, string[]>();
  const known = new Set(state.nodes.map(({ name }) => name));
  const added = changes.filter(({ kind, name }) => kind === "node" && !known.has(name));
  for (const { name, fields: was } of [
    ...state.nodes,
    ...added.map(({ name }) => ({ name, fields: undefined })),
  ]) {
    const to = change.get(name);
    const is = to === undefined ? followRenames(was, renames) : to.fields;
    for (const profile of new Set([...(was?.profiles ?? []), ...(is?.profiles ?? [])])) {
      for (const changed of reached.get(profile) ?? []) append(reaches, changed, name);
    }
    if (to === undefined && !(was?.profiles ?? []).some((profile) => reached.has(profile))) continue;
    const entry = entryOf(name, was && mergeBefore(was), is && mergeAfter(is), to);
    if (to !== undefined || entry.differences.length > 0) nodes.push(entry);
  }
  return { nodes, reaches };
}

/** Old names of renamed profiles with the new ones. */
function renamesOf(changes: readonly RecordChange[]): ReadonlyMap<string, string> {
  return new Map(
    changes.flatMap(({ kind, name, renameTo }) =>
      kind === "profile" && renameTo !== undefined ? [[name, renameTo]] : [],
    ),
  );
}

/** Lists of profiles follow when a profile is renamed. */
function followRenames<F extends Fields | undefined>(fields: F, renames: ReadonlyMap<string, string>): F {
  if (renames.size === 0 || fields?.profiles === undefined) return fields;
  const profiles = fields.profiles.map((word) =>
    word.startsWith("~") ? `~${renames.get(word.slice(1)) ?? word.slice(1)}` : (renames.get(word) ?? word),
  );
  return { ...fields, profiles };
}

function changedProfiles(
  profiles: readonly InventoryRecord[],
  changes: readonly RecordChange[],
  renames: ReadonlyMap<string, string>,
): ReadonlyMap<string, Fields> {
  const after = new Map(profiles.map(({ name, fields }) => [name, followRenames(fields, renames)]));
  for (const { kind, name, fields, renameTo } of changes) {
    if (kind !== "profile") continue;
    if (fields === undefined || renameTo !== undefined) after.delete(name);
    if (fields !== undefined) after.set(renameTo ?? name, fields);
  }
  return after;
}

interface Entry {
  readonly name: string;
  readonly action: PreviewAction;
  readonly renamedTo?: string;
  readonly differences: readonly PreviewDifference[];
  /** Lists that the overlays can be read from, also of what is deleted. */
  readonly before: Fields | undefined;
  readonly after: Fields | undefined;
}

function entryOf(
  name: string,
  before: Fields | undefined,
  after: Fields | undefined,
  change: RecordChange | undefined,
): Entry {
  const action =
    before === undefined
      ? "added"
      : after === undefined
        ? "deleted"
        : change?.renameTo === undefined
          ? "changed"
          : "renamed";
  return {
    name,
    action,
    before,
    after,
    ...(change?.renameTo === undefined ? {} : { renamedTo: change.renameTo }),
    differences: action === "deleted" ? [] : differencesOf(before, after),
  };
}

/**
 * Profiles that do not exist, or no more, hand nothing on here: what is wrong with the change is told by the controller, all at
 * once.
 */
function openLenientMerger(
  profiles: ReadonlyMap<string, Fields>,
  state: InventoryState,
  changes: readonly RecordChange[],
): FieldsMerger {
  const all = new Map(profiles);
  const named = [...state.nodes, ...state.profiles, ...changes].flatMap(
    ({ fields }) => fields?.profiles ?? [],
  );
  for (const word of named) if (!word.startsWith("~") && !all.has(word)) all.set(word, {});
  return openMerger(all);
}

function differencesOf(before: Fields | undefined, after: Fields | undefined): readonly PreviewDifference[] {
  return diffFields(before, after).map((one) => {
    const effect = effectOf([one.path]);
    return isSecret(one.path) ? { ...hidden(one), effect } : { ...one, effect };
  });
}

const SECRETS = FIELD_TABLE.filter(({ type }) => type.kind === "secret").map(({ path }) => path.split("."));

function isSecret(path: string): boolean {
  const words = path.split(".");
  return SECRETS.some(
    (secret) =>
      secret.length === words.length && secret.every((word, at) => word === "*" || word === words[at]),
  );
}

/** That a secret differs is told, never what it is. */
function hidden({ path, before, after }: FieldDifference): FieldDifference {
  return {
    path,
    ...(before === undefined ? {} : { before: "(secret)" }),
    ...(after === undefined ? {} : { after: before === undefined ? "(secret)" : "(another secret)" }),
  };
}

function profilesOf(records: readonly InventoryRecord[]): ReadonlyMap<string, Fields> {
  return new Map(records.map(({ name, fields }) => [name, fields]));
}

/** Every profile through which a changed one is reached (itself included), with the changed ones it leads to. */
function reachableFrom(
  changes: readonly RecordChange[],
  graphs: readonly ReadonlyMap<string, Fields>[],
): ReadonlyMap<string, ReadonlySet<string>> {
  const users = new Map<string, Set<string>>();
  for (const graph of graphs) {
    for (const [name, { profiles }] of graph) {
      for (const used of profiles ?? []) {
        const known = users.get(used);
        if (known === undefined) users.set(used, new Set([name]));
        else known.add(name);
      }
    }
  }
  const reached = new Map<string, Set<string>>();
  for (const { kind, name, renameTo } of changes) {
    if (kind !== "profile") continue;
    const waiting = renameTo === undefined ? [name] : [name, renameTo];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      const leads = reached.get(at) ?? new Set();
      if (leads.has(name)) continue;
      reached.set(at, leads.add(name));
      waiting.push(...(users.get(at) ?? []));
    }
  }
  return reached;
}

function isDifferent(entry: Entry): boolean {
  return entry.action !== "changed" || entry.differences.length > 0;
}

/** Folded by identical change, in natural order of the first name of each. */
function groupEntries(entries: readonly Entry[]): readonly PreviewGroup[] {
  const groups = new Map<string, { readonly first: Entry; readonly names: string[] }>();
  for (const entry of entries) {
    const { action, renamedTo, differences } = entry;
    const key = JSON.stringify([action, renamedTo, differences]);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { first: entry, names: [entry.name] });
    else known.names.push(entry.name);
  }
  return [...groups.values()]
    .map(({ first: { action, renamedTo, differences }, names }) => ({
      action,
      names: sorted(names),
      ...(renamedTo === undefined ? {} : { renamedTo }),
      differences,
    }))
    .sort((a, b) => compareNodeNames(a.names[0] ?? "", b.names[0] ?? ""));
}

/** What follows is for the node as it is called then. */
function nameAfter({ name, renamedTo }: Entry): string {
  return renamedTo ?? name;
}

/** A new, renamed or deleted node is one with its next boot, whatever its fields are. */
function effectsOf(entries: readonly Entry[]): Preview["effects"] {
  const byEffect: Record<FieldEffect, string[]> = { reboot: [], refresh: [], none: [] };
  for (const entry of entries) {
    const { action, differences } = entry;
    if (action === "added" || action === "deleted") continue;
    const effect = action === "renamed" ? "reboot" : effectOf(differences.map(({ path }) => path));
    byEffect[effect].push(nameAfter(entry));
  }
  return {
    reboot: sorted(byEffect.reboot),
    refresh: sorted(byEffect.refresh),
    none: sorted(byEffect.none),
  };
}

const DHCP_PATH = /^(?:primaryDevice|devices\..+\.(?:mac|address|type))$/;

function isNewsForDhcp({ action, differences, before }: Entry): boolean {
  if (action === "renamed") return true;
  if (action === "deleted") {
    return Object.values(before?.devices ?? {}).some(({ mac }) => mac !== undefined);
  }
  return differences.some(({ path }) => DHCP_PATH.test(path));
}

function runtimeOverlaysOf({ before, after, action }: Entry): readonly string[] {
  if (action !== "changed") return [];
  const [was, is] = [before?.runtimeOverlays ?? [], after?.runtimeOverlays ?? []];
  return [...was.filter((name) => !is.includes(name)), ...is.filter((name) => !was.includes(name))];
}

function sorted(names: Iterable<string>): readonly string[] {
  return [...names].sort(compareNodeNames);
}

function append(lists: Map<string, string[]>, key: string, value: string): void {
  const known = lists.get(key);
  if (known === undefined) lists.set(key, [value]);
  else known.push(value);
}
