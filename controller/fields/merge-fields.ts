import { MusterError } from "#proto/contract/muster-error.ts";

import { ownValue, unionKeys } from "./canonical-fields.ts";
import { FIELD_TABLE } from "./field-table.ts";
import {
  FIELD_TREE,
  type FieldGroup,
  type FieldLeaf,
  type FieldMap,
  type FieldNode,
  isPlain,
  type Plain,
} from "./field-tree.ts";
import type { Fields, Json } from "./fields.ts";

export type Profiles = ReadonlyMap<string, Fields>;

/** Merges fields with profiles that stay the same: what a list of profiles amounts to is worked out once. */
export interface FieldsMerger {
  /** `profile-unknown` when a profile that applies does not exist. */
  readonly merge: (own: Fields) => Fields;
}

/**
 * The effective fields of a node: those of its profiles in order, then its own. Canonical fields give canonical fields.
 *
 * | What            | Rule                                                                                        |
 * |-----------------|---------------------------------------------------------------------------------------------|
 * | profiles        | depth first: those a profile names apply before it; each once; "~x" anywhere takes x out     |
 * | scalars         | the later profile beats the earlier, the node beats all; what is absent beats nothing        |
 * | lists           | appended, profile after profile, the node's last; "~x" anywhere takes every x out, at the end |
 * | maps            | by key: devices, tags, disks, partitions, file systems                                      |
 * | resources       | nested maps merge, lists append, scalars replace; "~x" is a text like any there               |
 * | comment, profiles | the node's own only; likewise assetKey and discoverable                                   |
 */
export function mergeFields(own: Fields, profiles: Profiles): Fields {
  return openMerger(profiles).merge(own);
}

/** As {@link mergeFields}, for many nodes. The profiles must not change while it is used. */
export function openMerger(profiles: Profiles): FieldsMerger {
  const bases = new Map<string, { readonly raw: Plain; readonly done: Plain }>();
  const baseOf = (list: readonly string[]): { readonly raw: Plain; readonly done: Plain } => {
    const key = JSON.stringify(list);
    const known = bases.get(key);
    if (known !== undefined) return known;
    const raw = mergeRaw(expandProfiles(list, profiles).map((name) => inheritable(fieldsOf(name, profiles))));
    const base = { raw, done: (negated(FIELD_TREE, raw) ?? {}) as Plain };
    bases.set(key, base);
    return base;
  };
  return {
    merge: (own) => {
      const { raw, done } = baseOf(own.profiles ?? []);
      return mergeFinished(FIELD_TREE, raw, done, own) ?? {};
    },
  };
}

/**
 * The profiles that a list of them amounts to, in the order in which they apply. Cycles do no harm; a profile that does not
 * exist is in the result.
 */
export function expandProfiles(list: readonly string[], profiles: Profiles): readonly string[] {
  const visited = new Set<string>();
  const found: string[] = [];
  const visit = (names: readonly string[]): void => {
    for (const name of names) {
      if (name.startsWith("~")) found.push(name);
      else if (!visited.has(name)) {
        visited.add(name);
        visit(profiles.get(name)?.profiles ?? []);
        found.push(name);
      }
    }
  };
  visit(list);
  return withoutNegated(found);
}

/** A list without its "~x" and every x. */
export function withoutNegated(list: readonly string[]): readonly string[] {
  const out = new Set(list.filter((item) => item.startsWith("~")).map((item) => item.slice(1)));
  return out.size === 0 ? list : list.filter((item) => !item.startsWith("~") && !out.has(item));
}

/** The fields of a profile; `profile-unknown` without it. */
export function fieldsOf(name: string, profiles: Profiles, of?: string): Fields {
  const fields = profiles.get(name);
  if (fields !== undefined) return fields;
  throw new MusterError({
    code: "profile-unknown",
    what: `${of === undefined ? "" : `${of}: `}there is no profile ${JSON.stringify(name)}`,
    fix: `add it (muster profile add ${name}) or take it out of the list of profiles`,
  });
}

const KEPT_BACK = FIELD_TABLE.filter((row) => row.nodeOnly ?? row.notInherited ?? false).map(
  (row) => row.path,
);

