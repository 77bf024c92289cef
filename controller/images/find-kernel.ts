import { lstat, open, readdir, readFile, readlink, realpath, stat } from "node:fs/promises";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { ImageVersion, KernelFeatures } from "../inventory/inventory.ts";
import {
  type KernelCandidate,
  type KernelLack,
  parseKernelImage,
  planKernel,
  planKernelFeatures,
} from "./plan-image.ts";

/** The kernel of a tree, and what it can do. */
export interface FoundKernel {
  readonly release: string;
  readonly architecture: ImageVersion["architecture"];
  readonly features: KernelFeatures;
  /** The kernel file on this machine. */
  readonly path: string;
}

const LOOKED_AT = "lib/modules/*/vmlinuz, boot/vmlinuz-*, boot/Image-*";
const HEAD_BYTES = 4096;
/** As many as the kernel follows (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Checks that a directory is the root of a system that can boot: `image-tree-invalid` when it is none, empty,
 * or without an init. Returns its real path.
 */
export async function checkTree(tree: string): Promise<string> {
  const root = await realpath(tree).catch((cause: unknown) => {
    throw treeInvalid(
      tree,
      "does not exist or cannot be read",
      "name the root directory of the image",
      cause,
    );
  });
  if (!(await stat(root)).isDirectory()) {
    throw treeInvalid(tree, "is not a directory", "unpack it first, and name the directory");
  }
  const names = await readdir(root);
  if (names.length === 0) throw treeInvalid(tree, "is empty", "name the root directory of the image");
  for (const path of ["sbin/init", "usr/sbin/init", "usr/lib/systemd/systemd", "lib/systemd/systemd"]) {
    if (await existsBelow(root, path)) return root;
  }
  throw treeInvalid(
    tree,
    "has no /sbin/init and no /usr/lib/systemd/systemd",
    names.includes("usr")
      ? "install systemd into it (chroot TREE apt-get install systemd-sysv, or dnf --installroot=TREE install systemd)"
      : "name the root directory of the image: the one that holds usr, etc and boot",
  );
}

/**
 * Finds the newest kernel of a tree and checks that nodes can boot with it. Throws `image-tree-invalid`,
 * `image-kernel-missing` (what was looked at, how to install one) or `image-kernel-unfit` (which option).
 */
export async function findKernel(tree: string): Promise<FoundKernel> {
  const root = await checkTree(tree);
  const candidates = await gatherCandidates(root);
  const chosen = planKernel(candidates);
  if (chosen === undefined) throw kernelMissing(tree, candidates);
  const path = await resolveBelow(root, chosen.path);
  if (path === undefined) throw kernelMissing(tree, []);
  const architecture = parseKernelImage(await readHead(path));
  if (architecture === undefined) {
    throw new MusterError({
      code: "image-kernel-unfit",
      what: `${chosen.path} in ${tree} is no kernel that iPXE can start: neither a bzImage, an arm64 Image nor an EFI zboot image`,
      fix: "install the distribution's kernel package again; a gzip-compressed arm64 Image has to be unpacked (gunzip)",
    });
  }
  const modules = `lib/modules/${chosen.release}`;
  const config =
    (await readBelow(root, `boot/config-${chosen.release}`)) ??
    (await readBelow(root, `${modules}/config`)) ??
    (await readBelow(root, `usr/${modules}/config`));
  const { features, lacks } = planKernelFeatures({
    config,
    modules: (await readBelow(root, `${modules}/modules.dep`)) ?? "",
    builtin: (await readBelow(root, `${modules}/modules.builtin`)) ?? "",
  });
  if (lacks.length > 0) throw kernelUnfit(chosen, lacks);
  return { release: chosen.release, architecture, features, path };
}

