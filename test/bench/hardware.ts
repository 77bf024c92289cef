import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";

import { DIST } from "../e2e/cluster.ts";
import { median, renderSpread, renderTable } from "./render-table.ts";

const RUNS = 40;
const AGENT = join(DIST, "muster-agent");
const PROGRAMS = [
  { name: "slurmd -C", program: "slurmd", args: ["-C"] },
  { name: "muster-agent hardware", program: AGENT, args: ["hardware"] },
  { name: "muster-agent hardware --json", program: AGENT, args: ["hardware", "--json"] },
] as const;

/** Whole processes, from start to end, turn by turn: what a machine does besides hits all alike. */
export async function benchHardware(say: (line: string) => void): Promise<string> {
  const times = PROGRAMS.map((): number[] => []);
  for (let run = -1; run < RUNS; run++) {
    for (const [index, { name, program, args }] of PROGRAMS.entries()) {
      const started = performance.now();
      const { stdout } = await runCommand({ program, args });
      const ms = performance.now() - started;
      if (stdout === "") throw new MusterError({ code: "command-failed", what: `${name} printed nothing` });
      // The first round reads the programs from disk.
      if (run >= 0) times[index]?.push(ms);
    }
  }
  const slurmd = median(times[0] ?? []);
  say(`${RUNS} runs of each`);
  return renderTable(
    [`whole process, median of ${RUNS}`, "ms", "of slurmd -C"],
    PROGRAMS.map(({ name }, index) => {
      const own = times[index] ?? [];
      return [name, renderSpread(own, 0), `${(median(own) / slurmd).toFixed(1)} x`];
    }),
  );
}
