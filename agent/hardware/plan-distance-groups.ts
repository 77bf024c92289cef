import type { CpuSet } from "./parse-cpu-set.ts";
import { insertObject, makeObject, type TopologyObject } from "./topology-tree.ts";

type Matrix = readonly (readonly number[])[];

/**
 * Adds a group above every set of memory nodes that are closer to each other than to the rest, then groups of those
 * groups, as hwloc does (hwloc__groups_by_distances of distances.c, with accuracy 0). `distances` is square, in
 * the order of `sets`.
 */
export function planDistanceGroups(
  machine: TopologyObject,
  sets: readonly CpuSet[],
  distances: Matrix,
): void {
  if (sets.length <= 2 || !isOrderly(distances)) return;
  let [members, matrix] = [sets, distances];
  for (let step = 0; members.length > 2; step++) {
    const groups = findGroups(matrix);
    if (groups.length === 0) return;
    const inserted = groups.map((group) =>
      insertObject(
        machine,
        makeObject(
          "group",
          group.reduce((all, index) => all | (members[index] ?? 0n), 0n),
          `distance ${step}`,
        ),
      ),
    );
    // One that cuts through other objects ends it.
    if (inserted.includes(undefined)) return;
    matrix = groups.map((rows) => groups.map((columns) => average(matrix, rows, columns)));
    members = inserted.map((object) => object?.cpus ?? 0n);
  }
}

/** Symmetric, and nothing as close to a node as itself. */
function isOrderly(matrix: Matrix): boolean {
  return matrix.every((row, from) =>
    row.every(
      (distance, to) =>
        to <= from || (distance === matrix[to]?.[from] && distance > (row[from] ?? Number.POSITIVE_INFINITY)),
    ),
  );
}

/**
 * Who is connected, directly or through others, by the smallest distance there is. Nothing when that is everybody.
 * Looks in hwloc's order and only from the first it found last time on, which in odd matrices misses connections.
 */
function findGroups(matrix: Matrix): readonly (readonly number[])[] {
  const least = Math.min(...matrix.flatMap((row, from) => row.filter((_, to) => to !== from)));
  const grouped = new Set<number>();
  const groups: number[][] = [];
  for (const first of matrix.keys()) {
    if (grouped.has(first)) continue;
    const group = findConnected(matrix, first, least, grouped);
    if (group.length === 1) continue;
    for (const member of group) grouped.add(member);
    groups.push(group);
  }
  return groups.length === 1 && grouped.size === matrix.length ? [] : groups;
}

function findConnected(matrix: Matrix, first: number, least: number, grouped: ReadonlySet<number>): number[] {
  const group = [first];
  for (let from: number | undefined = first; from !== undefined; ) {
    let found: number | undefined;
    for (let member = from; member < matrix.length; member++) {
      if (!group.includes(member)) continue;
      for (const [other, distance] of (matrix[member] ?? []).entries()) {
        if (distance !== least || group.includes(other) || grouped.has(other)) continue;
        group.push(other);
        found ??= other;
      }
    }
    from = found;
  }
  return group;
}

function average(matrix: Matrix, rows: readonly number[], columns: readonly number[]): number {
  const sum = rows.reduce(
    (all, row) => all + columns.reduce((part, column) => part + (matrix[row]?.[column] ?? 0), 0),
    0,
  );
  return Math.floor(sum / (rows.length * columns.length));
}
