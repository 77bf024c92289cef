import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build as bundle } from "esbuild";

import { runCommand } from "#proto/host/run-command.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Options of the Node inside.
 * One V8 worker thread (0 would mean "as many as cores"): the agent waits far more than it computes.
 */
const EXEC_ARGV = ["--no-warnings", "--v8-pool-size=1", "--max-semi-space-size=8"];

/** The fuse that tells Node an application is inside; Node.js documentation, "Single executable applications". */
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

/** EL8 has 2.28; GLIBCXX_3.4.25 is its libstdc++. Newer symbols would not start there. */
const NEWEST_GLIBC = "2.28";
const NEWEST_GLIBCXX = "3.4.25";
const ALLOWED_LIBRARIES = /^(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|ld-linux[\w-]*)\.so\.\d+$/;

/**
 * Builds OUT/muster-agent: agent/start.ts and its packages as one file inside a stripped copy of the pinned Node.
 * Does nothing when neither the bundle nor that Node changed since the last time. Returns the name of the build, which
 * the agent knows too: the same sources with the same Node have the same, wherever they are built.
 */
export async function buildAgent(options: { readonly outDir: string }): Promise<string> {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  const node = join(ROOT, `node_modules/node-linux-${arch}/bin/node`);
  const program = join(options.outDir, "muster-agent");
  const hashFile = join(options.outDir, ".muster-agent.inputs");
  const bundled = await bundleAgent();
  const build = await nameBuild(bundled, dirname(dirname(node)));
  const code = `const MUSTER_AGENT_BUILD=${JSON.stringify(build)};${bundled}`;
  const inputs = await hashInputs(code, node);
  if ((await readFile(hashFile, "utf8").catch(() => "")) === inputs && (await exists(program))) return build;
  await mkdir(options.outDir, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), "muster-agent-"));
  try {
    const built = await assemble(work, node, code);
    await checkNeeds(built);
    // Copied beside its place first: a running agent's file cannot be written, but it can be replaced.
    await copyFile(built, `${program}.new`);
    await chmod(`${program}.new`, 0o755);
    await rename(`${program}.new`, program);
    await writeFile(hashFile, inputs);
    return build;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** SHA-256 over all that decides what the agent is: its program, how it is put together, its Node. */
async function nameBuild(code: string, nodePackage: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(nodePackage, "package.json"), "utf8")) as {
    readonly version: string;
  };
  const own = await readFile(fileURLToPath(import.meta.url));
  const hash = createHash("sha256").update(code).update(own).update(`${process.arch} ${version}`);
  return `sha256:${hash.digest("hex")}`;
}

async function bundleAgent(): Promise<string> {
  const result = await bundle({
    entryPoints: [join(ROOT, "agent/start.ts")],
    bundle: true,
    write: false,
    platform: "node",
    target: "node24",
    format: "cjs",
    minify: true,
    keepNames: true,
    legalComments: "none",
    logLevel: "warning",
    // Its ES module finds itself by import.meta.url, which a CommonJS bundle does not have.
    alias: { "node-cron": join(ROOT, "node_modules/node-cron/dist/node-cron.cjs") },
    // A bundle that hides these from the bundler would look for them beside the executable, where nothing is.
    logOverride: { "empty-import-meta": "error", "unsupported-dynamic-import": "error" },
  });
  const text = result.outputFiles[0]?.text;
  if (text === undefined) throw new Error("esbuild wrote no bundle");
  return text;
}

async function assemble(work: string, node: string, code: string): Promise<string> {
  const program = join(work, "muster-agent");
  const [main, blob, config] = ["agent.cjs", "agent.blob", "sea.json"].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(main, code);
  const sea = {
    main,
    output: blob,
    disableExperimentalSEAWarning: true,
    // 45 ms instead of 60 ms to --version on the development machine; 16 kB.
    useCodeCache: true,
    execArgv: EXEC_ARGV,
    // Nothing in a node's environment (NODE_OPTIONS) may change the agent.
    execArgvExtension: "none",
  };
  await writeFile(config, JSON.stringify(sea));
  await runCommand({ program: node, args: ["--experimental-sea-config", config] });
  await copyFile(node, program);
  await chmod(program, 0o755);
  // Before injection: strip would throw the injected note away. 127 MB become 109.
  await runCommand({ program: "strip", args: [program] });
  await runCommand({
    program: node,
    args: [
      join(ROOT, "node_modules/postject/dist/cli.js"),
      program,
      "NODE_SEA_BLOB",
      blob,
      "--sentinel-fuse",
      FUSE,
    ],
    deadlineMs: 120_000,
  });
  return program;
}

/** Throws when the executable needs a library or a symbol version that EL8 does not have. */
async function checkNeeds(program: string): Promise<void> {
  const dynamic = await runCommand({ program: "readelf", args: ["--dynamic", "--wide", program] });
  const versions = await runCommand({ program: "readelf", args: ["--version-info", "--wide", program] });
  const odd = findUnmetNeeds(dynamic.stdout, versions.stdout);
  if (odd.length > 0) throw new Error(`muster-agent would not run on EL8: it needs ${odd.join(", ")}`);
}

function findUnmetNeeds(dynamic: string, versions: string): readonly string[] {
  const libraries = [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1] ?? "");
  const needs = [...versions.matchAll(/Name: (GLIBC|GLIBCXX)_([\d.]+)/g)];
  const limits: Record<string, string> = { GLIBC: NEWEST_GLIBC, GLIBCXX: NEWEST_GLIBCXX };
  return [
    ...libraries.filter((name) => !ALLOWED_LIBRARIES.test(name)),
    ...new Set(
      needs
        .filter(([, library = "", version = ""]) => isNewer(version, limits[library] ?? ""))
        .map(([, library, version]) => `${library}_${version}`),
    ),
  ];
}

function isNewer(version: string, limit: string): boolean {
  return version.localeCompare(limit, "en", { numeric: true }) > 0;
}

async function hashInputs(code: string, node: string): Promise<string> {
  const { size, mtimeMs } = await stat(node);
  const own = await readFile(fileURLToPath(import.meta.url));
  return createHash("sha256").update(code).update(own).update(`${node} ${size} ${mtimeMs}`).digest("hex");
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

if (import.meta.main) await buildAgent({ outDir: process.argv[2] ?? join(ROOT, "dist") });
