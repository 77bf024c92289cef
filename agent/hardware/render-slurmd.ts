import type { SlurmHardware } from "#proto/contract/hardware-report.ts";

import type { SlurmGpus } from "./slurm-gpus.ts";
import { isSlurmAtLeast, type SlurmVersion } from "./slurm-version.ts";

export interface SlurmdOutput {
  readonly name: string;
  readonly hardware: SlurmHardware;
  readonly gpus: readonly SlurmGpus[];
  /** Whole seconds, as sysinfo(2) counts them; absent for a copy of a machine's files that lacks it. */
  readonly uptimeSeconds?: number;
  readonly version: SlurmVersion;
  readonly parameters?: string;
}

/** What `slurmd -C` of that version writes to stdout (_print_config of slurmd.c). */
export function renderSlurmd(output: SlurmdOutput): string {
  const { hardware, gpus, version, parameters, uptimeSeconds } = output;
  const found = isSlurmAtLeast(version, "24.11")
    ? gpus.map(({ autodetect, gres }) => ({ autodetect, text: renderGres(gres) }))
    : [];
  const words = [
    `NodeName=${cutAtDot(output.name)}`,
    `CPUs=${hardware.cpus}`,
    `Boards=${hardware.boards}`,
    `SocketsPerBoard=${hardware.socketsPerBoard}`,
    `CoresPerSocket=${hardware.coresPerSocket}`,
    `ThreadsPerCore=${hardware.threadsPerCore}`,
    `RealMemory=${hardware.realMemoryMib}`,
    ...(parameters !== undefined && isSlurmAtLeast(version, "25.11") ? [`Parameters=${parameters}`] : []),
    // Only what the first way of detecting finds; the lines below tell of the others too.
    ...(found[0] === undefined ? [] : [`Gres=${found[0].text}`]),
  ];
  const lines = [
    words.join(" "),
    ...found.map(
      ({ autodetect, text }) =>
        `Found ${text} with Autodetect=${autodetect} (Substring of gpu name may be used instead)`,
    ),
    ...(uptimeSeconds === undefined ? [] : [renderUptime(uptimeSeconds)]),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/** Slurm's short host name (gethostname_short): nothing else about it is changed. */
function cutAtDot(name: string): string {
  const [short = ""] = name.split(".");
  return short;
}

function renderGres(gres: SlurmHardware["gres"]): string {
  return gres
    .map(({ name, type, count }) => [name, ...(type === undefined ? [] : [type]), count].join(":"))
    .join(",");
}

function renderUptime(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const days = Math.floor(seconds / 86_400);
  return `UpTime=${days}-${two((seconds / 3600) % 24)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}
