import { copyFile, mkdir, readdir, readFile, realpath } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { gunzip, zstdDecompress } from "node:zlib";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";
import { type Compression, compressArchive } from "./compress-archive.ts";
import { parseModuleFirmware } from "./parse-module-info.ts";
import { type ModulePlan, planModules } from "./plan-modules.ts";
import { type CpioEntry, withParents, writeCpio } from "./write-cpio.ts";

/** What {@link buildModules} makes an archive of. */
export interface ModulesInputs {
  /** Root of the image's directory tree. */
  readonly tree: string;
  /** The kernel, as in lib/modules/RELEASE. */
  readonly release: string;
  /** Patterns, see planModules. */
  readonly drivers: readonly string[];
  readonly compression: Compression;
  readonly out: string;
  /** Empty directory for temporary files. */
  readonly scratch: string;
}

/** What an archive holds, for people. */
export interface ModulesReport {
  readonly sizeBytes: number;
  readonly modules: number;
  readonly firmware: number;
}

/**
 * Builds the archive with one kernel's modules for a netboot: decompressed (the archive is compressed as a
 * whole), with modules.dep and modules.alias for just these, and the firmware they name that the tree has.
 * Throws `initramfs-build-failed` when a required module (pattern "+name") is nowhere.
 */
export async function buildModules(inputs: ModulesInputs, signal: AbortSignal): Promise<ModulesReport> {
  const root = await realpath(inputs.tree);
  const directory = await findBelow(root, `lib/modules/${inputs.release}`);
  if (directory === undefined) {
    throw new MusterError({
      code: "initramfs-build-failed",
      what: `${inputs.tree} has no modules of kernel ${inputs.release}: no lib/modules/${inputs.release}`,
      fix: "name a kernel that is installed in the tree",
    });
  }
  const plan = planModules(
    {
      dependencies: await readIndex(directory, "modules.dep"),
      aliases: await readIndex(directory, "modules.alias"),
      softDependencies: await readFile(`${directory}/modules.softdep`, "utf8").catch(() => ""),
      builtin: await readIndex(directory, "modules.builtin"),
    },
    inputs.drivers,
  );
  if (plan.missing.length > 0) {
    throw new MusterError({
      code: "initramfs-build-failed",
      what: `kernel ${inputs.release} has no ${plan.missing.join(", ")}: neither a module nor built in`,
      fix: "install the package with the rest of the kernel's modules (kernel-modules-core, linux-modules-extra-...), or another kernel",
    });
  }
  const modules = await readModules(directory, plan, inputs.scratch, signal);
  const firmware = await readFirmware(root, modules);
  const inRelease = (name: string): string => `lib/modules/${inputs.release}/${name}`;
  const text = (name: string, content: string): CpioEntry => ({
    kind: "file",
    path: inRelease(name),
    mode: 0o644,
    content: Buffer.from(content),
  });
  const entries: readonly CpioEntry[] = [
    text("modules.dep", plan.dependencies),
    text("modules.alias", plan.aliases),
    text("modules.builtin", await readIndex(directory, "modules.builtin")),
    ...[...modules].map(
      ([path, content]) => ({ kind: "file", path: inRelease(path), mode: 0o644, content }) as const,
    ),
    ...firmware,
  ];
  const archive = await compressArchive(
    writeCpio(withParents(entries)),
    inputs.compression,
    { effort: "import", scratch: inputs.scratch },
    signal,
  );
  await mkdir(dirname(inputs.out), { recursive: true });
  await writeFileAtomically(inputs.out, archive);
  return { sizeBytes: archive.length, modules: modules.size, firmware: firmware.length };
}

async function readIndex(directory: string, name: string): Promise<string> {
  try {
    return await readFile(`${directory}/${name}`, "utf8");
  } catch (cause) {
    throw new MusterError({
      code: "initramfs-build-failed",
      what: `${directory}/${name} cannot be read`,
      fix: "run depmod for this kernel in the image (chroot TREE depmod RELEASE), or reinstall the kernel package",
      cause,
    });
  }
}

/** The plan's modules by the path they get, decompressed. */
async function readModules(
  directory: string,
  plan: ModulePlan,
  scratch: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Buffer>> {
  // One xz for all of them: starting it a thousand times takes longer than its work.
  const unpacked = `${scratch}/xz`;
  const inXz = plan.files.filter((file) => file.from.endsWith(".xz"));
  for (const file of inXz) {
    await mkdir(dirname(`${unpacked}/${file.from}`), { recursive: true });
    await copyFile(`${directory}/${file.from}`, `${unpacked}/${file.from}`);
  }
  if (inXz.length > 0) {
    const args = ["--decompress", "--force", "--", ...inXz.map((file) => file.from)];
    await runCommand({ program: "xz", args, cwd: unpacked, deadlineMs: 300_000 }, signal);
  }
  const modules = new Map<string, Buffer>();
  for (const file of plan.files) {
    signal.throwIfAborted();
    modules.set(
      file.to,
      file.from.endsWith(".xz")
        ? await readFile(`${unpacked}/${file.to}`)
        : await readPlain(`${directory}/${file.from}`),
    );
  }
  return modules;
}

async function readPlain(path: string): Promise<Buffer> {
  const content = await readFile(path);
  if (path.endsWith(".zst")) return promisify(zstdDecompress)(content);
  if (path.endsWith(".gz")) return promisify(gunzip)(content);
  return content;
}

/**
 * Firmware the modules name and the tree has, as it lies there: a kernel that is packaged with compressed
 * firmware reads compressed firmware (CONFIG_FW_LOADER_COMPRESS).
 */
async function readFirmware(
  root: string,
  modules: ReadonlyMap<string, Buffer>,
): Promise<readonly CpioEntry[]> {
  const names = new Set([...modules.values()].flatMap(parseModuleFirmware));
  const entries: CpioEntry[] = [];
  for (const name of [...names].sort()) {
    for (const suffix of ["", ".xz", ".zst"]) {
      const path = await findBelow(root, `lib/firmware/${name}${suffix}`);
      if (path === undefined) continue;
      entries.push({
        kind: "file",
        path: `lib/firmware/${name}${suffix}`,
        mode: 0o644,
        content: await readFile(path),
      });
      break;
    }
  }
  return entries;
}

/** Where `path` really is, usr-merged or not; undefined when it is not there or a link leads out of the tree. */
async function findBelow(root: string, path: string): Promise<string | undefined> {
  for (const candidate of [`${root}/usr/${path}`, `${root}/${path}`]) {
    const found = await realpath(candidate).catch(() => undefined);
    if (found?.startsWith(`${root}/`) === true) return found;
  }
  return undefined;
}

/** The kernels a tree has modules of, for an error or a choice. */
export async function listReleases(tree: string): Promise<readonly string[]> {
  const directory = await findBelow(await realpath(tree), "lib/modules");
  return directory === undefined ? [] : (await readdir(directory)).sort();
}
