import { parseArgs } from "node:util";

import { MusterError } from "#proto/contract/muster-error.ts";

import { isSlurmAtLeast, NEWEST_SLURM_VERSION, SLURM_VERSIONS, type SlurmVersion } from "./slurm-version.ts";

export const HARDWARE_HELP = `muster-agent hardware: what this machine is

  muster-agent hardware [--slurm-version V] [--parameters P] [--json] [--root DIR] [--node NAME]

Prints what slurmd -C prints on this machine: a NodeName line for slurm.conf, and the time it is up.

  --slurm-version V   as slurmd of that Slurm prints it: ${SLURM_VERSIONS.join(", ")} (default), or a release in
                      between. It matters on Intel machines with several kinds of core (from 23.02 on only
                      performance cores count), for GPUs (Gres= from 24.11 on), and for --parameters.
  --parameters P      SlurmdParameters of the node, as slurmd -C --parameters (25.11): l3cache_as_socket,
                      numa_node_as_socket and allow_ecores change how sockets and cores are counted
  --json              the whole inventory as JSON instead
  --root DIR          read DIR/proc and DIR/sys, saved from another machine, instead of this one's
  --node NAME         the name of that machine, where DIR/proc does not tell it
`;

export interface HardwareArguments {
  readonly version: SlurmVersion;
  readonly parameters?: string;
  readonly json: boolean;
  /** "/" for this machine. */
  readonly root: string;
  readonly node?: string;
  readonly help: boolean;
}

const OPTIONS = {
  "slurm-version": { type: "string" },
  parameters: { type: "string" },
  json: { type: "boolean" },
  root: { type: "string" },
  node: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** Reads the words after `hardware`; throws `argument-invalid` for what is not known or cannot be. */
export function parseHardwareArguments(args: readonly string[]): HardwareArguments {
  const values = parseOptions(args);
  const version = parseVersion(values["slurm-version"] ?? NEWEST_SLURM_VERSION);
  const { parameters, root = "/", node } = values;
  if (parameters !== undefined && !isSlurmAtLeast(version, "25.11")) {
    throw invalid(
      `slurmd of Slurm ${version} has no --parameters`,
      "leave it out, or give --slurm-version 25.11",
    );
  }
  return {
    version,
    json: values.json ?? false,
    root,
    help: values.help ?? false,
    ...(parameters === undefined ? {} : { parameters }),
    ...(node === undefined ? {} : { node }),
  };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values;
  } catch (error) {
    // "Unknown option '--x'. To specify a positional argument starting with a '-', ...": its first sentence will do.
    const [what = ""] = (error instanceof Error ? error.message : "").split(/\. /);
    throw invalid(what.replace(/\.$/, ""), "muster-agent hardware --help tells the options");
  }
}

/** A release in between prints what the one before it prints: 24.05.4 is 23.02 here. */
function parseVersion(text: string): SlurmVersion {
  const [, release = ""] = /^(\d\d\.\d\d)(?:\.\d+)*$/.exec(text) ?? [];
  const version = SLURM_VERSIONS.findLast((each) => each <= release);
  if (version !== undefined) return version;
  throw invalid(
    `--slurm-version ${text} is not known`,
    `give your release of Slurm, ${SLURM_VERSIONS[0]} or newer, as slurmd -V tells it`,
  );
}

function invalid(what: string, fix: string): MusterError {
  return new MusterError({ code: "argument-invalid", what, fix });
}
