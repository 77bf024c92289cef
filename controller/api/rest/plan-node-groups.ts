import { closestWords } from "#proto/contract/closest-words.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { compareNodeNames } from "#proto/contract/node-set.ts";
import type { NodeGroups } from "#proto/contract/node-set/evaluate-node-set.ts";
import { isLike } from "#proto/contract/node-set/expand-node-pattern.ts";

import { expandProfiles, type Profiles } from "../../fields/merge-fields.ts";
import type { InventoryState } from "../../inventory/changes.ts";
import type { Node } from "../../inventory/inventory.ts";
import type { NodeState } from "../../sessions/fleet.ts";

/** What groups of nodes are made of. */
export interface GroupFacts {
  /** Effective, in natural order of their names. */
  readonly nodes: readonly Pick<Node, "name" | "image" | "overlays" | "tags">[];
  /** As written: which profiles a node has. */
  readonly records: InventoryState;
  readonly images: readonly string[];
  /** Image of nodes that name none. */
  readonly defaultImage: string | undefined;
  readonly overlays: readonly string[];
  /** With those of the site. */
  readonly runtimeOverlaysOf: (node: NodeName) => readonly string[];
  readonly stateOf: (node: NodeName) => NodeState;
}

/** What stands before the ":" of a group. */
const SOURCES = ["profile", "image", "overlay", "state", "tag"] as const;
type Source = (typeof SOURCES)[number];

const STATES: readonly NodeState[] = ["new", "booting", "ready", "unreachable", "failed"];
/** A node is up when it is in this state: its session is open and its boot is over. */
const UP: NodeState = "ready";

/** The nodes of each group of a source, by the group's name; groups that nobody is in are there too. */
type GroupIndex = ReadonlyMap<string, readonly NodeName[]>;

/**
 * The groups there are. `profile:X`: nodes that take fields from X, also by way of another profile. `image:X`: nodes that boot
 * it. `overlay:X`: system and runtime overlays alike. `state:X` and `up`: what nodes are now. `tag:K`, `tag:K=V`. Names may have
 * the wildcards `*` and `?`. A group that does not exist is an error, with the names that may have been meant.
 */
export function planNodeGroups(facts: GroupFacts): NodeGroups {
  const indexes = new Map<Source, GroupIndex>();
  const indexOf = (source: Source): GroupIndex => {
    const known = indexes.get(source);
    if (known !== undefined) return known;
    const index = planIndex(facts, source);
    indexes.set(source, index);
    return index;
  };
  return (source, name) => {
    if (name === undefined) {
      if (source === "all") return facts.nodes.map((node) => node.name);
      if (source === "up") return indexOf("state").get(UP) ?? [];
      throw unknownGroup(
        source,
        SOURCES.filter((of) => of !== "tag" && indexOf(of).has(source)),
      );
    }
    if (!isSource(source)) throw unknownSource(source, name);
    const index = indexOf(source);
    return index.get(name) ?? matching(index, name) ?? throwUnknownName(source, name, index);
  };
}

/** All groups with at least a name of their own: "all", "up", "profile:gpu". In the order of {@link SOURCES}. */
export function listNodeGroups(
  facts: GroupFacts,
): readonly { readonly name: string; readonly count: number }[] {
  const groups = planNodeGroups(facts);
  const general = ["all", "up"].map((name) => ({ name, count: [...groups(name, undefined)].length }));
  const named = SOURCES.flatMap((source) =>
    [...planIndex(facts, source)]
      .sort(([a], [b]) => compareNodeNames(a, b))
      .map(([name, nodes]) => ({ name: `${source}:${name}`, count: nodes.length })),
  );
  return [...general, ...named];
}

function planIndex(facts: GroupFacts, source: Source): GroupIndex {
  const { known, of } = planSource(facts, source);
  const index = new Map<string, NodeName[]>(known.map((name) => [name, []]));
  for (const node of facts.nodes) {
    for (const name of new Set(of(node))) {
      const members = index.get(name);
      if (members === undefined) index.set(name, [node.name]);
      else members.push(node.name);
    }
  }
  return index;
}

