import { compareTypes, type TopologyObject } from "./topology-tree.ts";

/** The objects of one depth, left to right. All are of one kind. */
export type Level = readonly TopologyObject[];

/**
 * The tree in levels from the machine to the CPUs, after what hwloc does last: objects without CPUs and memory go,
 * and so does a level of groups that says no more than the level above or below it.
 * Changes the tree.
 */
export function planLevels(machine: TopologyObject): readonly Level[] {
  removeEmpty(machine);
  const levels = listLevels(machine);
  for (let index = levels.length - 1; index > 0; index--) {
    const [above, below] = [levels[index - 1], levels[index]];
    if (above === undefined || below === undefined || !isRedundant(above, below)) continue;
    // Of two levels of groups the upper one stays.
    if (below[0]?.type === "group") {
      for (const parent of above) replaceChild(parent);
      levels.splice(index, 1);
    } else {
      for (const [position, parent] of above.entries()) {
        const child = below[position];
        if (child !== undefined) replaceParent(machine, parent, child);
      }
      levels.splice(index - 1, 1);
    }
  }
  return levels;
}

function removeEmpty(object: TopologyObject): void {
  for (const child of object.children) removeEmpty(child);
  object.children = object.children.filter(
    ({ children, memory, cpus }) => children.length > 0 || memory.length > 0 || cpus !== 0n,
  );
}

/** hwloc_connect_levels: level by level whatever is topmost, the CPUs last. */
function listLevels(machine: TopologyObject): Level[] {
  const levels: Level[] = [[machine]];
  let objects = machine.children;
  while (objects.length > 0) {
    const top = findTopmost(objects);
    if (top === undefined) break;
    const next: TopologyObject[] = [];
    const level: TopologyObject[] = [];
    for (const object of objects) {
      if (compareTypes(top, object) === "equal") {
        level.push(object);
        next.push(...object.children);
      } else {
        next.push(object);
      }
    }
    levels.push(level);
    objects = next;
  }
  return levels;
}

function findTopmost(objects: Level): TopologyObject | undefined {
  let top = objects.find(({ type }) => type !== "pu") ?? objects[0];
  for (const object of objects) {
    if (top !== undefined && compareTypes(top, object) !== "equal" && holds(object, top)) top = object;
  }
  return top;
}

/** Whether an object of the same kind as `wanted` is at or below `object`. */
function holds(object: TopologyObject, wanted: TopologyObject): boolean {
  return compareTypes(object, wanted) === "equal" || object.children.some((child) => holds(child, wanted));
}

/** Whether one of the two levels consists of groups and each object of the upper has just one child, in the lower. */
function isRedundant(above: Level, below: Level): boolean {
  if (above[0]?.type !== "group" && below[0]?.type !== "group") return false;
  const ofCpus = below[0]?.type === "pu";
  return (
    above.length === below.length &&
    above.every(
      ({ children, memory }, position) =>
        children.length === 1 && children[0] === below[position] && !(ofCpus && memory.length > 0),
    )
  );
}

function replaceChild(parent: TopologyObject): void {
  const [child] = parent.children;
  if (child === undefined) return;
  parent.children = child.children;
  parent.memory.push(...child.memory);
}

function replaceParent(machine: TopologyObject, parent: TopologyObject, child: TopologyObject): void {
  const grandparent = findParent(machine, parent);
  if (grandparent === undefined) return;
  grandparent.children = grandparent.children.map((each) => (each === parent ? child : each));
  child.memory.unshift(...parent.memory);
}

function findParent(object: TopologyObject, child: TopologyObject): TopologyObject | undefined {
  if (object.children.includes(child)) return object;
  for (const each of object.children) {
    const found = findParent(each, child);
    if (found !== undefined) return found;
  }
  return undefined;
}
