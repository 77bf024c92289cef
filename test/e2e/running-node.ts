import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { runCommand } from "#proto/host/run-command.ts";

import type { NodeOutput } from "../../controller/cli/ssh/fold-output.ts";
import { waitFor } from "../lab/wait-for.ts";
import { type Cluster, listEvents, writeOverlay } from "./cluster.ts";

/** A system overlay for nodes that tests log in to, and on which a job runs. */
export const RUNNING_OVERLAY = "running";

/**
 * Writes the time since the boot to a file of the node's memory, once a second: what a job would notice of a restart, of
 * itself or of the node, stands there.
 */
const JOB = `[Unit]
Description=A job that must not be interrupted

[Service]
ExecStart=/bin/sh -c 'while :; do read -r up idle </proc/uptime; echo $$up >>/run/job; sleep 1; done'
`;

/** What a job's file says. */
export interface JobFacts {
  /** Of the unit's start: another one was started anew. */
  readonly invocation: string;
  /** Seconds it has written down. */
  readonly ticks: number;
  /** The longest time between two of them, in seconds. */
  readonly longestGapSeconds: number;
  /** Of the kernel. */
  readonly kernelBoot: string;
}

/** root of running nodes. */
export interface NodeLogin {
  /** Options for `muster ssh` and for ssh(1). */
  readonly musterOptions: readonly string[];
  readonly sshOptions: readonly string[];
  /** Runs a command on a node with `muster ssh`; any exit status is a result. */
  tryOn(node: string, command: string): Promise<NodeOutput>;
  /** A command that has to work; its standard output without the last line end. */
  on(node: string, command: string): Promise<string>;
  /** Waits until the node's sshd lets us in: ready is when the agent is. */
  waitFor(node: string): Promise<void>;
  job(node: string): Promise<JobFacts>;
}

/** Writes {@link RUNNING_OVERLAY}: a key that root of its nodes accepts, the job, and `files`. */
export async function openLogin(
  cluster: Cluster,
  files: Parameters<typeof writeOverlay>[2] = [],
): Promise<NodeLogin> {
  const { lab, controller } = cluster;
  const key = join(lab.directory, "id");
  await runCommand({ program: "ssh-keygen", args: ["-q", "-t", "ed25519", "-N", "", "-f", key] });
  const unit = "etc/systemd/system/job.service";
  await writeOverlay(cluster, RUNNING_OVERLAY, [
    { path: "root/.ssh/authorized_keys", text: await readFile(`${key}.pub`, "utf8"), mode: 0o600 },
    { path: unit, text: JOB },
    { path: "etc/systemd/system/multi-user.target.wants/job.service", linkTo: `/${unit}` },
    ...files,
  ]);
  const identity = [`IdentityFile=${key}`, "IdentitiesOnly=yes"];
  const musterOptions = ["-l", "root", ...identity.flatMap((option) => ["--ssh-option", option])];
  const sshOptions = ["-l", "root", ...identity.flatMap((option) => ["-o", option])];
  const tryOn: NodeLogin["tryOn"] = async (node, command) => {
    const { stdout, stderr } = await controller.muster(
      ["ssh", "-o", "json", "--timeout", "60", ...musterOptions, node, command],
      { deadlineMs: 90_000 },
    );
    if (stdout === "") throw new Error(`muster ssh ${node} ${command}: ${stderr}`);
    const [output] = JSON.parse(stdout) as readonly NodeOutput[];
    if (output === undefined) throw new Error(`muster ssh ${node} ${command}: no output of it`);
    return output;
  };
  const on: NodeLogin["on"] = async (node, command) => {
    const output = await tryOn(node, command);
    if (output.exitCode === 0) return output.stdout.trimEnd();
    throw new Error(`on ${node}: ${command}: ${JSON.stringify(output)}`);
  };
  return {
    ...{ musterOptions, sshOptions, tryOn, on },
    waitFor: async (node) => {
      await waitFor(async () => (await tryOn(node, "true")).exitCode === 0, {
        what: `sshd of ${node} to let us in`,
        deadlineMs: 60_000,
        intervalMs: 500,
        instead: async () => JSON.stringify(await tryOn(node, "true")),
      });
    },
    job: async (node) => parseJobFacts(await on(node, JOB_FACTS)),
  };
}

/** Prints what {@link parseJobFacts} reads. */
const JOB_FACTS = [
  "systemctl show -p InvocationID --value job.service",
  `awk 'NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { print NR, gap }' /run/job`,
  "cat /proc/sys/kernel/random/boot_id",
].join("; ");

function parseJobFacts(text: string): JobFacts {
  const [invocation = "", numbers = "", kernelBoot = ""] = text.trim().split("\n");
  const [ticks, longestGapSeconds] = numbers.split(" ").map(Number);
  return { invocation, ticks: ticks ?? 0, longestGapSeconds: longestGapSeconds ?? 0, kernelBoot };
}

/** How many events of a kind there are of a node. */
export async function countEvents(cluster: Cluster, node: string, kind: string): Promise<number> {
  return (await listEvents(cluster)).filter((event) => event.node === node && event.kind === kind).length;
}
