import { setTimeout as wait } from "node:timers/promises";

import { compareHardware } from "#proto/contract/compare-hardware.ts";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { HardwareReport as HardwareMessage } from "#proto/gen/muster/v1/session.ts";
import type { Telemetry } from "../events/telemetry.ts";
import type { Inventory, StoredHardware } from "../inventory/inventory.ts";
import type { LiveSession, SessionListener } from "../sessions/serve-session.ts";
import { type ParsedHardware, parseHardwareReport } from "./parse-hardware-report.ts";
import { planHardwareEvent } from "./plan-hardware-event.ts";

/** What keeping reports takes. */
export interface HardwareParts {
  readonly inventory: Pick<Inventory, "recordHardware" | "findHardwareDigest">;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  readonly now: () => Date;
  /** Default: {@link REPORT_INTERVAL_MS}. */
  readonly reportIntervalMs?: number;
}

/** Listens to what nodes say they are, and keeps it. */
export interface HardwareKeeper extends SessionListener {
  /** For the welcome of a node: the digest of what it reported in this boot; "": nothing yet. */
  digestOf(node: NodeName, bootId: string): Promise<string>;
}

/** Of one session. Reports come once a boot and when somebody asks; more is a loop or worse, and waits. */
const REPORT_INTERVAL_MS = 1000;
/**
 * Reports written in one transaction: it costs one fsync instead of as many, and stops everything else for about
 * 10 ms. When a cluster is switched on they all come within seconds.
 */
const BATCH = 32;

/**
 * Keeps the hardware reports of nodes, and tells as an event what is not as it was when the node last said what it is,
 * be that in this boot or in an earlier one. A report that is refused is an event too, and leaves the session alone:
 * a node whose agent says this wrongly does everything else.
 */
export function keepHardware(parts: HardwareParts): HardwareKeeper {
  const { inventory, telemetry, now } = parts;
  const intervalMs = parts.reportIntervalMs ?? REPORT_INTERVAL_MS;
  const lastOf = new WeakMap<LiveSession, number>();
  const refusedBoots = new Map<NodeName, string>();
  const store = openBatches(inventory);

  async function pace(session: LiveSession): Promise<void> {
    const nowMs = performance.now();
    const waitMs = (lastOf.get(session) ?? -Infinity) + intervalMs - nowMs;
    lastOf.set(session, Math.max(nowMs, nowMs + waitMs));
    if (waitMs > 0) await wait(waitMs, undefined, { ref: false });
  }

  /** Undefined for a report that is refused: said once in each boot. */
  function parse({ node, bootId }: LiveSession, message: HardwareMessage): ParsedHardware | undefined {
    try {
      return parseHardwareReport(message);
    } catch (error) {
      if (!(error instanceof MusterError)) throw error;
      if (refusedBoots.get(node) === bootId) return undefined;
      refusedBoots.set(node, bootId);
      telemetry.recordEvent({
        severity: "warning",
        kind: "hardware-refused",
        node,
        what: `${node}: ${errorSentence(error)}`,
        fix: "see that agent and controller are of the same release, or one apart",
      });
      return undefined;
    }
  }

  /** The report that was the last one, when that was another. What cannot be kept is said, and costs no session. */
  async function keep(report: StoredHardware): Promise<HardwareReport | undefined> {
    try {
      return await store(report);
    } catch (error) {
      if (!(error instanceof MusterError)) throw error;
      telemetry.recordEvent({
        severity: "error",
        kind: "hardware-lost",
        node: report.node,
        what: `${report.node}: its hardware report was not kept: ${errorSentence(error)}`,
        ...(error.fix === undefined ? {} : { fix: error.fix }),
      });
      return undefined;
    }
  }

  return {
    digestOf: async (node, bootId) => (await inventory.findHardwareDigest(node, bootId)) ?? "",
    received: async (session, message) => {
      if (message.$case !== "hardwareReport") return;
      await pace(session);
      const parsed = parse(session, message.value);
      if (parsed === undefined) return;
      const { node, bootId } = session;
      const before = await keep({ node, bootId, ...parsed, reportedAt: now() });
      if (before === undefined) return;
      const event = planHardwareEvent(node, compareHardware(before, parsed.report));
      if (event !== undefined) telemetry.recordEvent(event);
    },
  };
}

interface Waiting {
  readonly report: StoredHardware;
  readonly resolve: (before: HardwareReport | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** Writes what came while the last transaction ran in the next one. */
function openBatches(
  inventory: HardwareParts["inventory"],
): (report: StoredHardware) => Promise<HardwareReport | undefined> {
  const queue: Waiting[] = [];
  let isWriting = false;

  async function writeAll(): Promise<void> {
    isWriting = true;
    while (queue.length > 0) {
      // Between two transactions everybody else has a turn.
      await new Promise(setImmediate);
      const batch = queue.splice(0, BATCH);
      try {
        const before = await inventory.recordHardware(batch.map(({ report }) => report));
        for (const [index, { resolve }] of batch.entries()) resolve(before[index]);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isWriting = false;
  }

  return (report) =>
    new Promise((resolve, reject) => {
      queue.push({ report, resolve, reject });
      if (!isWriting) void writeAll();
    });
}
