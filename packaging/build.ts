import { chmod, copyFile, cp, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build as bundle } from "esbuild";

import { runCommand } from "#proto/host/run-command.ts";

import packageJson from "../package.json" with { type: "json" };
import { buildAgent } from "./build-agent.ts";
import { generateProtos } from "./generate-protos.ts";
import { packAgentRelease } from "./pack-agent-release.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DIST = join(ROOT, "dist");

/** The programs that run on the pinned Node: dist/NAME is a two-line launcher, dist/lib/NAME.mjs the program. */
const PROGRAMS = [
  { name: "musterd", entry: "controller/main.ts" },
  { name: "muster", entry: "controller/cli/main.ts" },
  { name: "muster-initramfs", entry: "initramfs/main.ts" },
] as const;

/** Started by musterd, never by people: no launcher. */
const WORKERS = [{ name: "blob-worker", entry: "controller/images/blob-worker.ts" }] as const;

/** Files of muster-initramfs that go into archives as they are. */
const INITRAMFS_ASSETS = ["init", "udhcpc.script", "drivers.txt"] as const;

/**
 * V8 would let the space of young objects grow to 128 MiB while nodes boot and never give it back; with a quarter of
 * that 2,000 nodes boot in the same CPU time.
 */
const OPTIONS_OF_ALL = ["--no-warnings", "--max-semi-space-size=16"];

const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  /**
   * V8 lets old objects grow to four times what was in use when it last looked, and does not look again while nothing much
   * happens: after some changes of 10,000 nodes, of which 60 MB stay, musterd had 300 to 375 MB. With twice it is 220 MB.
   */
  musterd: ["--heap-growing-percent=100"],
  /** The young space does not begin small: lists of 10,000 nodes are not copied while it grows, a tenth of the CPU time. */
  muster: ["--min-semi-space-size=16"],
};

const LAUNCHER = (name: string): string => `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/lib/node" ${[...OPTIONS_OF_ALL, ...(OPTIONS[name] ?? [])].join(" ")} "$here/lib/${name}.mjs" "$@"
`;

/** CommonJS packages inside an ES module bundle still call require(). */
const REQUIRE_BANNER =
  'import { createRequire as musterCreateRequire } from "node:module"; const require = musterCreateRequire(import.meta.url);';

/**
 * Builds everything into dist/: launchers, bundles, the pinned Node, the agent executable and the base
 * initramfs archives. Steps whose inputs did not change are cheap. `onStep` is told each step as it begins.
 */
export async function build(onStep: (step: string) => void): Promise<void> {
  onStep("generate wire contract");
  await generateProtos();
  onStep("bundle musterd, muster, muster-initramfs");
  await rm(join(DIST, "lib/chunks"), { recursive: true, force: true });
  await mkdir(join(DIST, "lib"), { recursive: true });
  await bundlePrograms();
  await installRuntime();
  onStep("build muster-agent");
  const agent = await buildAgent({ outDir: DIST });
  const artifacts = join(DIST, "artifacts");
  await packAgentRelease({
    program: join(DIST, "muster-agent"),
    build: agent,
    version: packageJson.version,
    outDir: artifacts,
  });
  onStep("build base initramfs");
  await buildBaseArchives();
}

async function bundlePrograms(): Promise<void> {
  await bundle({
    entryPoints: [...PROGRAMS, ...WORKERS].map(({ name, entry }) => ({ in: join(ROOT, entry), out: name })),
    outdir: join(DIST, "lib"),
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
    platform: "node",
    format: "esm",
    target: "node24",
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    banner: { js: REQUIRE_BANNER },
    external: ["better-sqlite3"],
    logLevel: "error",
  });
  const assets = join(DIST, "lib/initramfs");
  await mkdir(assets, { recursive: true });
  for (const file of INITRAMFS_ASSETS) await copyFile(join(ROOT, "initramfs", file), join(assets, file));
  for (const { name } of PROGRAMS) {
    await writeFile(join(DIST, name), LAUNCHER(name));
    await chmod(join(DIST, name), 0o755);
  }
}

/** The Node binary and the one package with a native part, beside the bundles. */
async function installRuntime(): Promise<void> {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  await copyIfChanged(join(ROOT, `node_modules/node-linux-${arch}/bin/node`), join(DIST, "lib/node"));
  const from = join(ROOT, "node_modules/better-sqlite3");
  const to = join(DIST, "lib/node_modules/better-sqlite3");
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true });
  for (const part of ["package.json", "lib", "LICENSE"]) {
    await cp(join(from, part), join(to, part), { recursive: true });
  }
  await cp(join(from, "prebuilds"), join(to, "prebuilds"), {
    recursive: true,
    filter: (path) => path.endsWith("prebuilds") || path.includes(`linux-${arch}`),
  });
}

async function copyIfChanged(from: string, to: string): Promise<void> {
  const [source, target] = await Promise.all([stat(from), stat(to).catch(() => undefined)]);
  if (target?.size === source.size && target.mtimeMs >= source.mtimeMs) return;
  await rm(to, { force: true });
  await copyFile(from, to);
  await chmod(to, 0o755);
}

async function buildBaseArchives(): Promise<void> {
  const artifacts = join(DIST, "artifacts");
  await mkdir(artifacts, { recursive: true });
  const agent = join(DIST, "muster-agent");
  const unit = join(ROOT, "packaging/systemd/muster-agent.service");
  const sources = (await readdir(join(ROOT, "initramfs"))).map((name) => join(ROOT, "initramfs", name));
  const inputs = [agent, unit, ...sources];
  for (const compression of ["zstd", "gzip"]) {
    const out = join(artifacts, `base-${compression}.cpio`);
    if (await isNewer(out, inputs)) continue;
    await runCommand({
      program: join(DIST, "muster-initramfs"),
      args: ["base", "--agent", agent, "--unit", unit, "--compression", compression, "--out", out],
      deadlineMs: 600_000,
    });
  }
}

async function isNewer(path: string, inputs: readonly string[]): Promise<boolean> {
  const own = await stat(path).catch(() => undefined);
  if (own === undefined) return false;
  const times = await Promise.all(inputs.map(async (input) => (await stat(input)).mtimeMs));
  return times.every((time) => time <= own.mtimeMs);
}

if (import.meta.main) {
  const started = Date.now();
  await build((step) => {
    process.stderr.write(`build: ${step}\n`);
  });
  process.stderr.write(`build: done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
}
