import type { NodeName } from "#proto/contract/node-name.ts";
import type { Telemetry } from "../events/telemetry.ts";

type NewEvent = Parameters<Telemetry["recordEvent"]>[0];

const LOOK_AT_CONSOLE = "look at the machine's console; power-cycle it to try again";

/** Its session is open, and it said so for the first time in this boot. */
export function nodeReady(node: NodeName, bootMs: number): NewEvent {
  const what = `${node} is ready ${(bootMs / 1000).toFixed(1)} s after the start of its boot`;
  return { severity: "info", kind: "node-ready", node, what };
}

/** Its session ended, and nothing was heard of it since. */
export function nodeUnreachable(node: NodeName, afterMs: number): NewEvent {
  return {
    severity: "warning",
    kind: "node-unreachable",
    node,
    what: `the session of ${node} ended, and it did not come back within ${afterMs / 1000} s`,
    fix: "expected when it restarts; otherwise look at its network and its muster-agent.service",
  };
}

/** It was unreachable, and people were told. */
export function nodeReachable(node: NodeName, afterMs: number): NewEvent {
  const what = `${node} is back after ${Math.round(afterMs / 1000)} s, in the boot it was in`;
  return { severity: "info", kind: "node-reachable", node, what };
}

/** It answered that it restarts, and still has its session. */
export function rebootStuck(node: NodeName): NewEvent {
  return {
    severity: "warning",
    kind: "reboot-stuck",
    node,
    what: `${node} was told to restart and is still up`,
    fix: `see what does not stop: muster node logs ${node}; muster reboot --force ${node}`,
  };
}

/** It went down for a restart, and began no boot. */
export function rebootLost(node: NodeName, afterMs: number): NewEvent {
  return {
    severity: "error",
    kind: "reboot-lost",
    node,
    what: `${node} restarted ${Math.round(afterMs / 60_000)} minutes ago and was not seen since`,
    fix: LOOK_AT_CONSOLE,
  };
}

/** It began a boot, and said nothing of it any more. */
export function bootAbandoned(node: NodeName, afterMs: number, stage: string): NewEvent {
  return {
    severity: "error",
    kind: "boot-abandoned",
    node,
    what: `no news from ${node} for ${Math.round(afterMs / 60_000)} minutes, last at stage ${stage}`,
    fix: LOOK_AT_CONSOLE,
  };
}
