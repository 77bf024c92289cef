import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { SeenHistory } from "../events/seen-history.ts";
import type { Telemetry } from "../events/telemetry.ts";
import {
  beginTimeline,
  type BootTimeline,
  markSeen,
  markTold,
  recordOf,
  stageOf,
  startOf,
} from "./boot-timeline.ts";
import type { AgentStages, Fleet, NodeStatus } from "./fleet.ts";
import {
  bootAbandoned,
  nodeReachable,
  nodeReady,
  nodeUnreachable,
  rebootLost,
  rebootStuck,
} from "./plan-node-events.ts";
import { planNodeState, planNodeStatus, type TrackedNode } from "./plan-node-status.ts";
import { readLastBoots } from "./read-last-boots.ts";

/** A fleet that watches itself. Disposing writes what is still unwritten and freezes the states. */
export interface TrackedFleet extends Fleet, AsyncDisposable {
  /** Marks boots without news as abandoned. Called by a timer; tests call it. */
  sweep(at: Date): void;
}

interface EarlyBoot {
  readonly boot: BootTimeline;
  readonly address: string;
}

/** The firmware, then iPXE ask DHCP within seconds of each other; Linux asks again after the script. */
const SAME_DHCP_MS = 60_000;
/** iPXE fetches its files, and the kernel comes up, within this time of the script. */
const EARLY_BOOT_MS = 30 * 60_000;
/** A session that goes on this long after a boot script was served to its MAC belongs to a machine that did not restart. */
const FALSE_BOOT_MS = 60_000;
/** MACs are free to invent: what strangers can make us remember is bounded, the oldest goes. */
const MAX_STRANGERS = 20_000;
/** Services have 90 s to stop unless their units say otherwise (systemd-system.conf(5), DefaultTimeoutStopSec). */
const STUCK_RESTART_MS = 150_000;
/** An agent that broke off, or was replaced, is back within seconds; a machine that restarts is on its next boot by then. */
const GONE_MS = 30_000;
const SWEEP_MS = 15_000;
/** Heartbeats of thousands of nodes become one write. A crash of musterd forgets this much. */
const WRITE_SEEN_MS = 60_000;
const DAY_MS = 24 * 3600_000;

/**
 * Follows every boot from its first DHCP request to ready, and every session.
 *
 * States live in memory. Boots are written to telemetry a moment after they change, so that a rack that boots
 * costs one write per node and moment; after a restart of musterd the last boots are read back and nodes are
 * `unreachable` until their sessions return.
 */
