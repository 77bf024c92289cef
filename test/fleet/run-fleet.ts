import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { errorSentence } from "#proto/contract/muster-error.ts";

import { type AgentMessage, openControllerLink } from "../../agent/session/controller-link.ts";
import { runSession } from "../../agent/session/run-session.ts";
import { withSourceAddress } from "./bind-source-address.ts";
import { type FleetReport, type FleetTask, fleetNode } from "./fleet-task.ts";
import { openUpdateQueue, queueUpdates } from "./hold-updates.ts";
import { bootSimulated, type SimulatedNode, sessionHost, startDuties } from "./simulated-agent.ts";

/** The process of some simulated nodes: boots them, keeps their sessions, reports on standard output until SIGTERM. */

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

const REPORT_EVERY_MS = 50;
const BOOT_AGAIN_MS = 1000;

const report: Writable<FleetReport> = {
  ...{
    enrolled: 0,
    sessions: 0,
    welcomes: 0,
    hardware: 0,
    overlays: {},
    updates: 0,
    failures: 0,
    trouble: "",
  },
  ...{ firstEnrolledAtMs: 0, lastEnrolledAtMs: 0, lastWelcomeAtMs: 0, lastUpdateAtMs: 0 },
  lastAppliedAtMs: 0,
};
const overlays = new Map<string, number>();

const task = JSON.parse(process.argv[2] ?? "") as FleetTask;
const updates = openUpdateQueue(task.last - task.first + 1, () => {
  report.updates++;
  report.lastUpdateAtMs = Date.now();
});
const stop = new AbortController();
process.once("SIGTERM", () => {
  stop.abort();
  process.exit(0);
});
let last = "";
setInterval(() => {
  report.overlays = Object.fromEntries(overlays);
  const line = JSON.stringify(report);
  if (line !== last) process.stdout.write(`${line}\n`);
  last = line;
}, REPORT_EVERY_MS);

const indexes = Array.from({ length: task.last - task.first + 1 }, (_, at) => task.first + at).values();
await Promise.all(
  Array.from({ length: task.atOnce }, async () => {
    for (const index of indexes) {
      const node = { ...fleetNode(index), root: join(task.directory, fleetNode(index).name) };
      await withSourceAddress(node.address, () => boot(node));
    }
  }),
);

/** Returns when the node has booted and, if it is to have one, a session, which goes on by itself. */
async function boot(node: SimulatedNode): Promise<void> {
  for (;;) {
    try {
      await bootSimulated(node, task.bootUrl, stop.signal);
      break;
    } catch (error) {
      report.failures++;
      report.trouble = `${node.name}: ${errorSentence(error)}`;
      await sleep(BOOT_AGAIN_MS);
    }
  }
  report.enrolled++;
  report.firstEnrolledAtMs ||= Date.now();
  report.lastEnrolledAtMs = Date.now();
  if (!task.sessions) return;
  const { promise: welcomed, resolve } = Promise.withResolvers<undefined>();
  const log = (line: string): void => {
    if (!/^session with .* open$|^hardware reported$|paths changed$/.test(line))
      report.trouble = `${node.name}: ${line}`;
  };
  const { link, sessions } = openControllerLink(log);
  link.onWelcome((_welcome, ended) => {
    report.sessions++;
    report.welcomes++;
    report.lastWelcomeAtMs = Date.now();
    ended.addEventListener("abort", () => report.sessions--, { once: true });
    resolve(undefined);
  });
  const host = sessionHost(node, log);
  startDuties(host, node, queueUpdates(link, updates), watchSent(), stop.signal);
  runSession(host, sessions, stop.signal).catch((error: unknown) => {
    log(`its agent ended: ${errorSentence(error)}`);
  });
  await welcomed;
}

/** Counts what one node sends. */
function watchSent(): (message: AgentMessage) => void {
  let applied: string | undefined;
  return (message) => {
    if (message.$case === "hardwareReport") report.hardware++;
    if (message.$case !== "overlayStatus") return;
    const { digest, failure } = message.value;
    if (failure !== undefined) report.trouble = failure.what;
    if (digest === applied) return;
    if (applied !== undefined) overlays.set(applied, (overlays.get(applied) ?? 0) - 1);
    if (applied !== undefined && overlays.get(applied) === 0) overlays.delete(applied);
    overlays.set(digest, (overlays.get(digest) ?? 0) + 1);
    applied = digest;
    report.lastAppliedAtMs = Date.now();
  };
}
