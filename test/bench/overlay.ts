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
/** A look is over in tens of milliseconds; this much before and after the minute is measured. */
const MARGIN_MS = 1500;

/**
 * What a look at a runtime overlay costs that has not changed. Of some looks the cheapest counts: a heartbeat or a
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
  const row = (what: string, of: (look: Look) => number, digits: number, aim: string): readonly string[] => [
    what,
    Math.min(...looks.map(of)).toFixed(digits),
    aim,
  ];
  return renderTable(
    ["a look at 20 files that did not change", "measured", "aim"],
    [
      row("bytes on the connection, TLS included", ({ sent, received }) => sent + received, 0, "1000"),
      row("- from the agent", ({ sent }) => sent, 0, ""),
      row("- from the controller", ({ received }) => received, 0, ""),
      row("CPU of the agent, ms", ({ agentMs }) => agentMs, 2, ""),
      row("CPU of musterd, ms", ({ controllerMs }) => controllerMs, 2, ""),
    ],
  );
};

interface Look {
  readonly sent: number;
  readonly received: number;
  readonly agentMs: number;
  readonly controllerMs: number;
}

/** The next look. */
async function measureLook({ lab }: Cluster, pid: number): Promise<Look> {
  const musterd = await findMusterd(lab);
  const read = async (): Promise<Look> => ({
    ...(await readTraffic(lab)),
    agentMs: await readCpuMilliseconds(pid),
    controllerMs: await readCpuMilliseconds(musterd),
  });
  await sleep(MINUTE_MS - ((Date.now() + MARGIN_MS) % MINUTE_MS));
  const before = await read();
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
