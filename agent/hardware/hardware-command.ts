import { readFileSync } from "node:fs";
import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";

import type { RunProgram } from "./ask-programs.ts";
import { gatherHardware } from "./gather-hardware.ts";
import { gatherSlurmHardware } from "./gather-slurm-hardware.ts";
import { HARDWARE_HELP, type HardwareArguments, parseHardwareArguments } from "./parse-hardware-arguments.ts";
import { renderSlurmd } from "./render-slurmd.ts";

/** What the command needs besides files. */
export interface CommandHost {
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  readonly run: RunProgram;
}

/** `muster-agent hardware`: prints what `slurmd -C` would, or the inventory as JSON; returns the exit status. */
export async function runHardwareCommand(
  args: readonly string[],
  host: CommandHost,
  signal: AbortSignal,
): Promise<number> {
  const wanted = parseHardwareArguments(args);
  if (wanted.help) host.write(HARDWARE_HELP);
  else if (wanted.json) host.write(await renderInventory(wanted, host, signal));
  else host.write(await renderAsSlurmd(wanted, host));
  return 0;
}

async function renderInventory(
  { root, version, parameters }: HardwareArguments,
  { run }: CommandHost,
  signal: AbortSignal,
): Promise<string> {
  const report = await gatherHardware({ root, ...(root === "/" ? { run } : {}) }, signal);
  // An inventory counts as the newest Slurm does; here somebody may have asked for another.
  const { hardware: slurm } = await gatherSlurmHardware(root, version, parameters);
  return `${JSON.stringify({ ...report, slurm }, null, 2)}\n`;
}

async function renderAsSlurmd(wanted: HardwareArguments, host: CommandHost): Promise<string> {
  const { root, version, parameters } = wanted;
  const name = wanted.node ?? readLine(join(root, "proc/sys/kernel/hostname"));
  if (name === undefined) {
    throw new MusterError({
      code: "argument-invalid",
      what: `${join(root, "proc/sys/kernel/hostname")} does not tell the machine's name`,
      fix: "give it: --node NAME",
    });
  }
  const { hardware, gpus, warnings } = await gatherSlurmHardware(root, version, parameters);
  for (const warning of warnings) host.writeError(`muster-agent: error: ${warning}\n`);
  const uptime = readLine(join(root, "proc/uptime"));
  return renderSlurmd({
    name,
    hardware,
    gpus,
    version,
    ...(parameters === undefined ? {} : { parameters }),
    ...(uptime === undefined ? {} : { uptimeSeconds: parseUptime(uptime) }),
  });
}

/**
 * "3313.58 6543.21" as sysinfo(2) would tell it, which slurmd asks: in whole seconds, one more for any part of a
 * second. /proc/uptime cuts to hundredths, so the part behind ".00" is there all the same.
 */
function parseUptime(text: string): number {
  return Math.floor(Number.parseFloat(text)) + 1;
}

function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").split("\n")[0];
  } catch {
    return undefined;
  }
}
