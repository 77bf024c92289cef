/**
 * What a machine is, as its agent reports it and `muster-agent hardware --json` prints it. Fields that nothing on the
 * machine tells are absent; empty lists mean that there are none. Nothing in it changes while the machine is
 * not changed: no temperatures, no counters, no times.
 */
export interface HardwareReport {
  readonly schema: 1;
  /** What `slurmd -C` says. */
  readonly slurm: SlurmHardware;
  readonly system: {
    readonly vendor?: string;
    readonly product?: string;
    readonly version?: string;
    readonly serial?: string;
    readonly uuid?: string;
  };
  readonly board: {
    readonly vendor?: string;
    readonly product?: string;
    readonly version?: string;
    readonly serial?: string;
  };
  readonly firmware: {
    readonly type: "bios" | "efi";
    readonly vendor?: string;
    readonly version?: string;
    /** As the firmware writes it: "04/01/2014". */
    readonly date?: string;
  };
  readonly cpu: {
    /** "x86_64", "aarch64". */
    readonly architecture: string;
    readonly vendor?: string;
    readonly model?: string;
    readonly family?: number;
    readonly modelNumber?: number;
    readonly stepping?: number;
    readonly microcode?: string;
    readonly maxMhz?: number;
    /** Of /proc/cpuinfo, sorted. */
    readonly flags: readonly string[];
    /** How many of each there are in the machine. */
    readonly caches: readonly {
      readonly level: number;
      readonly type: "data" | "instruction" | "unified";
      readonly sizeBytes: number;
      readonly count: number;
    }[];
    /** Logical CPUs the kernel knows and has not brought up, as a list: "4-7". */
    readonly offline?: string;
  };
  readonly numa: readonly {
    readonly id: number;
    /** "0-15,32-47". */
    readonly cpus: string;
    readonly memoryBytes: number;
    /** To every node, in the order of their ids. */
    readonly distances: readonly number[];
  }[];
  readonly memory: {
    /** What the kernel has (MemTotal), not what is plugged in; whole MiB. */
    readonly totalBytes: number;
    /** What firmware says is plugged in; absent when it cannot be read. */
    readonly modules?: readonly {
      readonly slot: string;
      readonly sizeBytes: number;
      readonly type?: string;
      /** Transfers per second in millions. */
      readonly speedMts?: number;
      readonly vendor?: string;
      readonly part?: string;
      readonly serial?: string;
    }[];
  };
  readonly networks: readonly {
    readonly name: string;
    /** The one it was made with, also while it is in a bond. Absent for IP over InfiniBand. */
    readonly mac?: string;
    readonly driver?: string;
    readonly firmware?: string;
    /** Of the link; absent when there is none. */
    readonly speedMbps?: number;
    readonly isUp: boolean;
    readonly pciAddress?: string;
  }[];
  readonly infiniband: readonly {
    /** "mlx5_0". */
    readonly name: string;
    readonly type?: string;
    readonly firmware?: string;
    readonly guid?: string;
    readonly ports: readonly {
      readonly port: number;
      /** "Active", "Down", ... */
      readonly state: string;
      readonly rateGbps?: number;
      /** "InfiniBand" or "Ethernet". */
      readonly linkLayer?: string;
    }[];
  }[];
  readonly disks: readonly {
    readonly name: string;
    readonly sizeBytes: number;
    readonly model?: string;
    readonly serial?: string;
    readonly firmware?: string;
    readonly isRotational: boolean;
    /** "nvme", "sata", "sas", "virtio", "usb", ... */
    readonly transport?: string;
  }[];
  readonly gpus: readonly {
    readonly vendor: "nvidia" | "amd" | "intel";
    readonly model: string;
    readonly uuid?: string;
    readonly memoryBytes?: number;
    readonly driver?: string;
    readonly pciAddress: string;
    /** Device file: "/dev/nvidia0". */
    readonly device?: string;
  }[];
  readonly pci: readonly {
    readonly address: string;
    /** Class, vendor, device, subsystem: lower-case hex without 0x. */
    readonly class: string;
    readonly vendor: string;
    readonly device: string;
    readonly subsystem?: string;
    readonly driver?: string;
    readonly link?: {
      /** Absent for GPUs and other accelerators: they lower it while they have nothing to do. */
      readonly speedGts?: number;
      readonly width: number;
      readonly maxSpeedGts: number;
      readonly maxWidth: number;
    };
  }[];
  readonly bmc?: {
    /** IPv4 of LAN channel 1. */
    readonly address?: string;
    readonly mac?: string;
    readonly firmware?: string;
  };
  readonly kernel: string;
}

/** The NodeName line of `slurmd -C` without the name, in numbers. */
export interface SlurmHardware {
  readonly cpus: number;
  readonly boards: number;
  readonly socketsPerBoard: number;
  readonly coresPerSocket: number;
  readonly threadsPerCore: number;
  readonly realMemoryMib: number;
  /** GPUs as Slurm's autodetection names and counts them, in its order. */
  readonly gres: readonly {
    readonly name: "gpu";
    /** "nvidia_a100-sxm4-40gb"; absent when Slurm would name none. */
    readonly type?: string;
    readonly count: number;
    /** Device files in slurm's list form, "/dev/nvidia[0-3]", for gres.conf. */
    readonly files: string;
  }[];
}
