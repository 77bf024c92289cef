import type { SlurmHardware } from "#proto/contract/hardware-report.ts";

import { renderDeviceList } from "./render-device-list.ts";

/** A GPU as one of Slurm's plugins sees it. */
export interface GpuForSlurm {
  readonly model?: string;
  /** Its device file; absent when the driver does not tell. */
  readonly file?: string;
}

/**
 * GPUs counted by type, in the order in which each type comes first (src/interfaces/gres.c, _merge_by_type). A type is
 * the model in lower case with "_" for each blank (gpu_common.c): "nvidia_a100-sxm4-40gb".
 */
export function planSlurmGres(gpus: readonly GpuForSlurm[]): SlurmHardware["gres"] {
  const types = new Map<string, { count: number; readonly files: string[] }>();
  for (const { model, file } of gpus) {
    const type = (model ?? "").toLowerCase().replaceAll(" ", "_");
    const merged = types.get(type) ?? { count: 0, files: [] };
    types.set(type, merged);
    merged.count += 1;
    if (file !== undefined) merged.files.push(file);
  }
  return [...types].map(([type, { count, files }]) => ({
    name: "gpu",
    ...(type === "" ? {} : { type }),
    count,
    files: renderDeviceList(files),
  }));
}
