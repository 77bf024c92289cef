import { lstat, readdir, rm, stat, writeFile } from "node:fs/promises";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand, startDaemon } from "#proto/host/run-command.ts";
import type { KernelFeatures } from "../inventory/inventory.ts";
import { ACL_DIRECTORIES, planAclFile, planPackArguments } from "./plan-pack.ts";

/** What {@link packImage} packs. */
export interface PackRequest {
  /** Root of the tree, as `checkTree` returned it. */
  readonly tree: string;
  /** The squashfs to write. */
  readonly out: string;
  /** Empty directory for temporary files. */
  readonly scratch: string;
  readonly compression: KernelFeatures["squashfsCompression"];
  /** 0 to 100, never falling. */
  readonly onPercent?: (percent: number) => void;
  /** Effective user id of this process. */
  readonly userId: number;
  readonly deadlineMs?: number;
}

const DEFAULT_DEADLINE_MS = 4 * 3_600_000;
const KEPT_LINES = 20;

/**
 * Packs a directory tree into a squashfs with everything that belongs to its files: owners, modes, times,
 * xattrs with file capabilities, hard links, device nodes, holes. squashfs has no place for POSIX ACLs, so
 * those are listed in usr/lib/muster/image.acl (setfacl(1) --restore), which the agent applies on the node.
 * What is under proc, sys, dev, run and tmp stays out, and so do the image's own initramfs files.
 *
 * Throws `image-pack-failed`, `disk-full`, `program-missing`; nothing is left at `out` then.
 */
export async function packImage(
  request: PackRequest,
  signal: AbortSignal,
): Promise<{ readonly sizeBytes: number }> {
  if (request.userId !== 0) await requireOwnFiles(request.tree, request.userId, signal);
  const aclFile = await listAcls(request, signal);
  const missingDirectories: string[] = [];
  for (const path of ACL_DIRECTORIES) {
    if ((await lstat(`${request.tree}/${path}`).catch(() => undefined)) === undefined)
      missingDirectories.push(path);
  }
  const asRoot = request.userId !== 0;
  const args = planPackArguments({ ...request, aclFile, missingDirectories, asRoot });
  try {
    await runMksquashfs(args, request, signal);
  } catch (error) {
    await rm(request.out, { force: true });
    throw error;
  }
  request.onPercent?.(100);
  return { sizeBytes: (await stat(request.out)).size };
}

/** Somebody else's files would lose their owner, or could not be read at all. */
async function requireOwnFiles(tree: string, userId: number, signal: AbortSignal): Promise<void> {
  const args = [tree, "!", "-user", String(userId), "-print", "-quit"];
  const { stdout } = await runCommand({ program: "find", args, deadlineMs: 600_000 }, signal);
  const foreign = stdout.trim();
  if (foreign === "") return;
  throw new MusterError({
    code: "image-pack-failed",
    what: `${foreign} belongs to another user: only root can read every file and keep its owner`,
    fix: "run the import as root (sudo muster image import ...)",
  });
}

/** Path of a file with the tree's ACLs in setfacl's form; undefined when it has none. */
async function listAcls(request: PackRequest, signal: AbortSignal): Promise<string | undefined> {
  const unpacked = new Set(["proc", "sys", "dev", "run", "tmp"]);
  const names = (await readdir(request.tree)).filter((name) => !unpacked.has(name)).sort();
  // Relative names: getfacl escapes what is odd in them, and "./" keeps a leading dash a name.
  const args = ["-R", "-P", "-s", "-n", "--", ...names.map((name) => `./${name}`)];
  const { stdout } = await runCommand(
    { program: "getfacl", args, cwd: request.tree, deadlineMs: 1_800_000, outputLimitBytes: 256 * 1024 ** 2 },
    signal,
  ).catch((error: unknown) => {
    if (error instanceof MusterError && error.code === "program-missing") {
      throw new MusterError({
        code: "program-missing",
        what: "getfacl is not installed, and without it the image would lose its ACLs",
        fix: "install the package acl",
        cause: error,
      });
    }
    throw error;
  });
  const acls = planAclFile(stdout);
  if (acls === "") return undefined;
  const path = `${request.scratch}/image.acl`;
  await writeFile(path, acls);
  return path;
}

async function runMksquashfs(
  args: readonly string[],
  request: PackRequest,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const last: string[] = [];
  let percent = -1;
  const daemon = await startDaemon({
    program: "mksquashfs",
    args,
    // Without SOURCE_DATE_EPOCH and with a locale whose messages we know.
    env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin", LC_ALL: "C" },
    onLine(line, stream) {
      const now = /(\d+)%\s*$/.exec(line)?.[1];
      if (now !== undefined && stream === "stdout") {
        if (Number(now) > percent) {
          percent = Number(now);
          request.onPercent?.(percent);
        }
      } else if (line.trim() !== "") {
        last.push(line.trim());
        if (last.length > KEPT_LINES) last.shift();
      }
    },
  });
  let stoppedBy: "deadline" | "abort" | undefined;
  const stop = (why: NonNullable<typeof stoppedBy>): void => {
    stoppedBy ??= why;
    daemon.kill("SIGKILL");
  };
  const timer = setTimeout(() => {
    stop("deadline");
  }, request.deadlineMs ?? DEFAULT_DEADLINE_MS);
  const onAbort = (): void => {
    stop("abort");
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const { code } = await daemon.exited;
    if (stoppedBy === "abort") signal.throwIfAborted();
    if (code === 0 && stoppedBy === undefined) return;
    throw packFailed(request, stoppedBy === "deadline" ? ["it took too long and was ended"] : last);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function packFailed(request: PackRequest, lines: readonly string[]): MusterError {
  const text = lines.join("; ");
  if (/No space left on device|Disk quota exceeded/.test(text)) {
    return new MusterError({
      code: "disk-full",
      what: `no space left for ${request.out} while packing ${request.tree}`,
      fix: "free space there, or choose another place with --temporary-directory",
    });
  }
  return new MusterError({
    code: "image-pack-failed",
    what: `mksquashfs could not pack ${request.tree}: ${text === "" ? "it was killed" : text}`,
    fix: "the message names what is wrong; a file that changes while it is packed can be packed again",
  });
}
