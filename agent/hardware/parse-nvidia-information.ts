/** One GPU as the NVIDIA driver describes it. */
export interface NvidiaInformation {
  /** "NVIDIA A100-SXM4-40GB"; older drivers leave the maker out: "Tesla V100-PCIE-16GB". */
  readonly model?: string;
  readonly uuid?: string;
  /** N of /dev/nvidiaN. */
  readonly minor?: number;
}

/** Reads /proc/driver/nvidia/gpus/ADDRESS/information (NVIDIA driver README, "/proc interface"). */
export function parseNvidiaInformation(text: string): NvidiaInformation {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:[ \\t]*(\\S.*)$`, "m").exec(text)?.[1]?.trim();
  const [model, uuid, minor] = [field("Model"), field("GPU UUID"), field("Device Minor")];
  return {
    ...(model === undefined ? {} : { model }),
    // Question marks: a driver that has not looked at the GPU yet.
    ...(uuid === undefined || uuid.includes("?") ? {} : { uuid }),
    ...(minor === undefined || !/^\d+$/.test(minor) ? {} : { minor: Number(minor) }),
  };
}
