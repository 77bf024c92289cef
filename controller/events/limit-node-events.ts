import { makeRateLimiter, type RateLimit } from "../api/grpc/limit-rate.ts";
import type { Telemetry } from "./telemetry.ts";

/** A bad day of a node is some ten events; the history keeps a million, of thousands of nodes. */
const PER_NODE: RateLimit = { perSecond: 1 / 60, burst: 60 };

/**
 * The telemetry, for parts that record what nodes say: one that says its disk is full and is not, in turns, must not push
 * everybody else's events out of the history. What is too much is left out, and that it is left out is an event. Events
 * of no node are none of its business.
 */
export function limitNodeEvents<T extends Pick<Telemetry, "recordEvent">>(telemetry: T, now: () => Date): T {
  const may = makeRateLimiter(PER_NODE);
  const told = new Set<string>();
  return {
    ...telemetry,
    recordEvent: (event: Parameters<Telemetry["recordEvent"]>[0]) => {
      const { node } = event;
      if (node === undefined || may(node, now().getTime())) {
        if (node !== undefined) told.delete(node);
        telemetry.recordEvent(event);
        return;
      }
      if (told.has(node)) return;
      told.add(node);
      telemetry.recordEvent({
        severity: "warning",
        kind: "events-limited",
        node,
        what: `${node} causes more events than are kept of one node; most of them are left out for now`,
        fix: `see what it says: muster node logs ${node}`,
      });
    },
  };
}
