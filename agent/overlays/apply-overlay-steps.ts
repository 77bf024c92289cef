import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { chmod, copyFile, lchown, lstat, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { Blob } from "#proto/gen/muster/v1/provisioning.ts";
import type { Command, CommandResult } from "#proto/host/run-command.ts";

import type { OverlayAttributes, OverlayStep } from "./plan-overlay.ts";
import { resolveInRoot } from "./resolve-in-root.ts";

/** Where an overlay goes, and where its larger files are. */
export interface OverlayHost {
  /** The root file system to change; nothing outside it is touched. */
  readonly root: string;
  /** The verified file of a blob. */
  readonly blobPath: (blob: Blob) => string;
  readonly setfattr: string;
  /** Told what the overlay asked for and the root file system cannot hold. */
  readonly warn: (line: string) => void;
  readonly run: (command: Command, signal: AbortSignal) => Promise<CommandResult>;
}

/**
 * Applies overlay steps in order; doing it again changes nothing. A directory that is a symbolic link to one in
 * the image (/lib -> usr/lib) stays a link, whatever the overlay has below it. Files and links are replaced in
 * one step and have owner, mode and attributes before they are visible. Directories on the way are made, 0755
 * root. Throws `overlay-apply-failed` with the path.
 */
export async function applyOverlaySteps(
  host: OverlayHost,
  steps: readonly OverlayStep[],
  signal: AbortSignal,
): Promise<void> {
  for (const step of steps) {
    try {
      await applyStep(host, step, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw new MusterError({
        code: "overlay-apply-failed",
        what: `system overlay: ${step.kind} ${step.path}: ${errorSentence(cause)}`,
        fix: "correct the overlay on the controller, or the image it does not fit, and restart the node",
        cause,
      });
    }
  }
}

async function applyStep(host: OverlayHost, step: OverlayStep, signal: AbortSignal): Promise<void> {
  switch (step.kind) {
    case "file":
      return replace(host, step.path, step.attributes, signal, (temporary) =>
        "blob" in step.content
          ? copyFile(host.blobPath(step.content.blob), temporary)
          : writeFile(temporary, step.content.inline, { flag: "wx", mode: 0o600 }),
      );
    case "symlink":
      return replace(host, step.path, step.attributes, signal, (temporary) =>
        symlink(step.target, temporary),
      );
    case "directory":
      return makeDirectory(host, step.path, step.attributes, signal);
    case "delete":
      return remove(host, step.path);
    default:
      return step satisfies never;
  }
}

/** Makes the new thing beside its place, completes it, and renames it over what is there. */
async function replace(
  host: OverlayHost,
  path: string,
  attributes: OverlayAttributes,
  signal: AbortSignal,
  make: (temporary: string) => Promise<void>,
): Promise<void> {
  const parent = await resolveInRoot(host.root, dirname(path));
  await mkdir(parent, { recursive: true, mode: 0o755 });
  const place = join(parent, basename(path));
  if ((await lstatIfPresent(place))?.isDirectory() === true) {
    throw new Error("a directory is there; delete it in the overlay first if it has to go");
  }
  const temporary = join(parent, `.${randomBytes(6).toString("hex")}.muster`);
  try {
    await make(temporary);
    await setAttributes(host, temporary, attributes, signal);
    await rename(temporary, place);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function makeDirectory(
  host: OverlayHost,
  path: string,
  attributes: OverlayAttributes,
  signal: AbortSignal,
): Promise<void> {
  const place = await resolveInRoot(host.root, path);
  await mkdir(place, { recursive: true, mode: 0o755 });
  await setAttributes(host, place, attributes, signal);
}

/** What is at the path goes, itself and everything below; a link goes, not what it points to. */
async function remove(host: OverlayHost, path: string): Promise<void> {
  const parent = await resolveInRoot(host.root, dirname(path));
  await rm(join(parent, basename(path)), { recursive: true, force: true });
}

/** In this order: chown clears set-id bits and file capabilities (chown(2), capabilities(7)). */
async function setAttributes(
  host: OverlayHost,
  place: string,
  attributes: OverlayAttributes,
  signal: AbortSignal,
): Promise<void> {
  await lchown(place, attributes.uid, attributes.gid);
  if (!(await lstat(place)).isSymbolicLink()) await chmod(place, attributes.mode);
  for (const { name, value } of attributes.xattrs) {
    const args = ["-h", "-n", name, "-v", `0x${Buffer.from(value).toString("hex")}`, "--", place];
    const { exitCode, stderr } = await host.run({ program: host.setfattr, args }, signal);
    if (exitCode === 0) continue;
    // tmpfs has user.* attributes from Linux 6.6 on only (EOPNOTSUPP before); they bear no rights and are no
    // reason to refuse a boot. Every other attribute is.
    const unsupported = name.startsWith("user.") && /not supported/i.test(stderr);
    if (!unsupported) throw new Error(`extended attribute ${name}: ${stderr.trim()}`);
    host.warn(
      `system overlay: attribute ${name} left out: the root's tmpfs has no user attributes (Linux before 6.6)`,
    );
  }
}

async function lstatIfPresent(path: string): Promise<Stats | undefined> {
  return lstat(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
}
