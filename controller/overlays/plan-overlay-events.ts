import type { NodeName } from "#proto/contract/node-name.ts";
import type { MusterEvent } from "../events/telemetry.ts";
import type { OverlayReport } from "./overlay-report.ts";

type NewEvent = Omit<MusterEvent, "id" | "at">;

/** In one event; `muster overlay status` shows all that the node told. */
const MAX_NAMED = 5;

/**
 * What is news in a report after the one before it:
 *
 * overlay-failed    the overlay could not be applied, for a reason not said before
 * overlay-applied   it could after all
 * overlay-drift     files were found changed on the node, others than last time
 * reaction-failed   a command that an update called for failed
 */
export function planOverlayEvents(
  node: NodeName,
  before: OverlayReport | undefined,
  after: OverlayReport,
): readonly NewEvent[] {
  return [
    ...failureEvents(node, before, after),
    ...driftEvents(node, before, after),
    ...reactionEvents(node, before, after),
  ];
}

function failureEvents(
  node: NodeName,
  before: OverlayReport | undefined,
  after: OverlayReport,
): readonly NewEvent[] {
  const { failure } = after;
  if (failure === undefined) {
    if (before?.failure === undefined) return [];
    return [
      { severity: "info", kind: "overlay-applied", node, what: `${node} has its runtime overlay again` },
    ];
  }
  const { what, fix, code, digest } = failure;
  // There was nothing to apply, as the controller could not read the overlay: an event said that already.
  if (digest === "") return [];
  if (before?.failure?.what === what && before.failure.code === code) return [];
  const event = { severity: "error", kind: "overlay-failed", node } as const;
  return [
    {
      ...event,
      what: `${node} cannot apply its runtime overlay and keeps what it has: ${what}`,
      ...(fix === "" ? {} : { fix }),
    },
  ];
}

function driftEvents(
  node: NodeName,
  before: OverlayReport | undefined,
  after: OverlayReport,
): readonly NewEvent[] {
  if (after.drift.length === 0 || driftKey(before) === driftKey(after)) return [];
  const named = after.drift.slice(0, MAX_NAMED).map(({ path, what }) => `${path} (${what})`);
  const more = after.driftCount - named.length;
  const left = after.drift.filter(({ repaired }) => !repaired).length;
  const done = left === 0 ? "put right" : left === after.drift.length ? "left as it is" : "put right in part";
  return [
    {
      severity: "warning",
      kind: "overlay-drift",
      node,
      what: `${node}: changed on the node: ${named.join(", ")}${more > 0 ? `, and ${more} more` : ""}; ${done}`,
      ...(left === 0
        ? { fix: "find out who changes it there; what is to stay belongs into the overlay" }
        : { fix: "overlays.onDrift of muster.yaml says what becomes of it" }),
    },
  ];
}

function driftKey(report: OverlayReport | undefined): string {
  return JSON.stringify(report?.drift ?? []);
}

function reactionEvents(
  node: NodeName,
  before: OverlayReport | undefined,
  after: OverlayReport,
): readonly NewEvent[] {
  // A node tells again at each new session: one update is one event.
  const isKnown =
    before?.digest === after.digest &&
    before?.appliedAt?.getTime() === after.appliedAt?.getTime() &&
    JSON.stringify(before?.reactions) === JSON.stringify(after.reactions);
  if (isKnown) return [];
  return after.reactions
    .filter(({ failure }) => failure !== "")
    .map(({ command, failure, outputTail }) => {
      const said = outputTail.trim().split("\n").at(-1) ?? "";
      return {
        severity: "warning",
        kind: "reaction-failed",
        node,
        what: `${node}: ${JSON.stringify(command)} after its runtime overlay changed: ${failure}${said === "" ? "" : `: ${said}`}`,
        fix: `see all it printed: muster overlay status ${node}`,
      };
    });
}