/** What a profile hands on. */
export function inheritable(fields: Fields): Plain {
  const result: Record<string, Json | undefined> = { ...(fields as Plain) };
  for (const name of KEPT_BACK) Reflect.deleteProperty(result, name);
  return result;
}

/** What all of them say together, the later before the earlier, with every "~x" of their lists. */
export function mergeRaw(layers: readonly Plain[]): Plain {
  return layers.reduce((below, above) => mergeNode(FIELD_TREE, below, above) as Plain, {});
}

/** Maps by key, lists appended with their "~x", above before below. */
function mergeNode(node: FieldNode, below: unknown, above: unknown): unknown {
  if (above === undefined) return below;
  if (below === undefined) return above;
  if (node.kind === "leaf") return mergeLeaf(node, below, above);
  return mapChildren(node, below, above, (child, name) =>
    mergeNode(child, part(below, name), part(above, name)),
  );
}

/**
 * As mergeNode, then without "~x" and x. `raw` is what is below with them, `done` the same without: where a node has nothing
 * of its own it is shared by all nodes, and nothing is worked out again.
 */
function mergeFinished(node: FieldNode, raw: unknown, done: unknown, own: unknown): unknown {
  if (own === undefined) return done;
  if (raw === undefined) return negated(node, own);
  if (node.kind === "leaf") return negated(node, mergeLeaf(node, raw, own));
  return mapChildren(node, raw, own, (child, name) =>
    mergeFinished(child, part(raw, name), part(done, name), part(own, name)),
  );
}

function mergeLeaf(node: FieldLeaf, below: unknown, above: unknown): unknown {
  const { kind } = node.row.type;
  if (kind === "list") return [...(below as readonly string[]), ...(above as readonly string[])];
  return kind === "tags" || kind === "tree" ? mergeTree(below as Json, above as Json) : above;
}

/**
 * Warewulf 4.6 and 4.7 append lists in resources at any depth (mergo.WithAppendSlice in internal/pkg/node/mergo.go; the case
 * "resources" of mergo_test.go): the mounts in a node's fstab come after those of its profiles.
 */
function mergeTree(below: Json, above: Json): Json {
  if (Array.isArray(below) && Array.isArray(above)) {
    return [...(below as readonly Json[]), ...(above as readonly Json[])];
  }
  if (!isPlain(below) || !isPlain(above)) return above;
  const result: Record<string, Json> = {};
  for (const key of unionKeys(below, above)) {
    const low = ownValue(below, key);
    const high = ownValue(above, key);
    const merged = low === undefined ? high : high === undefined ? low : mergeTree(low, high);
    if (merged !== undefined) result[key] = merged;
  }
  return result;
}

/** The value without "~x" and x in its lists, and without what is empty then; itself when there is nothing to take out. */
function negated(node: FieldNode, value: unknown): unknown {
  if (value === undefined) return undefined;
  if (node.kind === "leaf") {
    if (node.row.type.kind !== "list" || node.row.notInherited === true) return value;
    const left = withoutNegated(value as readonly string[]);
    return left.length === 0 ? undefined : left;
  }
  let changes = 0;
  const result = mapChildren(node, value, value, (child, name) => {
    const before = part(value, name);
    const after = negated(child, before);
    if (after !== before) changes += 1;
    return after;
  });
  return changes === 0 ? value : result;
}

function mapChildren(
  node: FieldMap | FieldGroup,
  below: unknown,
  above: unknown,
  visit: (child: FieldNode, name: string) => unknown,
): Plain | undefined {
  const result: Record<string, Json> = {};
  let size = 0;
  const compare = node.kind === "map" ? undefined : node.compare;
  for (const name of unionKeys(below as Plain, above as Plain, compare)) {
    const child = node.kind === "map" ? node.child : node.children.get(name);
    const value = child === undefined ? undefined : visit(child, name);
    if (value === undefined) continue;
    result[name] = value as Json;
    size += 1;
  }
  return size === 0 ? undefined : result;
}

function part(value: unknown, name: string): unknown {
  return value === undefined ? undefined : ownValue(value as Plain, name);
}
