/**
 * What the kernel says about CPUs and memory nodes, as text, before anything is concluded from it.
 * Paths are those of sysfs (Linux, Documentation/ABI/stable/sysfs-devices-system-cpu and sysfs-devices-node).
 */
export interface TopologyFiles {
  /** CPUs that are online and have a topology directory, ascending. */
  readonly cpus: readonly CpuFiles[];
  /** Memory nodes that are online, ascending. */
  readonly nodes: readonly NodeFiles[];
  /** The first processor of /proc/cpuinfo; empty where there is none. */
  readonly cpuInfo: string;
  /** The list of Intel's performance cores, where there are others: cpus of the performance counter cpu_core. */
  readonly performanceCores?: string;
}

/** Masks are text: "0000ffff". */
export interface CpuFiles {
  readonly cpu: number;
  /** core_cpus, or thread_siblings of older kernels. */
  readonly core?: string;
  readonly cluster?: string;
  readonly die?: string;
  /** package_cpus, or core_siblings. */
  readonly package?: string;
  /** s390. */
  readonly book?: string;
  readonly drawer?: string;
  readonly coreId?: string;
  /** Of caches of level 3 that hold data. */
  readonly l3: readonly { readonly cpus: string; readonly size: string }[];
  /** cpuinfo_max_freq and base_frequency, in kHz: only where there is more than one kind of core. */
  readonly maxFrequency?: string;
  readonly baseFrequency?: string;
}

export interface NodeFiles {
  readonly id: number;
  readonly cpus?: string;
  /** To every node that is online, in their order. */
  readonly distances?: string;
  /** The nodes with the best access to this one; absent where the firmware says nothing (no HMAT). */
  readonly initiators?: readonly number[];
  /** It is the memory of an NVIDIA GPU, and these CPUs are close to that (local_cpus; empty when unknown). */
  readonly gpuCpus?: string;
}
