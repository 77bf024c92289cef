import { chmod, lstat, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { Command } from "#proto/host/run-command.ts";

import type { BootHost } from "./boot-host.ts";
import { parseAclPaths } from "./parse-acl-paths.ts";
import type { MountStep } from "./plan-mounts.ts";

/** Unpacking an image of some GB into memory takes its time on a slow machine. */
const STEP_DEADLINE_MS = 600_000;

/**
 * Carries out mount steps in order. A mount that is there already is left alone, so that an agent started again
 * in the same boot can go on. Throws `mount-failed` with the step that failed.
 */
export async function applyMountSteps(
  host: BootHost,
  steps: readonly MountStep[],
  signal: AbortSignal,
): Promise<void> {
  for (const step of steps) await applyStep(host, step, signal);
}

async function applyStep(host: BootHost, step: MountStep, signal: AbortSignal): Promise<void> {
  switch (step.kind) {
    case "tmpfs":
      return mount(host, "tmpfs", "tmpfs", step.target, `size=${step.size},mode=${step.mode}`, signal);
    case "squashfs":
      return mount(host, "squashfs", step.file, step.target, "loop,ro", signal);
    case "overlay":
      return mount(
        host,
        "overlay",
        "overlay",
        step.target,
        `lowerdir=${step.lower.join(":")},upperdir=${step.upper},workdir=${step.work}`,
        signal,
      );
    case "directory":
      await mkdir(step.path, { recursive: true });
      // mkdir's mode is cut by the umask, and does nothing for a directory that is there.
      return chmod(step.path, step.mode);
    case "unpack":
      return mustRun(
        host,
        "unpack the image",
        { program: host.paths.programs.unsquashfs, args: ["-f", "-n", "-d", step.target, step.file] },
        signal,
      );
    case "copy-tree":
      return mustRun(
        host,
        "copy the agent",
        { program: host.paths.programs.busybox, args: ["cp", "-a", `${step.from}/.`, `${step.target}/`] },
        signal,
      );
    case "remove":
      return rm(step.path, { force: true });
    case "restore-acls":
      if (!(await isFile(step.file))) return;
      await copyUp(step.target, parseAclPaths(await readFile(step.file, "utf8")));
      return mustRun(
        host,
        "restore the image's ACLs",
        { program: host.paths.programs.setfacl, args: [`--restore=${step.file}`], cwd: step.target },
        signal,
      );
    default:
      return step satisfies never;
  }
}

/**
 * Moves paths of an overlay to its writable layer. Until they are there overlayfs answers setxattr of an ACL with
 * EOPNOTSUPP, since squashfs, where they come from, has no ACLs (seen on Linux 6.1 and 6.18).
 */
async function copyUp(root: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const { mode } = await lstat(join(root, path));
    await chmod(join(root, path), mode & 0o7777);
  }
}

async function isFile(path: string): Promise<boolean> {
  return lstat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );
}

async function mount(
  host: BootHost,
  type: string,
  source: string,
  target: string,
  options: string,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(target, { recursive: true });
  if (await isMountPoint(host, target)) return;
  const args = ["mount", "-t", type, "-o", options, source, target];
  await mustRun(host, `mount ${type} on ${target}`, { program: host.paths.programs.busybox, args }, signal);
}

/** Field 5 of /proc/self/mountinfo; blanks in it are octal escapes (proc_pid_mountinfo(5)). */
async function isMountPoint(host: BootHost, path: string): Promise<boolean> {
  const escaped = path.replaceAll(" ", "\\040");
  const table = await readFile(host.paths.mountInfo, "utf8");
  return table.split("\n").some((line) => line.split(" ")[4] === escaped);
}

async function mustRun(host: BootHost, doing: string, command: Command, signal: AbortSignal): Promise<void> {
  const { exitCode, stderr } = await host.run({ ...command, deadlineMs: STEP_DEADLINE_MS }, signal);
  if (exitCode === 0) return;
  const reason = stderr.trim().split("\n").at(-1) ?? "";
  throw new MusterError({
    code: "mount-failed",
    what: `could not ${doing}: ${reason === "" ? `exit status ${exitCode}` : reason}`,
    fix: "the kernel of the image needs squashfs (with the compression used), overlayfs, loop and tmpfs (with ACLs); the kernel log says what it missed",
  });
}
