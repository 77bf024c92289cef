import { existsSync } from "node:fs";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import type { Command, CommandResult } from "#proto/host/run-command.ts";

import { HARDWARE_PROGRAMS, type HardwarePaths } from "./hardware-paths.ts";
import {
  parseEthtoolFirmware,
  parseIpmiFirmware,
  parseIpmiLan,
  parseNvidiaMemory,
} from "./parse-program-output.ts";
import { known } from "./read-sysfs.ts";

/** Runs a program to its end, whatever its exit status. */
export type RunProgram = (command: Command, signal?: AbortSignal) => Promise<CommandResult>;

/** ethtool asks a driver; a BMC takes seconds to answer, nvidia-smi wakes GPUs first. */
const DEADLINES = { ethtoolMs: 5000, ipmitoolMs: 15_000, nvidiaSmiMs: 30_000 };
/** Machines have a few; beyond this many the rest go without the version. */
const MAX_ETHTOOL_RUNS = 16;

/**
 * What only an ioctl tells (firmware of network cards, the BMC, the size of NVIDIA's memory), asked of programs that
 * make it, one after the other, if they are installed; nothing is started on a machine that has no such device.
 */
export async function askPrograms(
  report: HardwareReport,
  paths: HardwarePaths,
  run: RunProgram,
  signal: AbortSignal,
): Promise<HardwareReport> {
  /** Empty when the program is missing, fails or takes too long: a report lacks a field then. */
  const ask = async (program: string, args: readonly string[], deadlineMs: number): Promise<string> => {
    signal.throwIfAborted();
    const result = await run({ program, args, deadlineMs, outputLimitBytes: 256 * 1024 }, signal).catch(
      () => undefined,
    );
    return result?.exitCode === 0 ? result.stdout : "";
  };
  const networks: HardwareReport["networks"][number][] = [];
  for (const [index, network] of report.networks.entries()) {
    // Virtual cards have no firmware.
    const isKnown = network.firmware !== undefined || network.driver === "virtio_net";
    const firmware =
      isKnown || index >= MAX_ETHTOOL_RUNS
        ? undefined
        : parseEthtoolFirmware(
            await ask(HARDWARE_PROGRAMS.ethtool, ["-i", network.name], DEADLINES.ethtoolMs),
          );
    networks.push({ ...network, ...known({ firmware: firmware ?? network.firmware }) });
  }
  const memory = report.gpus.some(({ vendor, device }) => vendor === "nvidia" && device !== undefined)
    ? parseNvidiaMemory(
        await ask(
          HARDWARE_PROGRAMS.nvidiaSmi,
          ["--query-gpu=pci.bus_id,memory.total", "--format=csv,noheader,nounits"],
          DEADLINES.nvidiaSmiMs,
        ),
      )
    : new Map<string, number>();
  const gpus = report.gpus.map((gpu) => ({
    ...gpu,
    ...known({ memoryBytes: gpu.memoryBytes ?? memory.get(gpu.pciAddress) }),
  }));
  const { kernel, ...rest } = report;
  if (!existsSync(paths.ipmi)) return { ...rest, networks, gpus, kernel };
  const { ipmitool } = HARDWARE_PROGRAMS;
  const bmc = {
    ...parseIpmiLan(await ask(ipmitool, ["lan", "print", "1"], DEADLINES.ipmitoolMs)),
    ...known({ firmware: parseIpmiFirmware(await ask(ipmitool, ["mc", "info"], DEADLINES.ipmitoolMs)) }),
  };
  return { ...rest, networks, gpus, bmc, kernel };
}
