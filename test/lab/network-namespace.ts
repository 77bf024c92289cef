import { readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type CommandResult, runCommand } from "#proto/host/run-command.ts";

import { waitFor } from "./wait-for.ts";

/** Where iproute2 keeps named namespaces, so that `ip netns` shows ours to whoever debugs a lab. */
const NAMED_NAMESPACES = "/run/netns";

/** Prefixes a command so that it runs in a namespace and dies with the process that started it. */
export function inNamespace(
  path: string,
  program: string,
  args: readonly string[],
): { readonly program: string; readonly args: readonly string[] } {
  return {
    // nsenter and not `ip netns exec`: that one remounts /sys, and then nothing finds its cgroups.
    // Without the death signal, QEMU would outlive a lab whose process is killed with -9.
    program: "setpriv",
    args: ["--pdeathsig", "KILL", "--", "nsenter", `--net=${path}`, "--", program, ...args],
  };
}

/** Makes a network namespace and returns the path that stands for it: below /run/netns where that is ours to write. */
export async function createNamespace(name: string, directory: string): Promise<string> {
  if (await mayNameNamespaces()) {
    await runCommand({ program: "ip", args: ["netns", "add", name] });
    return join(NAMED_NAMESPACES, name);
  }
  const path = join(directory, "netns");
  await writeFile(path, "");
  await runCommand({ program: "unshare", args: [`--net=${path}`, "--", "true"] });
  return path;
}

/** Kills what still runs in a namespace, waits until it is gone, and removes the namespace. Idempotent. */
export async function removeNamespace(path: string): Promise<void> {
  await killProcessesIn(path);
  if ((await stat(path).catch(() => undefined)) === undefined) return;
  if (path.startsWith(`${NAMED_NAMESPACES}/`)) {
    await runCommand({ program: "ip", args: ["netns", "delete", path.slice(NAMED_NAMESPACES.length + 1)] });
  } else {
    await runCommand({ program: "umount", args: [path] });
    await rm(path);
  }
}

/** Names of the namespaces iproute2 knows that begin with `prefix`. */
export async function listNamespaces(prefix: string): Promise<readonly string[]> {
  const names = await readdir(NAMED_NAMESPACES).catch(() => []);
  return names.filter((name) => name.startsWith(prefix)).map((name) => join(NAMED_NAMESPACES, name));
}

/** Runs `ip` once in a namespace over several commands, one a line, without the leading "ip". */
export async function runIpBatch(path: string, lines: readonly string[]): Promise<CommandResult> {
  return runCommand({
    ...inNamespace(path, "ip", ["-batch", "-"]),
    input: `${lines.join("\n")}\n`,
  });
}

/** Pids of all processes in a namespace. */
export async function listProcessesIn(path: string): Promise<readonly number[]> {
  const inode = await stat(path)
    .then((it) => it.ino)
    .catch(() => undefined);
  if (inode === undefined) return [];
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const inside = await Promise.all(
    pids.map(async (pid) => {
      // Processes of others, and those that end meanwhile, cannot be read and are not ours.
      const target = await readlink(`/proc/${pid}/ns/net`).catch(() => undefined);
      return target === `net:[${inode}]` ? [pid] : [];
    }),
  );
  return inside.flat();
}

async function killProcessesIn(path: string): Promise<void> {
  await waitFor(
    async () => {
      const pids = await listProcessesIn(path);
      for (const pid of pids) killIfThere(pid);
      return pids.length === 0;
    },
    { what: `the processes in ${path} to end`, deadlineMs: 15_000, intervalMs: 20 },
  );
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself since it was listed.
  }
}

/**
 * Root of the machine may; root of a user namespace either finds /run closed, or could write there but not
 * make iproute2's mount, since that belongs to a mount namespace above its own.
 */
async function mayNameNamespaces(): Promise<boolean> {
  // user_namespaces(7): the initial one maps all 2^32 - 1 users to themselves.
  return /^\s*0\s+0\s+4294967295\s*$/.test(await readFile("/proc/self/uid_map", "utf8"));
}