export async function trackFleet(parts: {
  readonly telemetry: Pick<Telemetry, "recordBoot" | "recordEvent" | "listBoots">;
  /** Where to keep when nodes were last seen; without it only boots tell after a restart. */
  readonly seen?: SeenHistory;
  /** The nodes of the inventory, to read their last boots back. */
  readonly nodes: readonly NodeName[];
  readonly now: () => Date;
  /** A boot without news for this long is abandoned. */
  readonly abandonAfterMs: number;
  /** Default 500. */
  readonly writeDelayMs?: number;
}): Promise<TrackedFleet> {
  const { telemetry, now } = parts;
  const nodes = new Map<NodeName, TrackedNode>();
  const dhcp = new Map<MacAddress, { firstMs: number; lastMs: number }>();
  const early = new Map<MacAddress, EarlyBoot>();
  const earlyByAddress = new Map<string, EarlyBoot>();
  const pendingBoots = new Map<string, BootTimeline>();
  const listeners = new Set<(status: NodeStatus) => void>();
  const unwritten = new Set<BootTimeline>();
  const unannounced = new Set<TrackedNode>();
  let isClosing = false;
  let writeTimer: NodeJS.Timeout | undefined;

  const of = (node: NodeName): TrackedNode => {
    const known = nodes.get(node);
    if (known !== undefined) return known;
    const fresh: TrackedNode = {
      node,
      boot: undefined,
      session: undefined,
      sessionBoot: undefined,
      address: undefined,
      agentVersion: undefined,
      lastSeenMs: undefined,
      restartMs: undefined,
      gone: undefined,
      alert: undefined,
    };
    nodes.set(node, fresh);
    return fresh;
  };
  const write = (): void => {
    clearTimeout(writeTimer);
    writeTimer = undefined;
    for (const boot of unwritten) telemetry.recordBoot(recordOf(boot));
    unwritten.clear();
  };
  const changed = (boot: BootTimeline | undefined, tracked?: TrackedNode): void => {
    // Before the kernel speaks, a boot has no name to be recorded under; if it never does, sweep records it.
    if (boot !== undefined && boot.outcome !== "booting") {
      // How a boot ended is told at once: who reads "ready" of the node must not read "booting" of its boot.
      telemetry.recordBoot(recordOf(boot));
      unwritten.delete(boot);
    } else if (boot?.bootId !== undefined) unwritten.add(boot);
    if (unwritten.size > 0) writeTimer ??= setTimeout(write, parts.writeDelayMs ?? 500).unref();
    if (tracked !== undefined) announce(tracked);
  };
  const announce = (tracked: TrackedNode): void => {
    if (unannounced.has(tracked)) return;
    // Callers are request handlers: listeners run after them, once per burst of changes.
    unannounced.add(tracked);
    queueMicrotask(() => {
      unannounced.delete(tracked);
      if (nodes.get(tracked.node) !== tracked) return;
      const status = planNodeStatus(tracked);
      for (const listener of listeners) {
        try {
          listener(status);
        } catch (error) {
          process.emitWarning(error instanceof Error ? error : String(error));
        }
      }
    });
  };
  const abandon = (boot: BootTimeline, why: string): void => {
    boot.outcome = "abandoned";
    boot.isPending = false;
    boot.failure = {
      stage: stageOf(boot) ?? "unknown",
      code: "deadline-exceeded",
      what: why,
      fix: "look at the machine's console; power-cycle it to try again",
      kernelLogTail: "",
    };
    unwritten.add(boot);
    changed(undefined);
  };
  /** Makes a boot the node's current one; one that was under way is over. */
  const begin = (tracked: TrackedNode, boot: BootTimeline): void => {
    const before = tracked.boot;
    if (before === boot) return;
    if (before?.outcome === "booting") abandon(before, "the machine started again");
    if (tracked.session !== undefined && tracked.sessionBoot === undefined) tracked.sessionBoot = before;
    tracked.boot = boot;
    tracked.restartMs = undefined;
    tracked.gone = undefined;
  };
  /** Told once, and not for the seconds in which an agent is replaced by a newer one or a cable is moved. */
  const tellGone = (tracked: TrackedNode, atMs: number): void => {
    const { node, gone } = tracked;
    if (gone === undefined || gone.isTold || atMs - gone.sinceMs < GONE_MS) return;
    tracked.gone = { ...gone, isTold: true };
    telemetry.recordEvent(nodeUnreachable(node, GONE_MS));
  };
  const tellBack = ({ node, gone }: TrackedNode, atMs: number): void => {
    if (gone?.isTold === true) telemetry.recordEvent(nodeReachable(node, atMs - gone.sinceMs));
  };
  /** A restart that was answered and did not happen, or from which the node did not come back, is told once. */
  const endRestart = (tracked: TrackedNode, atMs: number): void => {
    const { node, restartMs, session } = tracked;
    const limitMs = session === undefined ? parts.abandonAfterMs : STUCK_RESTART_MS;
    if (restartMs === undefined || atMs - restartMs <= limitMs) return;
    tracked.restartMs = undefined;
    telemetry.recordEvent(session === undefined ? rebootLost(node, limitMs) : rebootStuck(node));
    announce(tracked);
  };
  /** The boot an agent speaks of: known by its id, or the one whose script its machine just got, or new. */
  const join = (
    report: AgentStages & { readonly mac?: MacAddress; readonly node?: NodeName },
    at: Date,
  ): BootTimeline => {
    const tracked = report.node === undefined ? undefined : of(report.node);
    const known =
      pendingBoots.get(report.bootId) ??
      [tracked?.boot, tracked?.sessionBoot].find((boot) => boot?.bootId === report.bootId) ??
      takeEarly(report.mac, at);
    const boot =
      known ??
      beginTimeline({ mac: report.mac, bootId: report.bootId, atMs: at.getTime() - report.uptimeMs });
    markTold(boot, report, at.getTime());
    return boot;
  };
  /** A boot that began with a script only, while the node went on in the boot of its session, was somebody else's. */
  const disown = (tracked: TrackedNode): void => {
    const { boot, sessionBoot, node } = tracked;
    if (sessionBoot === undefined || boot?.bootId !== undefined) return;
    if (boot?.outcome === "booting")
      abandon(boot, `node ${node} went on running: another machine asked with its MAC`);
    tracked.boot = sessionBoot;
    tracked.sessionBoot = undefined;
    changed(tracked.boot, tracked);
  };
  const takeEarly = (mac: MacAddress | undefined, at: Date): BootTimeline | undefined => {
    const found = mac === undefined ? undefined : early.get(mac);
    if (mac === undefined || found === undefined) return undefined;
    early.delete(mac);
    if (earlyByAddress.get(found.address) === found) earlyByAddress.delete(found.address);
    return at.getTime() - found.boot.lastNewsMs < EARLY_BOOT_MS ? found.boot : undefined;
  };

  for (const boot of await readLastBoots(telemetry, parts.nodes, now())) {
    if (boot.node === undefined) continue;
    const tracked = of(boot.node);
    tracked.boot = boot;
    tracked.lastSeenMs = boot.outcome === "booting" ? undefined : boot.lastNewsMs;
  }

  const known = new Set<string>(parts.nodes);
  for (const [node, at] of (await parts.seen?.listSeen()) ?? []) {
    if (!known.has(node)) continue;
    const tracked = of(node as NodeName);
    tracked.lastSeenMs = Math.max(tracked.lastSeenMs ?? 0, at.getTime());
  }
  let seenWrittenMs = now().getTime();
  /** Those seen since the last time. Milliseconds that nobody would miss may be written twice. */
  const writeSeen = (atMs: number): void => {
    const since = seenWrittenMs;
    seenWrittenMs = atMs;
    const news = [...nodes.values()].flatMap(({ node, lastSeenMs }): [NodeName, Date][] =>
      lastSeenMs === undefined || lastSeenMs < since ? [] : [[node, new Date(lastSeenMs)]],
    );
    parts.seen?.recordSeen(new Map(news));
  };

  const fleet: TrackedFleet = {
    dhcpSeen: (mac, at) => {
      const atMs = at.getTime();
      const last = dhcp.get(mac);
      const isSame = last !== undefined && atMs - last.lastMs < SAME_DHCP_MS;
      putBounded(dhcp, mac, { firstMs: isSame ? last.firstMs : atMs, lastMs: atMs });
    },
    scriptServed: ({ mac, address, node }, at) => {
      const atMs = at.getTime();
      const boot = beginTimeline({ mac, node, atMs });
      const asked = dhcp.get(mac);
      if (asked !== undefined && atMs - asked.lastMs < SAME_DHCP_MS) {
        markSeen(boot, "dhcp", { startMs: asked.firstMs, endMs: asked.lastMs, detail: address });
      }
      dhcp.delete(mac);
      markSeen(boot, "script", { startMs: atMs, endMs: atMs, detail: "" });
      const entry = { boot, address };
      putBounded(early, mac, entry);
      putBounded(earlyByAddress, address, entry);
      if (node === undefined) return;
      const tracked = of(node);
      begin(tracked, boot);
      tracked.address = address;
      tracked.lastSeenMs = atMs;
      changed(boot, tracked);
    },
    scriptDisowned: (node, at) => {
      const tracked = nodes.get(node);
      if (tracked?.session === undefined) return;
      tracked.lastSeenMs = at.getTime();
      tracked.address = tracked.session.address;
      disown(tracked);
    },
    alerted: (node, alert) => {
      // That a node has none any more is no news of one that was deleted.
      const tracked = alert === undefined ? nodes.get(node) : of(node);
      if (tracked === undefined) return;
      tracked.alert = alert;
      announce(tracked);
    },
    artifactServed: (address, name, sizeBytes, startedAt, endedAt) => {
      const found = earlyByAddress.get(address);
      if (found === undefined || endedAt.getTime() - found.boot.lastNewsMs > EARLY_BOOT_MS) return;
      const detail = `${name} ${(sizeBytes / 1e6).toFixed(1)} MB`;
      markSeen(found.boot, "artifacts", { startMs: startedAt.getTime(), endMs: endedAt.getTime(), detail });
      if (found.boot.node !== undefined) changed(found.boot, of(found.boot.node));
    },
    pendingSeen: (report, at) => {
      const boot = join(report, at);
      dhcp.delete(report.mac);
      boot.isPending = true;
      putBounded(pendingBoots, report.bootId, boot);
      changed(boot);
    },
    enrolled: (report, at) => {
      const boot = join(report, at);
      // What Linux asked DHCP was no sign of the next boot.
      dhcp.delete(report.mac);
      pendingBoots.delete(report.bootId);
      boot.isPending = false;
      boot.node = report.node;
      const tracked = of(report.node);
      begin(tracked, boot);
      // The same boot may enrol again after it failed: it is trying.
      if (boot.outcome !== "ready") restart(boot);
      tracked.address = report.address;
      tracked.lastSeenMs = at.getTime();
      changed(boot, tracked);
    },
    planServed: (node, bootId, image, version) => {
      const tracked = of(node);
      const boot = tracked.boot;
      if (boot?.bootId !== bootId) return;
      boot.image = image;
      boot.imageVersion = version;
      boot.lastNewsMs = now().getTime();
      changed(boot, tracked);
    },
    stagesReported: (node, report, at) => {
      const tracked = of(node);
      const boot = join({ ...report, node }, at);
      boot.node = node;
      begin(tracked, boot);
      if (boot.outcome === "failed" || boot.outcome === "abandoned") restart(boot);
      tracked.lastSeenMs = at.getTime();
      changed(boot, tracked);
    },
    failureReported: (node, report, failure, at) => {
      const tracked = of(node);
      const boot = join({ ...report, node }, at);
      boot.node = node;
      begin(tracked, boot);
      boot.outcome = "failed";
      boot.failure = failure;
      tracked.lastSeenMs = at.getTime();
      changed(boot, tracked);
    },
    sessionOpened: (node, session, at) => {
      const tracked = of(node);
      const known = [tracked.boot, tracked.sessionBoot].find((boot) => boot?.bootId === session.bootId);
      const boot = known ?? beginTimeline({ node, bootId: session.bootId, atMs: at.getTime() });
      if (boot.outcome === "abandoned") restart(boot);
      boot.image = session.image;
      boot.imageVersion = session.imageVersion;
      boot.lastNewsMs = at.getTime();
      tracked.session = session;
      tracked.sessionBoot = undefined;
      if (tracked.boot === boot) tellBack(tracked, at.getTime());
      begin(tracked, boot);
      tracked.gone = undefined;
      tracked.address = session.address;
      tracked.agentVersion = session.agentVersion;
      tracked.lastSeenMs = at.getTime();
      changed(boot, tracked);
    },
    heartbeat: (node, bootId, at) => {
      const tracked = nodes.get(node);
      if (tracked?.session?.bootId !== bootId) return;
      tracked.lastSeenMs = at.getTime();
      if (tracked.boot !== undefined && tracked.boot.bootId === bootId)
        tracked.boot.lastNewsMs = at.getTime();
      if (at.getTime() - (tracked.boot?.lastNewsMs ?? 0) > FALSE_BOOT_MS) disown(tracked);
    },
    sessionReady: (node, report, at) => {
      const tracked = of(node);
      const boot = join({ ...report, node }, at);
      boot.node = node;
      tracked.lastSeenMs = at.getTime();
      const isFirst = boot.outcome !== "ready";
      boot.outcome = "ready";
      boot.failure = undefined;
      boot.readyMs ??= at.getTime();
      if (tracked.boot !== boot && tracked.sessionBoot !== boot) begin(tracked, boot);
      if (isFirst) telemetry.recordEvent(nodeReady(node, boot.readyMs - startOf(boot)));
      changed(boot, tracked);
    },
    sessionClosed: (node, bootId, at) => {
      const tracked = nodes.get(node);
      // When musterd stops, it is not the nodes that went away.
      if (isClosing || tracked?.session?.bootId !== bootId) return;
      tracked.session = undefined;
      // Who asked for a script may not have been the node: it may come back in the boot it was in.
      if (tracked.boot?.bootId !== undefined) tracked.sessionBoot = undefined;
      tracked.lastSeenMs = at.getTime();
      if (planNodeState(tracked) === "unreachable") tracked.gone = { sinceMs: at.getTime(), isTold: false };
      changed(undefined, tracked);
    },
    restartAnswered: (node, at) => {
      const tracked = of(node);
      tracked.restartMs = at.getTime();
      changed(undefined, tracked);
    },
    forget: (node) => {
      const tracked = nodes.get(node);
      nodes.delete(node);
      if (tracked?.boot?.outcome === "booting") abandon(tracked.boot, `node ${node} was deleted`);
    },
    statusOf: (node) => {
      const tracked = nodes.get(node);
      return tracked === undefined ? { node, state: "new" } : planNodeStatus(tracked);
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    sweep: (at) => {
      if (at.getTime() - seenWrittenMs >= WRITE_SEEN_MS) writeSeen(at.getTime());
      const isQuiet = (boot: BootTimeline): boolean =>
        boot.outcome === "booting" &&
        at.getTime() - boot.lastNewsMs > (boot.isPending ? DAY_MS : parts.abandonAfterMs);
      const minutes = Math.round(parts.abandonAfterMs / 60_000);
      for (const tracked of nodes.values()) {
        const { boot } = tracked;
        endRestart(tracked, at.getTime());
        tellGone(tracked, at.getTime());
        if (boot === undefined || !isQuiet(boot)) continue;
        abandon(boot, `no news from ${tracked.node} for ${minutes} minutes`);
        telemetry.recordEvent(
          bootAbandoned(tracked.node, parts.abandonAfterMs, boot.failure?.stage ?? "unknown"),
        );
        announce(tracked);
      }
      for (const [mac, { boot, address }] of early) {
        if (at.getTime() - boot.lastNewsMs <= Math.max(parts.abandonAfterMs, EARLY_BOOT_MS)) continue;
        early.delete(mac);
        earlyByAddress.delete(address);
        if (boot.outcome === "booting") abandon(boot, `no news from ${mac} since its boot script`);
      }
      for (const [bootId, boot] of pendingBoots) {
        if (!isQuiet(boot)) continue;
        pendingBoots.delete(bootId);
        abandon(boot, "nobody approved the machine");
      }
    },
    [Symbol.asyncDispose]: async () => {
      if (!isClosing) writeSeen(now().getTime());
      isClosing = true;
      clearInterval(sweeper);
      write();
    },
  };
  const sweeper = setInterval(() => {
    fleet.sweep(now());
  }, SWEEP_MS).unref();
  return fleet;
}

function restart(boot: BootTimeline): void {
  boot.outcome = "booting";
  boot.failure = undefined;
}

function putBounded<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MAX_STRANGERS) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
