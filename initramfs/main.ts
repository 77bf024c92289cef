import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";

import { Command } from "commander";

import { errorMeaning, errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { buildBase } from "./build-base.ts";
import { buildModules, listReleases } from "./build-modules.ts";
import { parseCompression } from "./compress-archive.ts";
import { findArchives, listArchive } from "./list-archive.ts";
import { parseDriverList } from "./plan-modules.ts";
import { renderListing, renderSize } from "./render-listing.ts";

/** init, udhcpc.script and drivers.txt: beside this file in the source tree, in initramfs/ beside the built program. */
const ASSETS = existsSync(`${import.meta.dirname}/drivers.txt`)
  ? import.meta.dirname
  : `${import.meta.dirname}/initramfs`;

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => {
    stop.abort(new MusterError({ code: "command-failed", what: `ended by ${name}` }));
  });
}

interface BaseOptions {
  readonly agent: string;
  readonly unit: string;
  readonly compression: string;
  readonly out: string;
}

interface ModulesOptions {
  readonly tree: string;
  readonly kernel: string;
  readonly compression: string;
  readonly out: string;
  readonly drivers?: string;
  readonly output?: string;
}

const program = new Command("muster-initramfs")
  .description("Builds and lists the initramfs archives that nodes boot with")
  .showHelpAfterError();

program
  .command("base")
  .description("build the archive that is the same for every kernel: /init, busybox, libraries, the agent")
  .requiredOption("--agent <file>", "the muster-agent executable")
  .requiredOption("--unit <file>", "muster-agent.service")
  .requiredOption("--compression <name>", "zstd, xz or gzip")
  .requiredOption("--out <file>", "archive to write")
  .action(async (options: BaseOptions) => {
    await withScratch(async (scratch) => {
      const compression = parseCompression(options.compression);
      const { sizeBytes } = await buildBase(
        { ...options, compression, assets: ASSETS, scratch },
        stop.signal,
      );
      note(`${options.out}: ${renderSize(sizeBytes)}`);
    });
  });

program
  .command("modules")
  .description("build the archive with one kernel's modules for a netboot")
  .requiredOption("--tree <dir>", "root of the image's directory tree")
  .requiredOption("--kernel <release>", "kernel, as in lib/modules/RELEASE")
  .requiredOption("--compression <name>", "zstd, xz or gzip")
  .requiredOption("--out <file>", "archive to write")
  .option("--drivers <file>", "more drivers, in the form of the built-in drivers.txt")
  .option("-o, --output <format>", "json: sizes and counts on standard output")
  .action(async (options: ModulesOptions) => {
    const compression = parseCompression(options.compression);
    const drivers = [
      ...parseDriverList(await readFile(`${ASSETS}/drivers.txt`, "utf8")),
      ...(options.drivers === undefined ? [] : parseDriverList(await readFile(options.drivers, "utf8"))),
    ];
    await requireRelease(options.tree, options.kernel);
    await withScratch(async (scratch) => {
      const report = await buildModules(
        { tree: options.tree, release: options.kernel, drivers, compression, out: options.out, scratch },
        stop.signal,
      );
      if (options.output === "json") process.stdout.write(`${JSON.stringify(report)}\n`);
      note(
        `${options.out}: ${renderSize(report.sizeBytes)}, ${report.modules} modules, ${report.firmware} firmware files`,
      );
    });
  });

program
  .command("list")
  .description("show what is inside archives, with sizes")
  .argument("<path...>", "archives, or directories with archives")
  .option("-o, --output <format>", "table or json", "table")
  .action(async (paths: readonly string[], options: { readonly output: string }) => {
    const archives = [];
    for (const path of paths) {
      for (const file of await findArchives(path)) archives.push(await listArchive(file, stop.signal));
    }
    process.stdout.write(
      options.output === "json"
        ? `${JSON.stringify(archives, undefined, 2)}\n`
        : archives.map(renderListing).join("\n"),
    );
  });

async function requireRelease(tree: string, release: string): Promise<void> {
  const releases = await listReleases(tree).catch((): readonly string[] => []);
  if (releases.includes(release)) return;
  throw new MusterError({
    code: "initramfs-build-failed",
    what: `${tree} has no modules of kernel ${release}`,
    fix: releases.length === 0 ? "install a kernel into the tree" : `it has ${releases.join(", ")}`,
  });
}

async function withScratch(work: (scratch: string) => Promise<void>): Promise<void> {
  const scratch = await mkdtemp(`${tmpdir()}/muster-initramfs-`);
  try {
    await work(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

try {
  await program.parseAsync();
} catch (error) {
  note(`muster-initramfs: ${errorSentence(error)}`);
  if (error instanceof MusterError && error.fix !== undefined) note(`  ${error.fix}`);
  if (!(error instanceof MusterError) && error instanceof Error) note(error.stack ?? "");
  process.exitCode = errorMeaning(error).exit;
}
