import { join } from "node:path";

/** Where the kernel and the firmware tell what a machine is. */
export interface HardwarePaths {
  /** The machine's root directory. */
  readonly root: string;
  readonly kernelRelease: string;
  readonly cpuInfo: string;
  readonly memInfo: string;
  readonly cpus: string;
  readonly numaNodes: string;
  /** Fields of SMBIOS that the kernel shows as text. */
  readonly dmi: string;
  /** The whole SMBIOS table; for root only. */
  readonly dmiTable: string;
  readonly efi: string;
  /** What a machine without SMBIOS says of itself. */
  readonly deviceTree: string;
  readonly networks: string;
  readonly infiniband: string;
  readonly blocks: string;
  readonly pciDevices: string;
  readonly modules: string;
  readonly nvidiaGpus: string;
  /** There where the compute half of AMD's driver is at work. */
  readonly kfd: string;
  /** Where distributions and SchedMD's own packages put Slurm's plugins. */
  readonly slurmPlugins: readonly string[];
  /** The BMC as the kernel's driver shows it; there is none without the driver. */
  readonly ipmi: string;
}

/** The paths of the machine whose root directory is `root`: "/" in earnest, a copy of another machine's /proc and /sys. */
export function hardwarePathsAt(root: string): HardwarePaths {
  const at = (path: string): string => join(root, path);
  return {
    root,
    kernelRelease: at("proc/sys/kernel/osrelease"),
    cpuInfo: at("proc/cpuinfo"),
    memInfo: at("proc/meminfo"),
    cpus: at("sys/devices/system/cpu"),
    numaNodes: at("sys/devices/system/node"),
    dmi: at("sys/class/dmi/id"),
    dmiTable: at("sys/firmware/dmi/tables/DMI"),
    efi: at("sys/firmware/efi"),
    deviceTree: at("proc/device-tree"),
    networks: at("sys/class/net"),
    infiniband: at("sys/class/infiniband"),
    blocks: at("sys/block"),
    pciDevices: at("sys/bus/pci/devices"),
    modules: at("sys/module"),
    nvidiaGpus: at("proc/driver/nvidia/gpus"),
    kfd: at("sys/class/kfd"),
    slurmPlugins: [
      "usr/lib64/slurm",
      "usr/lib/slurm",
      "usr/lib/x86_64-linux-gnu/slurm-wlm",
      "usr/lib/x86_64-linux-gnu/slurm",
      "usr/lib/aarch64-linux-gnu/slurm-wlm",
      "usr/lib/aarch64-linux-gnu/slurm",
      "usr/local/lib/slurm",
    ].map(at),
    ipmi: at("sys/class/ipmi/ipmi0"),
  };
}

/** Programs asked for what /proc and /sys do not tell, found through PATH; none of them need be there. */
export const HARDWARE_PROGRAMS = {
  ethtool: "ethtool",
  ipmitool: "ipmitool",
  nvidiaSmi: "nvidia-smi",
} as const;
