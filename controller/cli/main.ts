import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import { runCli } from "./run-cli.ts";

const stop = new AbortController();
const onSignal = (): void => {
  stop.abort();
  // a command that does not listen to the signal still ends at the second Ctrl-C, and soon after the first;
  // one that does has this long to clean up
  setTimeout(() => process.exit(130), 5000).unref();
};
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, onSignal);
// `muster node list | head`: the reader has what it wants; `muster export > FILE` on a full disk: FILE is cut short
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`muster: what was to be written is not complete: ${error.message}\n`);
  process.exit(3);
});

/** In a release a launcher two directories up from this bundle's chunks; in a checkout, the source. */
function findInitramfsProgram(): readonly [string, ...string[]] {
  const launcher = join(import.meta.dirname, "../muster-initramfs");
  if (existsSync(launcher)) return [launcher];
  return [process.execPath, "--no-warnings", join(import.meta.dirname, "../../initramfs/main.ts")];
}

function findArtifacts(): string {
  const released = join(import.meta.dirname, "../artifacts");
  return existsSync(released) ? released : join(import.meta.dirname, "../../dist/artifacts");
}

async function ask(question: string): Promise<string | undefined> {
  if (!process.stdin.isTTY) return undefined;
  const { createInterface } = await import("node:readline/promises");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await terminal.question(question, { signal: stop.signal });
  } finally {
    terminal.close();
  }
}

process.exitCode = await runCli({
  args: process.argv.slice(2),
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  outIsTerminal: process.stdout.isTTY,
  errIsTerminal: process.stderr.isTTY,
  now: () => new Date(),
  ask,
  wait: async (ms) => wait(ms, undefined, { signal: stop.signal }),
  signal: stop.signal,
  userId: process.getuid?.() ?? 0,
  initramfsCommand: findInitramfsProgram(),
  artifacts: findArtifacts(),
});
