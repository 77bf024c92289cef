import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { startDaemon } from "#proto/host/run-command.ts";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BIN = join(ROOT, "node_modules/.bin");

/** Counts of vitest's JSON report. */
interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/** `npm test`: check, unit tests, build, whole nodes; stops at the first phase that fails. */
async function runAll(): Promise<Counts> {
  let total: Counts = { passed: 0, failed: 0 };
  const scratch = await mkdtemp(join(tmpdir(), "muster-test-"));
  try {
    const phases: readonly (readonly [string, () => Promise<Counts>])[] = [
      ["check", () => asOneTest(join(BIN, "node"), ["packaging/check.ts"])],
      ["unit", () => vitest("vitest.config.ts", join(scratch, "unit.json"))],
      ["build", () => asOneTest(join(BIN, "node"), ["packaging/build.ts"])],
      ["whole nodes", () => vitest("vitest.e2e.config.ts", join(scratch, "e2e.json"))],
    ];
    for (const [name, run] of phases) {
      const started = Date.now();
      const counts = await run();
      total = { passed: total.passed + counts.passed, failed: total.failed + counts.failed };
      const seconds = ((Date.now() - started) / 1000).toFixed(0);
      process.stderr.write(`== ${name}: ${counts.passed} passed, ${counts.failed} failed, ${seconds} s\n`);
      if (counts.failed > 0) break;
    }
    return total;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function asOneTest(program: string, args: readonly string[]): Promise<Counts> {
  return (await runShown(program, args)) === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

async function vitest(config: string, report: string): Promise<Counts> {
  const exitCode = await runShown(join(BIN, "vitest"), [
    "run",
    "--config",
    config,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ]);
  const text = await readFile(report, "utf8").catch(() => "{}");
  const { numPassedTests: passed = 0, numFailedTests: failed = 0 } = JSON.parse(text) as {
    numPassedTests?: number;
    numFailedTests?: number;
  };
  // A file that cannot be loaded, or a run that found no test, has no failed test to count.
  const broken = (exitCode !== 0 || passed === 0) && failed === 0 ? 1 : 0;
  return { passed, failed: failed + broken };
}

async function runShown(program: string, args: readonly string[]): Promise<number> {
  const child = await startDaemon({
    program,
    args,
    cwd: ROOT,
    onLine: (line) => process.stdout.write(`${line}\n`),
  });
  const end = (): void => {
    child.kill("SIGTERM");
  };
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
  try {
    const { code } = await child.exited;
    return code ?? 1;
  } finally {
    process.off("SIGINT", end);
    process.off("SIGTERM", end);
  }
}

const { passed, failed } = await runAll();
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
