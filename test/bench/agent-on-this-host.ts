import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { type Daemon, runCommand } from "#proto/host/run-command.ts";

import { type Cluster, DIST, writeOverlay } from "../e2e/cluster.ts";
import { openFleet } from "../fleet/open-fleet.ts";
import { waitFor } from "../lab/wait-for.ts";

const PROJECT = join(DIST, "..");
/** Of the runtime overlay: what a site keeps true on its nodes. */
const OVERLAY_FILES = 20;
/** The first report of the hardware comes up to 30 s after the welcome; after 45 s it gives memory back. */
const SETTLED_MS = 55_000;

/**
 * Gives the agent this host's /proc and /sys, and a copy-on-write view of its file system whose /run is private: it
 * runs as on a node, and what it writes goes with it. $1 is a directory, $2 the /run/muster of a boot.
 */
const ENTER_NODE = `set -eu
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
for each in proc sys dev; do mount --rbind "/$each" "$1/root/$each"; done
mount -t tmpfs none "$1/root/run"
cp -a "$2" "$1/root/run/muster"
cp "$3" "$1/root/run/muster-agent"
root=$1/root
shift 3
exec chroot "$root" env "$@" /run/muster-agent run`;

/** The built agent as it runs on an idle node of a cluster: ready, with a runtime overlay and its hardware reported. */
export async function startAgentHere(cluster: Cluster): Promise<Daemon> {
  const { lab, controller } = cluster;
  await writeOverlay(
    cluster,
    "bench",
    Array.from({ length: OVERLAY_FILES }, (_, index) => ({
      path: `etc/muster-bench/${index}`,
      text: `${index}\n`.repeat(100),
    })),
  );
  const fleet = await openFleet(cluster, 1, { runtimeOverlays: ["bench"], sessions: false });
  lab.onDispose(async () => fleet[Symbol.asyncDispose]());
  await fleet.until("the node to enrol", ({ enrolled }) => enrolled === 1, 30_000);
  const place = join(lab.directory, "agent");
  await mkdir(place);
  const lines: string[] = [];
  const daemon = await lab.start({
    program: "unshare",
    args: [
      ...["--mount", "--propagation", "private", "--", "sh", "-c", ENTER_NODE, "sh"],
      ...[place, join(fleet.directory, "f00001/run/muster"), join(DIST, "muster-agent")],
      ...(await readUnitEnvironment()),
    ],
    onLine: (line) => lines.push(line),
  });
  await waitFor(
    async () =>
      (await controller.get<{ status: { state: string } }>("/api/v1/nodes/f00001")).status.state === "ready",
    { what: "the agent to be ready", deadlineMs: 30_000, instead: () => lines.slice(-20).join("\n") },
  );
  const ended = await Promise.race([daemon.exited, sleep(SETTLED_MS)]);
  if (ended !== undefined) throw new Error(`the agent ended:\n${lines.slice(-20).join("\n")}`);
  return daemon;
}

/** The environment that muster-agent.service gives the agent: NAME=VALUE each. */
async function readUnitEnvironment(): Promise<readonly string[]> {
  const unit = await readFile(join(PROJECT, "packaging/systemd/muster-agent.service"), "utf8");
  return [...unit.matchAll(/^Environment=(.*)$/gm)].flatMap(([, words]) => (words ?? "").split(" "));
}

/** The core that measurements with the agent on it use: the last one, for interrupts mostly go to the first. */
export async function pinToLastCore(pid: number): Promise<number> {
  const { stdout } = await runCommand({ program: "nproc", args: ["--all"] });
  const core = Number(stdout) - 1;
  await runCommand({
    program: "taskset",
    args: ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)],
  });
  return core;
}