async function gatherCandidates(root: string): Promise<readonly KernelCandidate[]> {
  const found: KernelCandidate[] = [];
  const add = async (path: string, release: string): Promise<void> => {
    if (!(await existsBelow(root, path))) return;
    const hasModules = await existsBelow(root, `lib/modules/${release}/modules.dep`);
    found.push({ path, release, hasModules });
  };
  for (const release of await namesBelow(root, "lib/modules")) {
    await add(`lib/modules/${release}/vmlinuz`, release);
  }
  for (const name of await namesBelow(root, "boot")) {
    const release = /^(?:vmlinuz|Image)-(.+)$/.exec(name)?.[1];
    if (release !== undefined) await add(`boot/${name}`, release);
  }
  return found;
}

/**
 * The real path of `path` in a tree whose links mean the tree's own root: an absolute link must lead to the
 * image's file, never to this machine's. Undefined when it is not there.
 */
async function resolveBelow(root: string, path: string): Promise<string | undefined> {
  const open = path.split("/").reverse();
  const done: string[] = [];
  for (let links = 0; ; ) {
    const part = open.pop();
    if (part === undefined) return [root === "/" ? "" : root, ...done].join("/");
    if (part === "" || part === ".") continue;
    if (part === "..") {
      done.pop();
      continue;
    }
    const here = [root, ...done, part].join("/");
    const facts = await lstat(here).catch(() => undefined);
    if (facts === undefined) return undefined;
    if (!facts.isSymbolicLink()) {
      done.push(part);
      continue;
    }
    if (++links > MAX_LINKS) return undefined;
    const target = await readlink(here);
    if (target.startsWith("/")) done.length = 0;
    open.push(...target.split("/").reverse());
  }
}

async function existsBelow(root: string, path: string): Promise<boolean> {
  return (await resolveBelow(root, path)) !== undefined;
}

async function readBelow(root: string, path: string): Promise<string | undefined> {
  const found = await resolveBelow(root, path);
  return found === undefined ? undefined : readFile(found, "utf8");
}

async function namesBelow(root: string, path: string): Promise<readonly string[]> {
  const found = await resolveBelow(root, path);
  return found === undefined ? [] : (await readdir(found)).sort();
}

async function readHead(path: string): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function treeInvalid(tree: string, why: string, fix: string, cause?: unknown): MusterError {
  return new MusterError({ code: "image-tree-invalid", what: `${tree} ${why}`, fix, cause });
}

function kernelMissing(tree: string, candidates: readonly KernelCandidate[]): MusterError {
  const rejected = candidates.map((candidate) =>
    candidate.hasModules
      ? `${candidate.path} (a debug or rescue kernel)`
      : `${candidate.path} (no lib/modules/${candidate.release}/modules.dep)`,
  );
  return new MusterError({
    code: "image-kernel-missing",
    what: `${tree} has no kernel that nodes can boot: ${
      rejected.length === 0 ? `nothing matches ${LOOKED_AT}` : `only ${rejected.join(", ")}`
    }`,
    fix: `install one with its modules: chroot ${tree} apt-get install linux-image-amd64, or dnf --installroot=${tree} install kernel-core kernel-modules`,
  });
}

function kernelUnfit(chosen: KernelCandidate, lacks: readonly KernelLack[]): MusterError {
  const off = lacks.filter((lack) => lack.reason === "off").map((lack) => lack.option);
  const missing = lacks.filter((lack) => lack.reason === "module-missing").map((lack) => lack.option);
  const parts = [
    ...(off.length === 0 ? [] : [`is built without ${off.join(", ")}`]),
    ...(missing.length === 0 ? [] : [`has ${missing.join(", ")} as a module whose file is not installed`]),
  ];
  return new MusterError({
    code: "image-kernel-unfit",
    what: `kernel ${chosen.release} (${chosen.path}) ${parts.join(" and ")}`,
    fix:
      off.length > 0
        ? "install a general-purpose kernel of the distribution, or build this one with the options named"
        : "install the rest of its modules (linux-modules-extra-..., kernel-modules-core, kernel-modules) and run depmod",
  });
}
