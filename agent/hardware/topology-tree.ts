import { type CpuSet, firstOf } from "./parse-cpu-set.ts";

/** The kinds of object hwloc makes of Linux's files when Slurm asks it. */
export type ObjectType = "machine" | "group" | "package" | "die" | "l3" | "core" | "pu";

/** An object that holds CPUs. Changed in place while the tree grows. */
export interface TopologyObject {
  type: ObjectType;
  cpus: CpuSet;
  /** Of groups: why it is there. Two groups of the same origin can stand on one level. */
  origin?: string;
  children: TopologyObject[];
  /** Ids of the NUMA nodes attached here, ascending. */
  memory: number[];
}

/**
 * From the outside to the inside, for objects with the same CPUs (obj_type_order in hwloc's topology.c).
 * Only the order counts.
 */
const ORDER = { machine: 0, group: 1, package: 4, die: 5, l3: 8, core: 14, pu: 18 } as const;

/** Of two groups with the same CPUs the lower one stays (hwloc_group_kind_e in hwloc's private/private.h). */
const GROUP_RANK: Readonly<Record<string, number>> = { book: 110, drawer: 110, cluster: 222, memory: 1001 };
const DISTANCE_RANK = 900;

/** The origin of groups of NUMA nodes that are close to another. */
export const MEMORY_GROUP = "memory";

type Relation = "equal" | "included" | "contains" | "intersects" | "different";

export function makeObject(type: ObjectType, cpus: CpuSet, origin?: string): TopologyObject {
  return { type, cpus, children: [], memory: [], ...(origin === undefined ? {} : { origin }) };
}

/**
 * Puts `object` where its CPUs belong below `parent`, as hwloc___insert_object_by_cpuset does. The result is the
 * object itself, or the one it was merged into; undefined when its CPUs cut through those of another.
 */
export function insertObject(parent: TopologyObject, object: TopologyObject): TopologyObject | undefined {
  const before: TopologyObject[] = [];
  const inside: TopologyObject[] = [];
  let place: number | undefined;
  for (const child of parent.children) {
    const sets = compareSets(object.cpus, child.cpus);
    if (sets === "equal") {
      const merged = mergeGroups(child, object);
      if (merged !== undefined) return merged;
    }
    switch (sets === "equal" ? compareTypes(object, child) : sets) {
      case "equal":
        return child;
      case "included":
        return insertObject(child, object);
      case "intersects":
        return undefined;
      case "different":
        if (place === undefined && isBefore(object.cpus, child.cpus)) place = before.length;
        before.push(child);
        break;
      case "contains":
        inside.push(child);
        if (sets === "equal") object.memory = child.memory.splice(0);
        break;
    }
  }
  before.splice(place ?? before.length, 0, object);
  parent.children = before;
  object.children = inside;
  return object;
}

/** Whether objects are of one kind; which contains the other when they have the same CPUs. */
export function compareTypes(one: TopologyObject, other: TopologyObject): Relation {
  const difference = ORDER[one.type] - ORDER[other.type];
  if (difference > 0) return "included";
  if (difference < 0) return "contains";
  return one.origin === other.origin ? "equal" : "different";
}

function compareSets(one: CpuSet, other: CpuSet): Relation {
  if (one === 0n || other === 0n) return "different";
  if (one === other) return "equal";
  const common = one & other;
  if (common === 0n) return "different";
  if (common === one) return "included";
  return common === other ? "contains" : "intersects";
}

/** By the first CPU; without any comes last. */
function isBefore(one: CpuSet, other: CpuSet): boolean {
  if (one === 0n) return false;
  return other === 0n || firstOf(one) < firstOf(other);
}

/** A group gives way to whatever has the same CPUs: the one that stays, or undefined when both do. */
function mergeGroups(old: TopologyObject, added: TopologyObject): TopologyObject | undefined {
  if (old.type === "group" && added.type === "group") {
    if (rankOf(added) < rankOf(old)) replace(old, added);
    return old;
  }
  // Memory is never attached to a single CPU: there the group has to stay.
  if (added.type === "group") return old.type === "pu" && added.origin === MEMORY_GROUP ? undefined : old;
  if (old.type !== "group" || (added.type === "pu" && old.origin === MEMORY_GROUP)) return undefined;
  replace(old, added);
  return old;
}

function replace(old: TopologyObject, added: TopologyObject): void {
  old.type = added.type;
  if (added.origin === undefined) delete old.origin;
  else old.origin = added.origin;
}

function rankOf({ origin = "" }: TopologyObject): number {
  return GROUP_RANK[origin] ?? DISTANCE_RANK;
}
