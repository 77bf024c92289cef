import { createHash } from "node:crypto";

import { digestOfHex } from "#proto/contract/digest.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";

import { askPrograms, type RunProgram } from "./ask-programs.ts";
import { gatherCpu } from "./gather-cpu.ts";
import { gatherDisks } from "./gather-disks.ts";
import { gatherGpus } from "./gather-gpus.ts";
import { gatherIdentity } from "./gather-identity.ts";
import { gatherMemory, gatherNuma } from "./gather-memory.ts";
import { gatherInfiniband, gatherNetworks } from "./gather-networks.ts";
import { gatherPci } from "./gather-pci.ts";
import { gatherSlurmHardware } from "./gather-slurm-hardware.ts";
import { hardwarePathsAt } from "./hardware-paths.ts";
import { parseSmbios } from "./parse-smbios.ts";
import { readBytes, readText } from "./read-sysfs.ts";
import { NEWEST_SLURM_VERSION } from "./slurm-version.ts";

/** What an inventory is taken of. */
export interface HardwareHost {
  /** The machine's root directory: "/", or a copy of another machine's /proc and /sys. */
  readonly root: string;
  /** Programs to ask; absent for a copy, of which the programs of this machine know nothing. */
  readonly run?: RunProgram;
}

/** Takes an inventory of the machine. What nothing tells is absent. Throws `hardware-unreadable` when there is no /proc or /sys. */
export async function gatherHardware(host: HardwareHost, signal: AbortSignal): Promise<HardwareReport> {
  const paths = hardwarePathsAt(host.root);
  const { hardware: slurm } = await gatherSlurmHardware(host.root, NEWEST_SLURM_VERSION);
  const smbios = parseSmbios(readBytes(paths.dmiTable) ?? Buffer.alloc(0));
  const infiniband = gatherInfiniband(paths);
  const pci = gatherPci(paths);
  const report: HardwareReport = {
    schema: 1,
    slurm,
    ...gatherIdentity(paths),
    cpu: gatherCpu(paths, smbios, process.arch === "arm64" ? "aarch64" : "x86_64"),
    numa: gatherNuma(paths),
    memory: gatherMemory(paths, smbios),
    networks: gatherNetworks(paths, infiniband),
    infiniband,
    disks: gatherDisks(paths),
    gpus: gatherGpus(paths, pci),
    pci,
    kernel: readText(paths.kernelRelease) ?? "",
  };
  return host.run === undefined ? report : askPrograms(report, paths, host.run, signal);
}

/** A report as it is sent, and the digest that both sides know it by. */
export interface EncodedReport {
  readonly bytes: Buffer;
  readonly digest: string;
}

/** The same report gives the same bytes: its parts are made in one order. */
export function encodeReport(report: HardwareReport): EncodedReport {
  const bytes = Buffer.from(JSON.stringify(report));
  return { bytes, digest: digestOfHex(createHash("sha256").update(bytes).digest("hex")) };
}
