import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { type Cluster, openCluster } from "../e2e/cluster.ts";
import { startAgentHere } from "./agent-on-this-host.ts";
import { findMusterd } from "./fleet.ts";
import { readCpuMilliseconds } from "./read-process-cost.ts";
import { type Bench, renderTable } from "./render-table.ts";

/** For this measurement a node looks at each full minute and not every five, some time after. */
const SCHEDULE = 'overlays:\n  schedule: "* * * * *"\n  jitter: 0s\n';
const MINUTE_MS = 60_000;
const LOOKS = 4;
const CHANGES = 5;
/** A look is over in tens of milliseconds; this much before and after the minute is measured. */
const MARGIN_MS = 1500;

/**
 * What a look at a runtime overlay costs that has not changed, and what a change of a file does. Of some looks the cheapest counts: a heartbeat or a
 * keepalive falls into the others now and then.
 */
export const benchOverlay: Bench = async (say) => {
  await using cluster = await openCluster({ moreConfig: SCHEDULE });
  say("start the agent, and let it settle");
  const { pid } = await startAgentHere(cluster);
  const looks: Look[] = [];
  while (looks.length < LOOKS) {
    say(`look ${looks.length + 1} of ${LOOKS}`);
    looks.push(await measureLook(cluster, pid));
  }
  say("change a file");
  const changes: Look[] = [];
  while (changes.length < CHANGES) changes.push(await measureChange(cluster, pid, changes.length));
  return [
    renderTable(["a look at 20 files that did not change", "measured", "aim"], renderLooks(looks, "1000")),
    renderTable(["a change of one of them", "measured", "aim"], renderLooks(changes, "")),
  ].join("\n");
};

function renderLooks(looks: readonly Look[], aim: string): readonly (readonly string[])[] {
  const lowest = (of: (look: Look) => number, digits: number): string =>
    Math.min(...looks.map(of)).toFixed(digits);
  return [
    ["bytes on the connection, TLS included", lowest(({ sent, received }) => sent + received, 0), aim],
    ["- from the agent", lowest(({ sent }) => sent, 0), ""],
    ["- from the controller", lowest(({ received }) => received, 0), ""],
    ["CPU of the agent, ms", lowest(({ agentMs }) => agentMs, 2), ""],
    ["CPU of musterd, ms", lowest(({ controllerMs }) => controllerMs, 2), ""],
  ];
}

interface Look {
  readonly sent: number;
  readonly received: number;
  readonly agentMs: number;
  readonly controllerMs: number;
}

/** The look at the next full minute. */
async function measureLook(cluster: Cluster, pid: number): Promise<Look> {
  await sleep(MINUTE_MS - ((Date.now() + MARGIN_MS) % MINUTE_MS));
  return measure(cluster, pid);
}

/** A file of the overlay becomes another, in the midst of a minute: no look falls into it. */
async function measureChange(cluster: Cluster, pid: number, change: number): Promise<Look> {
  const file = join(cluster.controller.stateDirectory, "overlays/bench/rootfs/etc/muster-bench/0");
  const sinceMinuteMs = Date.now() % MINUTE_MS;
  if (sinceMinuteMs > MINUTE_MS / 2) await sleep(MINUTE_MS - sinceMinuteMs + MARGIN_MS);
  return measure(cluster, pid, () => writeFile(file, `change ${change}\n`));
}

/** What something costs that is over in three seconds. */
async function measure(
  { lab }: Cluster,
  pid: number,
  begin: () => Promise<void> = async () => undefined,
): Promise<Look> {
  const musterd = await findMusterd(lab);
  const read = async (): Promise<Look> => ({
    ...(await readTraffic(lab)),
    agentMs: await readCpuMilliseconds(pid),
    controllerMs: await readCpuMilliseconds(musterd),
  });
  const before = await read();
  await begin();
  await sleep(2 * MARGIN_MS);
  const after = await read();
  return {
    sent: after.sent - before.sent,
    received: after.received - before.received,
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
