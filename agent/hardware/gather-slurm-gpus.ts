import { existsSync } from "node:fs";
import { join } from "node:path";

import { gatherGpus } from "./gather-gpus.ts";
import { gatherPci } from "./gather-pci.ts";
import { hardwarePathsAt } from "./hardware-paths.ts";
import { parseNvidiaInformation } from "./parse-nvidia-information.ts";
import { type GpuForSlurm, planSlurmGres } from "./plan-slurm-gres.ts";
import { listNames, readText } from "./read-sysfs.ts";
import type { SlurmGpus } from "./slurm-gpus.ts";

/**
 * What Slurm's GPU autodetection would find on the machine whose root directory is `root`, by plugin. NVIDIA's
 * GPUs as the `nvidia` plugin finds them, which the `nvml` plugin names alike; it is that one when Slurm has it. The
 * parts of a GPU in MIG mode, which only `nvml` can tell apart, are not counted. AMD's as `rsmi` does, in so far as the
 * kernel knows their names.
 */
export function gatherSlurmGpus(root: string): readonly SlurmGpus[] {
  const paths = hardwarePathsAt(root);
  const nvidia = listNames(paths.nvidiaGpus)
    // gpu_nvidia.c: whatever has a name of five characters or more.
    .filter((name) => name.length > 4)
    // As the kernel lists /proc: hexadecimal addresses of one width, by their characters.
    .toSorted()
    .map((address): GpuForSlurm => {
      const { model, minor } = parseNvidiaInformation(
        readText(join(paths.nvidiaGpus, address, "information")) ?? "",
      );
      return {
        ...(model === undefined ? {} : { model }),
        ...(minor === undefined ? {} : { file: `/dev/nvidia${minor}` }),
      };
    });
  // Going through all PCI devices takes longer than all the rest: only where ROCm's driver is at work.
  const amd = (existsSync(paths.kfd) ? gatherGpus(paths, gatherPci(paths)) : [])
    .filter(({ vendor, device }) => vendor === "amd" && device !== undefined)
    // Without a name the kernel knows only the PCI id, which is no name to Slurm.
    .map(
      ({ model, device }): GpuForSlurm => ({
        ...(model.startsWith("1002:") ? {} : { model }),
        ...(device === undefined ? {} : { file: device }),
      }),
    );
  const hasNvml = paths.slurmPlugins.some((directory) => existsSync(join(directory, "gpu_nvml.so")));
  return [
    { autodetect: hasNvml ? "nvml" : "nvidia", gres: planSlurmGres(nvidia) },
    { autodetect: "rsmi", gres: planSlurmGres(amd) },
  ].filter(({ gres }) => gres.length > 0);
}