interface GroupSource {
  /** Groups that are there without anybody in them. */
  readonly known: readonly string[];
  readonly of: (node: GroupFacts["nodes"][number]) => readonly string[];
}

function planSource(facts: GroupFacts, source: Source): GroupSource {
  switch (source) {
    case "profile": {
      const profiles: Profiles = new Map(facts.records.profiles.map(({ name, fields }) => [name, fields]));
      const byNode = planProfiles(facts.records, profiles);
      return { known: [...profiles.keys()], of: ({ name }) => byNode.get(name) ?? [] };
    }
    case "image": {
      const { images, defaultImage } = facts;
      const byDefault = defaultImage === undefined ? [] : [defaultImage];
      return { known: images, of: ({ image }) => (image === undefined ? byDefault : [image]) };
    }
    case "overlay":
      return {
        known: facts.overlays,
        of: ({ name, overlays }) => [...overlays, ...facts.runtimeOverlaysOf(name)],
      };
    case "state":
      return { known: STATES, of: ({ name }) => [facts.stateOf(name)] };
    case "tag":
      return {
        known: [],
        of: ({ tags }) => Object.entries(tags).flatMap(([key, value]) => [key, `${key}=${value}`]),
      };
  }
}

/** The profiles of each node; nodes with equal lists share one. */
function planProfiles({ nodes }: InventoryState, profiles: Profiles): ReadonlyMap<string, readonly string[]> {
  const expanded = new Map<string, readonly string[]>();
  return new Map(
    nodes.map(({ name, fields }) => {
      const list = fields.profiles ?? [];
      const key = list.join(" ");
      const found = expanded.get(key) ?? expandProfiles(list, profiles);
      expanded.set(key, found);
      return [name, found];
    }),
  );
}

/** The nodes of all groups that look like the name; undefined when it has no wildcards, or no group does. */
function matching(index: GroupIndex, name: string): readonly NodeName[] | undefined {
  if (!/[*?]/.test(name)) return undefined;
  const groups = [...index].filter(([group]) => isLike(group, name));
  if (groups.length === 0) return undefined;
  const nodes = new Set(groups.flatMap(([, members]) => members));
  return [...nodes].sort(compareNodeNames);
}

function isSource(text: string): text is Source {
  return (SOURCES as readonly string[]).includes(text);
}

function unknownSource(source: string, name: string): MusterError {
  const [close] = closestWords(source, SOURCES);
  return new MusterError({
    code: "node-set-invalid",
    what: `there are no groups of ${JSON.stringify(source)}`,
    fix:
      close === undefined
        ? `write ${SOURCES.slice(0, -1).join(", ")} or ${SOURCES.at(-1) ?? ""}, as in @profile:NAME`
        : `did you mean @${close}:${name}?`,
  });
}

function unknownGroup(name: string, sources: readonly string[]): MusterError {
  const close = [...sources.map((source) => `${source}:${name}`), ...closestWords(name, ["all", "up"])];
  return new MusterError({
    code: "node-set-invalid",
    what: `there is no group @${name}`,
    fix:
      close.length > 0
        ? `did you mean ${close.map((group) => `@${group}`).join(" or ")}?`
        : "`muster nodeset groups` shows all groups",
  });
}

function throwUnknownName(source: Source, name: string, index: GroupIndex): never {
  const close = closestWords(name, index.keys());
  const what = source === "tag" ? "no node has the tag" : `there is no ${source}`;
  throw new MusterError({
    code: "node-set-invalid",
    what: `${what} ${JSON.stringify(name)}`,
    fix:
      close.length > 0
        ? `did you mean ${close.map((group) => `@${source}:${group}`).join(" or ")}?`
        : "`muster nodeset groups` shows all groups",
  });
}
