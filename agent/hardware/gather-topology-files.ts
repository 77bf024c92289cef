import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";

import { hasCpu, listCpus, parseCpuList } from "./parse-cpu-set.ts";
import { hasComputeUnits } from "./plan-topology.ts";
import { known } from "./read-sysfs.ts";
import type { CpuFiles, NodeFiles, TopologyFiles } from "./topology-files.ts";

/** Files of sysfs are one page at most. /proc/cpuinfo is longer, and only its beginning is wanted. */
const buffer = Buffer.allocUnsafe(4096);

/**
 * Reads what sysfs and procfs below `root` say about CPUs and memory nodes.
 * Synchronously: a machine has thousands of these files, each is read in microseconds, and the thread pool
 * would cost several times that for each.
 */
export function gatherTopologyFiles(root: string): TopologyFiles {
  const cpuInfo = (readText(join(root, "proc/cpuinfo")) ?? "").split("\n\n")[0] ?? "";
  const devices = join(root, "sys/devices");
  const performanceCores = readText(join(devices, "cpu_core/cpus"));
  return {
    cpuInfo,
    cpus: gatherCpus(join(devices, "system/cpu"), {
      coreIds: hasComputeUnits(cpuInfo),
      frequencies: performanceCores !== undefined,
    }),
    nodes: gatherNodes(root, join(devices, "system/node")),
    ...known({ performanceCores }),
  };
}

/** Files that only some machines' plans need. */
interface Extras {
  readonly coreIds: boolean;
  readonly frequencies: boolean;
}

function gatherCpus(directory: string, extras: Extras): readonly CpuFiles[] {
  const list = readText(join(directory, "online"));
  const online = list === undefined ? undefined : parseCpuList(list);
  const cpus = listNumbered(directory, "cpu").filter((cpu) =>
    online === undefined
      ? readText(join(directory, `cpu${cpu}`, "online"))?.trim() !== "0"
      : hasCpu(online, cpu),
  );
  return cpus.flatMap((cpu) => {
    const files = listNames(join(directory, `cpu${cpu}/topology`));
    return files === undefined ? [] : [gatherCpu(directory, cpu, new Set(files), extras)];
  });
}

function gatherCpu(directory: string, cpu: number, files: ReadonlySet<string>, extras: Extras): CpuFiles {
  const at = join(directory, `cpu${cpu}`);
  const read = (...names: readonly string[]): string | undefined => {
    const name = names.find((each) => files.has(each));
    return name === undefined ? undefined : readText(`${at}/topology/${name}`);
  };
  const texts = {
    core: read("core_cpus", "thread_siblings"),
    cluster: read("cluster_cpus"),
    die: read("die_cpus"),
    package: read("package_cpus", "core_siblings"),
    book: read("book_siblings"),
    drawer: read("drawer_siblings"),
    coreId: extras.coreIds ? read("core_id") : undefined,
    maxFrequency: extras.frequencies ? readText(`${at}/cpufreq/cpuinfo_max_freq`) : undefined,
    baseFrequency: extras.frequencies ? readText(`${at}/cpufreq/base_frequency`) : undefined,
  };
  return { cpu, l3: gatherL3(`${at}/cache`), ...known(texts) };
}

function gatherL3(directory: string): CpuFiles["l3"] {
  return listNumbered(directory, "index")
    .filter((index) => index < 10)
    .flatMap((index) => {
      const at = `${directory}/index${index}`;
      if (readText(`${at}/level`)?.trim() !== "3") return [];
      const cpus = readText(`${at}/shared_cpu_map`);
      if (cpus === undefined || readText(`${at}/type`)?.startsWith("Instruction") === true) return [];
      return [{ cpus, size: readText(`${at}/size`) ?? "" }];
    });
}

function gatherNodes(root: string, directory: string): readonly NodeFiles[] {
  const list = readText(join(directory, "online"));
  const ids = list === undefined ? listNumbered(directory, "node") : listCpus(parseCpuList(list));
  const gpus = gatherGpuMemory(root);
  return ids.map((id) => {
    const at = join(directory, `node${id}`);
    return {
      id,
      ...known({
        cpus: readText(join(at, "cpumap")),
        distances: readText(join(at, "distance")),
        initiators: gatherInitiators(at),
        gpuCpus: gpus.get(id),
      }),
    };
  });
}

/** access1 is of CPUs only; kernels before 5.10 have access0 alone. */
function gatherInitiators(node: string): readonly number[] | undefined {
  const names = listNames(join(node, "access1/initiators")) ?? listNames(join(node, "access0/initiators"));
  return names?.flatMap((name) => {
    const [, id] = /^node(\d+)/.exec(name) ?? [];
    return id === undefined ? [] : [Number(id)];
  });
}

/** Memory nodes that NVIDIA's driver says are memory of a GPU, and the CPUs close to that GPU. */
function gatherGpuMemory(root: string): ReadonlyMap<number, string> {
  const directory = join(root, "proc/driver/nvidia/gpus");
  return new Map(
    (listNames(directory) ?? []).flatMap((address) => {
      const [, node] = /Node:\s*(\d+)/.exec(readText(join(directory, address, "numa_status")) ?? "") ?? [];
      if (node === undefined) return [];
      return [[Number(node), readText(join(root, "sys/bus/pci/devices", address, "local_cpus")) ?? "0"]];
    }),
  );
}

/** Numbers of the entries "<prefix><number>", ascending. */
function listNumbered(directory: string, prefix: string): readonly number[] {
  const pattern = new RegExp(`^${prefix}(\\d+)$`);
  return (listNames(directory) ?? [])
    .flatMap((name) => pattern.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((one, other) => one - other);
}

function listNames(directory: string): readonly string[] | undefined {
  try {
    return readdirSync(directory);
  } catch {
    return undefined;
  }
}

/** The beginning of a file, empty if that is what it is; undefined when the kernel has none or no answer. */
function readText(path: string): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    return buffer.toString("latin1", 0, readSync(file, buffer, 0, buffer.length, 0));
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
