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

await generateProtos();
let failed = 0;
for (const { name, args } of CHECKS) {
  const [program, ...rest] = args;
  const started = Date.now();
  const result = await runCommandUnchecked({
    program: join(BIN, program),
    args: rest,
    cwd: ROOT,
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
