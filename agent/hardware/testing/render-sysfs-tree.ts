import { type CpuSet, listCpus, parseCpuList } from "../parse-cpu-set.ts";

/** What stands between the machine and its CPUs, from the outside to the inside. */
type LevelType = "drawer" | "book" | "numa" | "package" | "die" | "cluster" | "l3" | "core" | "pu";

/** A machine in a few words, for tests. */
export interface MachineDescription {
  /** "package:2 numa:2 core:4 pu:2": each package has two memory nodes, each of those four cores of two threads. */
  readonly levels: string;
  /** CPU numbers run over the first threads of all cores before the second ones, as on most Intel machines. */
  readonly threadsLast?: boolean;
  /** A list of CPUs that are not online. */
  readonly offline?: string;
  /** CPU lists of the memory nodes, in place of the level "numa". */
  readonly nodes?: readonly string[];
  /** Between memory nodes: rows of numbers. */
  readonly distances?: readonly (readonly number[])[];
  /** By memory node: those that firmware says are closest to it. */
  readonly initiators?: Readonly<Record<number, readonly number[]>>;
  /** By CPU: other CPU lists than follow from the levels. An empty one leaves the file out. */
  readonly masks?: Readonly<Record<number, Readonly<Partial<Record<LevelType, string>>>>>;
  /** thread_siblings and core_siblings, as kernels before 5.2 call the files. */
  readonly hasOldNames?: boolean;
  /** /sys/devices/system/cpu/online is missing; each CPU has a file of its own. */
  readonly lacksOnlineList?: boolean;
  readonly l3Size?: string;
  /** The first processor of /proc/cpuinfo. */
  readonly cpuInfo?: string;
  /** Of uname(2). */
  readonly architecture?: string;
  /** By CPU; only where threads are known by it. */
  readonly coreIds?: readonly number[];
  /** CPU lists of Intel's kinds of core. */
  readonly performanceCores?: string;
  readonly efficientCores?: string;
  /** By CPU: cpuinfo_max_freq and base_frequency in MHz. */
  readonly frequencies?: Readonly<Record<number, readonly [max: number, base: number]>>;
  /** Memory nodes that are memory of NVIDIA GPUs, and the list of CPUs close to those. */
  readonly gpuMemory?: Readonly<Record<number, string>>;
}

interface PlacedCpu {
  readonly cpu: number;
  /** Which object of each level it is in, counted over the whole machine. */
  readonly objects: ReadonlyMap<LevelType, number>;
}

/** By level, the CPUs of each of its objects. */
type LevelSets = ReadonlyMap<LevelType, readonly CpuSet[]>;

/** The files below /sys and /proc of such a machine, by path relative to its root directory. */
export function renderSysfsTree(description: MachineDescription): ReadonlyMap<string, string> {
  const placed = placeCpus(description);
  const offline = new Set(listCpus(parseCpuList(description.offline ?? "")));
  const online = placed.filter(({ cpu }) => !offline.has(cpu));
  const sets = new Map(
    (["drawer", "book", "package", "die", "cluster", "l3", "core"] as const).map(
      (type) => [type, listLevelSets(online, type)] as const,
    ),
  );
  const files = new Map<string, string>();
  const cpuDirectory = "sys/devices/system/cpu";
  if (description.lacksOnlineList !== true) {
    files.set(`${cpuDirectory}/online`, renderList(online.map(({ cpu }) => cpu)));
  }
  for (const { cpu } of placed) {
    if (description.lacksOnlineList === true || offline.has(cpu)) {
      files.set(`${cpuDirectory}/cpu${cpu}/online`, offline.has(cpu) ? "0" : "1");
    }
  }
  for (const cpu of online) {
    for (const [path, text] of renderCpu(description, cpu, sets)) {
      files.set(`${cpuDirectory}/cpu${cpu.cpu}/${path}`, text);
    }
  }
  for (const [path, text] of renderNodes(description, online)) files.set(path, text);
  if (description.performanceCores !== undefined) {
    files.set("sys/devices/cpu_core/cpus", description.performanceCores);
    files.set("sys/devices/cpu_atom/cpus", description.efficientCores ?? "");
  }
  files.set("proc/cpuinfo", description.cpuInfo ?? "");
  files.set("proc/meminfo", "MemTotal:       24684096 kB");
  // hwloc reads this of trees that are not the machine it runs on.
  if (description.architecture !== undefined) {
    files.set("proc/hwloc-nofile-info", `Architecture: ${description.architecture}`);
  }
  return new Map([...files].map(([path, text]) => [path, `${text}\n`]));
}

