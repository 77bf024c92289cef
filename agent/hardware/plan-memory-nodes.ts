import { type CpuSet, isIncluded, NO_CPUS, parseCpuMask } from "./parse-cpu-set.ts";
import { planDistanceGroups } from "./plan-distance-groups.ts";
import type { NodeFiles } from "./topology-files.ts";
import { insertObject, MEMORY_GROUP, makeObject, type TopologyObject } from "./topology-tree.ts";

interface MemoryNode {
  readonly id: number;
  cpus: CpuSet;
}

/**
 * Attaches the NUMA nodes to the tree as hwloc does (look_sysfsnode of topology-linux.c): where no object has
 * exactly the CPUs of a node, a group is made for it; nodes close to each other are grouped once more.
 * `keepsGpuMemory`: hwloc before 2.11 leaves out the nodes that are memory of NVIDIA GPUs.
 */
export function planMemoryNodes(
  machine: TopologyObject,
  files: readonly NodeFiles[],
  keepsGpuMemory: boolean,
): void {
  const nodes = makeNodes(files, keepsGpuMemory);
  const distances = files.length > 1 ? parseDistances(files) : undefined;
  for (const [index, node] of nodes.entries()) {
    if (node !== undefined && node.cpus !== NO_CPUS) addInitiators(node, files[index], nodes);
  }
  const withCpus = nodes.filter((node) => node !== undefined && node.cpus !== NO_CPUS);
  const without = nodes.filter((node) => node?.cpus === NO_CPUS);
  for (const [index, node] of nodes.entries()) {
    if (node !== undefined && without.includes(node)) placeWithoutCpus(node, index, files, nodes, distances);
  }
  for (const node of [...withCpus, ...without]) if (node !== undefined) attach(machine, node);
  const known = nodes.flatMap((node, index) => (node === undefined ? [] : [{ node, index }]));
  if (distances !== undefined) {
    planDistanceGroups(
      machine,
      known.map(({ node }) => node.cpus),
      known.map(({ index: row }) => known.map(({ index: column }) => distances[row]?.[column] ?? 0)),
    );
  }
  // Without any, all memory is one node (hwloc_discover).
  if (known.length === 0) attach(machine, { id: 0, cpus: machine.cpus });
}

/** undefined for nodes that are left out; their places stay, since the distances count them. */
function makeNodes(
  files: readonly NodeFiles[],
  keepsGpuMemory: boolean,
): readonly (MemoryNode | undefined)[] {
  let taken = NO_CPUS;
  return files.map(({ id, cpus, gpuCpus }) => {
    if (cpus === undefined) return undefined;
    const set = parseCpuMask(cpus);
    if ((set & taken) !== NO_CPUS) return undefined;
    taken |= set;
    if (gpuCpus === undefined) return { id, cpus: set };
    return keepsGpuMemory ? { id, cpus: parseCpuMask(gpuCpus) } : undefined;
  });
}

/** "10 21" of each node; undefined unless all are whole. */
function parseDistances(files: readonly NodeFiles[]): readonly (readonly number[])[] | undefined {
  const rows = files.map(({ distances = "" }) =>
    distances
      .trim()
      .split(/\s+/)
      .slice(0, files.length)
      .map((word) => Number.parseInt(word, 10)),
  );
  return rows.every((row) => row.length === files.length && row.every(Number.isSafeInteger))
    ? rows
    : undefined;
}

function addInitiators(
  node: MemoryNode,
  file: NodeFiles | undefined,
  nodes: readonly (MemoryNode | undefined)[],
): void {
  for (const other of nodes) {
    if (other !== undefined && other !== node && file?.initiators?.includes(other.id) === true) {
      node.cpus |= other.cpus;
    }
  }
}

/** Memory without CPUs belongs to the CPUs of its initiators, or of the nodes it is closest to. */
function placeWithoutCpus(
  node: MemoryNode,
  index: number,
  files: readonly NodeFiles[],
  nodes: readonly (MemoryNode | undefined)[],
  distances: readonly (readonly number[])[] | undefined,
): void {
  addInitiators(node, files[index], nodes);
  const row = distances?.[index];
  if (node.cpus !== NO_CPUS || row === undefined) return;
  const others = nodes.flatMap((other, position) =>
    other === undefined || other === node ? [] : [{ other, distance: row[position] ?? 0 }],
  );
  const nearest = Math.min(...others.map(({ distance }) => distance));
  const close = others.filter(({ distance }) => distance === nearest);
  // As far from all others, or no farther than from itself: that says nothing.
  if (close.length === 0 || nearest <= (row[index] ?? 0) || close.length === nodes.length - 1) return;
  for (const { other } of close) node.cpus |= other.cpus;
}

function attach(machine: TopologyObject, node: MemoryNode): void {
  const { memory } = findMemoryParent(machine, node.cpus);
  const place = memory.findIndex((id) => id > node.id);
  memory.splice(place === -1 ? memory.length : place, 0, node.id);
}

function findMemoryParent(machine: TopologyObject, cpus: CpuSet): TopologyObject {
  let [parent, above] = [machine, machine];
  while (cpus !== NO_CPUS) {
    const child = parent.children.find((each) => isIncluded(cpus, each.cpus));
    if (child === undefined) break;
    [above, parent] = [parent, child];
    if (child.cpus === cpus) break;
  }
  if (parent.type === "pu") parent = above;
  if (parent !== machine && parent.cpus === cpus) return parent;
  return insertObject(parent, makeObject("group", cpus, MEMORY_GROUP)) ?? parent;
}
