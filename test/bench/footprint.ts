import { setTimeout as sleep } from "node:timers/promises";

import { openCluster } from "../e2e/cluster.ts";
import { startAgentHere } from "./agent-on-this-host.ts";
import { readCpuMilliseconds, readMemory, readVoluntarySwitches } from "./read-process-cost.ts";
import { type Bench, renderTable } from "./render-table.ts";

/** One look at the runtime overlay and ten heartbeats fall into it, whenever it begins. */
const MEASURED_MS = 300_000;
const HOUR_MS = 3_600_000;

/** What the agent costs a node that does nothing else; heartbeats and the overlay's schedule are the defaults. */
export const benchFootprint: Bench = async (say) => {
  await using cluster = await openCluster();
  say("start the agent, and let it settle");
  const { pid } = await startAgentHere(cluster);
  say(`measure for ${MEASURED_MS / 60_000} minutes`);
  const before = await readCosts(pid);
  await sleep(MEASURED_MS);
  const after = await readCosts(pid);
  const perHour = HOUR_MS / (after.atMs - before.atMs);
  return renderTable(
    ["muster-agent run, idle node", "measured", "aim"],
    [
      ["RssAnon, MiB", (after.anonymousBytes / 2 ** 20).toFixed(1), "25"],
      ["resident, MiB", (after.residentBytes / 2 ** 20).toFixed(1), ""],
      ["CPU seconds per hour", ((after.cpuSeconds - before.cpuSeconds) * perHour).toFixed(2), "2"],
      [
        "voluntary context switches per hour",
        ((after.switches - before.switches) * perHour).toFixed(0),
        "10000",
      ],
      ["CPU seconds from its start until then", before.cpuSeconds.toFixed(2), ""],
    ],
  );
};

async function readCosts(pid: number): Promise<
  Awaited<ReturnType<typeof readMemory>> & {
    readonly atMs: number;
    readonly cpuSeconds: number;
    readonly switches: number;
  }
> {
  const [memory, cpuMs, switches] = await Promise.all([
    readMemory(pid),
    readCpuMilliseconds(pid),
    readVoluntarySwitches(pid),
  ]);
  return { ...memory, cpuSeconds: cpuMs / 1000, switches, atMs: performance.now() };
}
