import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand, runCommandUnchecked } from "#proto/host/run-command.ts";

import { openCluster } from "../e2e/cluster.ts";
import { pinToLastCore, startAgentHere } from "./agent-on-this-host.ts";
import { type Bench, renderTable } from "./render-table.ts";

/** In turn without and with the agent, so that what else happens on the host meets both. */
const TURNS = 12;
/** About 1 ms each, as fixed work quantum benchmarks have it: 10 s a turn, two minutes of each. */
const QUANTA = 10_000;
const ROUNDS = 1_000_000;
const PERCENTILES = [50, 99, 99.9, 100] as const;

/**
 * What the agent takes from a job: the time of a fixed piece of work on a core where the agent is stopped (SIGSTOP)
 * and on the same core where it runs.
 */
export const benchNoise: Bench = async (say) => {
  await using cluster = await openCluster();
  const program = await compile(cluster.lab.directory);
  say("start the agent, and let it settle");
  const { pid } = await startAgentHere(cluster);
  const core = await pinToLastCore(pid);
  const without: number[] = [];
  const together: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    say(`turn ${turn + 1} of ${TURNS}`);
    process.kill(pid, "SIGSTOP");
    without.push(...(await measure(program, core)));
    process.kill(pid, "SIGCONT");
    together.push(...(await measure(program, core)));
  }
  const rows = PERCENTILES.map((percentile) => {
    const [alone, both] = [at(without, percentile), at(together, percentile)];
    const name = percentile === 50 ? "median" : percentile === 100 ? "longest" : `${percentile} %`;
    return [name, micros(alone), micros(both), (both / alone).toFixed(4)];
  });
  const [alone, both] = [mean(without), mean(together)];
  return renderTable(
    [`${TURNS * QUANTA} quanta, microseconds`, "no agent", "agent on the same core", "ratio"],
    [...rows, ["mean", micros(alone), micros(both), (both / alone).toFixed(4)]],
  );
};

async function compile(directory: string): Promise<string> {
  const program = join(directory, "fixed-work");
  const args = ["-O2", "-o", program, join(import.meta.dirname, "fixed-work.c")];
  const { exitCode, stderr } = await runCommandUnchecked({ program: "cc", args });
  if (exitCode === 0) return program;
  throw new MusterError({
    code: "command-failed",
    what: `cc could not compile fixed-work.c: ${stderr}`,
    fix: "install a C compiler (apt-get install gcc libc6-dev)",
  });
}

async function measure(program: string, core: number): Promise<readonly number[]> {
  const { stdout } = await runCommand({ program, args: [String(core), String(QUANTA), String(ROUNDS)] });
  return stdout.trim().split("\n").map(Number);
}

function at(values: readonly number[], percentile: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percentile) / 100))] ?? Number.NaN;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function micros(nanoseconds: number): string {
  return (nanoseconds / 1000).toFixed(1);
}
