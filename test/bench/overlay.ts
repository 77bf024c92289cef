import { setTimeout as sleep } from "node:timers/promises";

import { readFile, writeFile } from "node:fs/promises";

import { type Cluster, openCluster } from "../e2e/cluster.ts";
import { startAgentHere } from "./agent-on-this-host.ts";
import { findMusterd } from "./fleet.ts";
import { readCpuMilliseconds } from "./read-process-cost.ts";
import { type Bench, renderTable } from "./render-table.ts";

/** For this measurement a node looks every 5 s and not every 5 minutes, each at the same moment. */
const EVERY_SECONDS = 5;
const MEASURED_MS = 60_000;
const CONFIG = (schedule: string): string => `overlays:\n  schedule: "${schedule}"\n  jitter: 0s\n`;
const OFTEN = `*/${EVERY_SECONDS} * * * * *`;
/** Not before next year. */
const NEVER = "0 0 1 1 *";

/**
 * What a look at a runtime overlay costs that has not changed: the difference between a minute with twelve looks and
 * one without any, heartbeats in both.
 */
export const benchOverlay: Bench = async (say) => {
  await using cluster = await openCluster({ moreConfig: CONFIG(OFTEN) });
  say("start the agent, and let it settle");
  const { pid } = await startAgentHere(cluster);
  say("a minute with looks");
  const often = await measure(cluster, pid);
  const config = await readFile(cluster.controller.configPath, "utf8");
  await writeFile(cluster.controller.configPath, config.replace(OFTEN, NEVER));
  await cluster.controller.restart();
  // Back, and the first look after the welcome done.
  await sleep(MEASURED_MS / 2);
  say("a minute without");
  const never = await measure(cluster, pid);
  const looks = MEASURED_MS / 1000 / EVERY_SECONDS;
  const row = (what: string, key: keyof typeof often, digits: number, aim: string): readonly string[] => [
    what,
    ((often[key] - never[key]) / looks).toFixed(digits),
    aim,
  ];
  return renderTable(
    ["a look at 20 files that did not change", "measured", "aim"],
    [
      row("bytes of TCP the agent sent", "sent", 0, ""),
      row("bytes of TCP the controller sent", "received", 0, ""),
      row("bytes, both", "both", 0, "1000"),
      row("CPU of the agent, ms", "agentMs", 2, ""),
      row("CPU of musterd, ms", "controllerMs", 2, ""),
    ],
  );
};

async function measure(
  { lab }: Cluster,
  pid: number,
): Promise<Record<"sent" | "received" | "both" | "agentMs" | "controllerMs", number>> {
  const musterd = await findMusterd(lab);
  const read = async () => ({
    ...(await readTraffic(lab)),
    agentMs: await readCpuMilliseconds(pid),
    controllerMs: await readCpuMilliseconds(musterd),
  });
  const before = await read();
  await sleep(MEASURED_MS);
  const after = await read();
  const [sent, received] = [after.sent - before.sent, after.received - before.received];
  return {
    ...{ sent, received, both: sent + received },
    agentMs: after.agentMs - before.agentMs,
    controllerMs: after.controllerMs - before.controllerMs,
  };
}

/** Payload of the session's connection so far, TLS included, as the agent's socket has it: ss(8), --info. */
async function readTraffic(
  lab: Cluster["lab"],
): Promise<{ readonly sent: number; readonly received: number }> {
  const { stdout } = await lab.run({
    program: "ss",
    args: ["--tcp", "--info", "--numeric", "--no-header", "state", "established", "dport", "=", ":9882"],
  });
  const of = (field: string): number => Number(new RegExp(`\\b${field}:(\\d+)`).exec(stdout)?.[1]);
  return { sent: of("bytes_sent"), received: of("bytes_received") };
}
