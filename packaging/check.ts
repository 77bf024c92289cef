import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { generateProtos } from "./generate-protos.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BIN = join(ROOT, "node_modules/.bin");

/** The one gate: what must be clean before anything lands. In the order of how fast it fails. */
const CHECKS = [
  { name: "format", args: ["biome", "format", "."] },
  { name: "types", args: ["tsc", "--noEmit", "--project", "."] },
  { name: "lint", args: ["eslint", "."] },
  {
    name: "boundaries",
    args: [
      "depcruise",
      "--config",
      ".dependency-cruiser.cjs",
      "proto",
      "agent",
      "controller",
      "initramfs",
      "test",
      "packaging",
    ],
  },
  { name: "dead code", args: ["knip", "--no-progress"] },
] as const;

/**
 * The newest release this commit descends from. Undefined before the first one, in a clone too shallow to tell, and
 * outside of git (a release tarball).
 */
async function findReleaseTag(): Promise<string | undefined> {
  const describe = ["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD"];
  const { exitCode, stdout } = await runCommandUnchecked({ program: "git", args: describe, cwd: ROOT }).catch(
    () => ({ exitCode: 1, stdout: "" }),
  );
  return exitCode === 0 ? stdout.trim() : undefined;
}

/** Agents and controllers one release apart work together: what the last release said on the wire is still understood. */
async function listCompatibilityCheck(): Promise<
  readonly { name: string; args: readonly string[]; cwd: string }[]
> {
  const tag = await findReleaseTag();
  if (tag === undefined) {
    process.stderr.write("check: compatibility skipped: no release tag yet\n");
    return [];
  }
  const against = `../.git#tag=${tag},subdir=proto`;
  const args = ["buf", "breaking", "--against", against];
  return [{ name: `compatibility with ${tag}`, args, cwd: join(ROOT, "proto") }];
}

await generateProtos();
let failed = 0;
const checks = [...CHECKS.map((check) => ({ ...check, cwd: ROOT })), ...(await listCompatibilityCheck())];
for (const { name, args, cwd } of checks) {
  const [program = "", ...rest] = args;
  const started = Date.now();
  const result = await runCommandUnchecked({
    program: join(BIN, program),
    args: rest,
    cwd,
    deadlineMs: 300_000,
  });
  const ok = result.exitCode === 0;
  process.stderr.write(
    `check: ${name} ${ok ? "ok" : "FAILED"} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`,
  );
  if (ok) continue;
  failed += 1;
  process.stderr.write(`${result.stdout}${result.stderr}\n`);
}
process.exitCode = failed === 0 ? 0 : 1;
