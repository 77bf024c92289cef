import { open } from "node:fs/promises";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";

/** util-linux, in the same place everywhere. */
const UNSHARE_PROGRAM = "/usr/bin/unshare";
const UNSHARE = ["--user", "--map-root-user", "--map-auto", "--mount", "--"];

/**
 * Makes sure that this process may create network namespaces and taps. As root it returns at once. As
 * somebody else it runs the same program again as root of a user namespace of its own, in place
 * of this process. Throws `permission-denied`, saying what stands in the way, where that cannot work.
 *
 * Only a mount namespace comes along, not a network: mmdebstrap still has to reach the mirror. The lab's own
 * network namespace is made later and belongs to the user namespace.
 */
export async function gainLabPrivileges(): Promise<void> {
  if (process.getuid?.() === 0) return;
  const obstacle = await findObstacle();
  if (obstacle !== undefined) {
    throw new MusterError({
      code: "permission-denied",
      what: `the lab creates a network with taps, which takes root or a user namespace, and here ${obstacle}`,
      fix: "run the same command as root; without root it takes newuidmap, lines for you in /etc/subuid and /etc/subgid, and a /dev/net/tun open to all",
    });
  }
  // In place of this process, not below it: Ctrl-C, kill and the exit status then need nobody to pass them on.
  process.execve?.(UNSHARE_PROGRAM, [
    "unshare",
    ...UNSHARE,
    process.execPath,
    ...process.execArgv,
    ...process.argv.slice(1),
  ]);
}

async function findObstacle(): Promise<string | undefined> {
  const trial = await runCommandUnchecked({
    program: UNSHARE_PROGRAM,
    args: [...UNSHARE, "unshare", "--net", "true"],
  });
  if (trial.exitCode !== 0) {
    const lines = trial.stderr.trim().split("\n");
    return `a user namespace cannot be made (${lines.at(-1) ?? "unshare failed"})`;
  }
  try {
    await (await open("/dev/net/tun", "r+")).close();
    return undefined;
  } catch {
    return "/dev/net/tun may only be opened by root";
  }
}