function placeCpus({ levels, threadsLast = false }: MachineDescription): readonly PlacedCpu[] {
  const counts = levels.split(" ").map((word) => {
    const [type, count] = word.split(":");
    return { type: type as LevelType, count: Number(count) };
  });
  const total = counts.reduce((product, { count }) => product * count, 1);
  const threads = counts.at(-1)?.count ?? 1;
  const cores = total / threads;
  return Array.from({ length: total }, (_, place) => {
    const objects = new Map<LevelType, number>();
    let size = total;
    for (const { type, count } of counts) {
      size /= count;
      objects.set(type, Math.floor(place / size));
    }
    const cpu = threadsLast ? Math.floor(place / threads) + (place % threads) * cores : place;
    return { cpu, objects };
  }).sort((one, other) => one.cpu - other.cpu);
}

function renderCpu(
  description: MachineDescription,
  self: PlacedCpu,
  sets: LevelSets,
): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const add = (path: string, type: LevelType): void => {
    const set = cpusOf(description, self, type, sets);
    if (set !== undefined) files.set(path, renderMask(set));
  };
  const names = description.hasOldNames
    ? { core: "thread_siblings", package: "core_siblings" }
    : { core: "core_cpus", package: "package_cpus" };
  add(`topology/${names.core}`, "core");
  add(`topology/${names.package}`, "package");
  add("topology/die_cpus", "die");
  add("topology/cluster_cpus", "cluster");
  add("topology/book_siblings", "book");
  add("topology/drawer_siblings", "drawer");
  for (const type of ["book", "drawer", "package"] as const) {
    const id = self.objects.get(type);
    if (id !== undefined) files.set(`topology/${type === "package" ? "physical_package" : type}_id`, `${id}`);
  }
  const coreId = description.coreIds?.[self.cpu] ?? self.objects.get("core");
  if (coreId !== undefined) files.set("topology/core_id", `${coreId}`);
  files.set("cache/index0/level", "1");
  files.set("cache/index0/type", "Data");
  files.set("cache/index0/shared_cpu_map", renderMask(1n << BigInt(self.cpu)));
  const l3 = cpusOf(description, self, "l3", sets);
  if (l3 !== undefined) {
    files.set("cache/index1/level", "3");
    files.set("cache/index1/type", "Unified");
    files.set("cache/index1/size", description.l3Size ?? "32768K");
    files.set("cache/index1/shared_cpu_map", renderMask(l3));
  }
  const [max, base] = description.frequencies?.[self.cpu] ?? [];
  if (max !== undefined) files.set("cpufreq/cpuinfo_max_freq", `${max * 1000}`);
  if (base !== undefined && base > 0) files.set("cpufreq/base_frequency", `${base * 1000}`);
  return files;
}

/** Who is in the same object of that level; undefined when there is no such level. */
function cpusOf(
  { masks }: MachineDescription,
  self: PlacedCpu,
  type: LevelType,
  sets: LevelSets,
): CpuSet | undefined {
  const override = masks?.[self.cpu]?.[type];
  if (override !== undefined) return override === "" ? undefined : parseCpuList(override);
  const own = self.objects.get(type);
  return own === undefined ? undefined : sets.get(type)?.[own];
}

function renderNodes(
  description: MachineDescription,
  online: readonly PlacedCpu[],
): ReadonlyMap<string, string> {
  const { distances, initiators = {}, gpuMemory = {} } = description;
  const sets = description.nodes?.map(parseCpuList) ?? listLevelSets(online, "numa");
  const files = new Map<string, string>();
  const directory = "sys/devices/system/node";
  if (sets.length > 0) files.set(`${directory}/online`, renderList([...sets.keys()]));
  for (const [id, set] of sets.entries()) {
    const row = distances?.[id] ?? sets.map((_, other) => (other === id ? 10 : 20));
    files.set(`${directory}/node${id}/cpumap`, renderMask(set));
    files.set(`${directory}/node${id}/distance`, row.join(" "));
    for (const other of initiators[id] ?? []) {
      files.set(`${directory}/node${id}/access0/initiators/node${other}/online`, "1");
    }
    const close = gpuMemory[id];
    if (close !== undefined) {
      const address = `0000:${id.toString(16).padStart(2, "0")}:00.0`;
      files.set(`proc/driver/nvidia/gpus/${address}/numa_status`, `Node: ${id}`);
      files.set(`sys/bus/pci/devices/${address}/local_cpus`, renderMask(parseCpuList(close)));
    }
  }
  return files;
}

function listLevelSets(online: readonly PlacedCpu[], type: LevelType): readonly CpuSet[] {
  const sets: CpuSet[] = [];
  for (const { cpu, objects } of online) {
    const id = objects.get(type);
    if (id !== undefined) sets[id] = (sets[id] ?? 0n) | (1n << BigInt(cpu));
  }
  // A node whose CPUs are all offline is still a node.
  return Array.from(sets, (set: CpuSet | undefined) => set ?? 0n);
}

/** As the kernel prints masks: words of eight digits, highest first. */
function renderMask(set: CpuSet): string {
  const digits = set.toString(16);
  const padded = digits.padStart(Math.ceil(digits.length / 8) * 8, "0");
  return padded.match(/.{8}/g)?.join(",") ?? "";
}

function renderList(numbers: readonly number[]): string {
  return numbers.join(",");
}
