import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { listNamespaces, removeNamespace } from "./network-namespace.ts";
import { isGone, parseProcessIdentity, readOwnIdentity, readStartTime } from "./process-identity.ts";

/** Names of a lab's directory and network namespace: muster-PID-RANDOM. */
export const LAB_PREFIX = "muster-";
const LAB_NAME = /^muster-(\d+)-[0-9a-f]{6}$/;
/** In a lab's directory: the {@link ProcessIdentity} of the process it belongs to. */
export const OWNER_FILE = "owner.json";

/**
 * Removes what labs left behind whose process is gone: processes, namespace, mounts, directory. Labs that
 * live, and anything whose owner cannot be told, stay. Returns the names of those removed.
 */
export async function sweepDeadLabs(temporaryDirectory: string): Promise<readonly string[]> {
  const namespaces = await listNamespaces(LAB_PREFIX);
  const names = new Set([
    ...(await readdir(temporaryDirectory)).filter((name) => LAB_NAME.test(name)),
    ...namespaces.map((path) => path.slice(path.lastIndexOf("/") + 1)).filter((name) => LAB_NAME.test(name)),
  ]);
  const swept: string[] = [];
  for (const name of names) {
    const directory = join(temporaryDirectory, name);
    if (!(await ownerIsGone(name, directory))) continue;
    for (const path of [...namespaces.filter((it) => it.endsWith(`/${name}`)), join(directory, "netns")]) {
      await removeNamespace(path);
    }
    await removeLabDirectory(directory);
    swept.push(name);
  }
  return swept;
}

/** Removes a lab's directory with what is mounted in it, innermost first. */
export async function removeLabDirectory(directory: string): Promise<void> {
  const mounts = (await readFile("/proc/self/mounts", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${directory}/`));
  for (const path of mounts.reverse()) await runCommandUnchecked({ program: "umount", args: [path] });
  await rm(directory, { recursive: true, force: true });
}

async function ownerIsGone(name: string, directory: string): Promise<boolean> {
  const owner = parseProcessIdentity(await readFile(join(directory, OWNER_FILE), "utf8").catch(() => ""));
  if (owner !== undefined) {
    return isGone(owner, await readOwnIdentity(), await readStartTime(owner.pid));
  }
  // A lab that was killed between removing its files and its directory, or before it wrote the file.
  const pid = Number(LAB_NAME.exec(name)?.[1]);
  return (await readStartTime(pid)) === undefined;
}
