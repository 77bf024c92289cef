import { open } from "node:fs/promises";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommandUnchecked, runInTerminal } from "#proto/host/run-command.ts";

const UNSHARE = ["--user", "--map-root-user", "--map-auto", "--mount", "--"];

/**
 * Makes sure that this process may create network namespaces and taps. As root it returns at once. As
 * somebody else it runs the same program again as root of a user namespace of its own, and ends this process
 * with that one's status. Throws `permission-denied`, saying what stands in the way, where that cannot work.
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
      fix: "run the same command as root",
    });
  }
  const status = await runInTerminal("unshare", [
    ...UNSHARE,
    process.execPath,
    ...process.execArgv,
    ...process.argv.slice(1),
  ]);
  process.exit(status);
}

async function findObstacle(): Promise<string | undefined> {
  const trial = await runCommandUnchecked({
    program: "unshare",
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
