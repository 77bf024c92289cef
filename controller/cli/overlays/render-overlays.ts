import { type Digest, shortDigest } from "#proto/contract/digest.ts";

import type { NodeOverlayView, OverlayStatusView, OverlayView } from "../../api/rest/overlay-routes.ts";
import { foldAnswers } from "../output/fold-answers.ts";
import { printable, renderAge, renderCount, renderTable } from "../output/render-text.ts";

/** Differing paths shown of each node; -o json has all that the node told. */
const MAX_DRIFT_SHOWN = 10;

/** `muster overlay list`. */
export function renderOverlayTable(overlays: readonly OverlayView[]): string {
  return renderTable(
    ["NAME", "SYSTEM", "RUNTIME", "PATH"],
    overlays.map(({ name, system, runtime, path }) => [name, system, runtime, path]),
  );
}

/**
 * `muster overlay status`: nodes with the same to say in one line, the worst last:
 *
 * c[001-004]: current (a1b2c3d4e5f6), applied 2 min ago
 * c007: failed: no space left on /
 *   fix: ...
 */
export function renderOverlayStatus({ nodes }: OverlayStatusView, now: Date): string {
  const ordered = (
    ["current", "outdated", "unknown", "unreachable", "drifted", "reaction-failed", "failed"] as const
  )
    .map((verdict) => nodes.filter((node) => node.verdict === verdict))
    .filter((group) => group.length > 0);
  return ordered
    .flatMap((group) => {
      const byNode = new Map(group.map((node) => [node.node, node]));
      const folded = foldAnswers(group.map((node) => ({ node: node.node, text: textOf(node, now) })));
      return folded.map(({ nodes: names, text }) => ({ names, text, byNode }));
    })
    .map(({ names, text }) => {
      const [first = "", ...more] = text.split("\n");
      return [`${names}: ${first}`, ...more.map((line) => `  ${line}`)].join("\n");
    })
    .map((lines) => `${lines}\n`)
    .join("");
}

function textOf(node: NodeOverlayView, now: Date): string {
  const lines = [headOf(node, now), ...detailsOf(node)];
  return lines.map((line) => printable(line)).join("\n");
}

function headOf(node: NodeOverlayView, now: Date): string {
  const { verdict, wanted, applied, failure, trouble } = node;
  const has = applied === undefined ? "nothing applied" : `${short(applied)}${ageOf(node, now)}`;
  switch (verdict) {
    case "current":
      return trouble === undefined
        ? `current (${short(applied)})${ageOf(node, now)}`
        : `has ${has}; ${trouble}`;
    case "outdated":
      return `not yet ${short(wanted)}: has ${has}`;
    case "failed":
      return `failed: ${failure?.what ?? ""}`;
    case "drifted":
      return `changed on the node (${renderCount(node.driftCount, "path")}), left as it is`;
    case "reaction-failed":
      return `applied (${short(applied)})${ageOf(node, now)}, but a reaction failed`;
    case "unknown":
      return "has not said what it has";
    case "unreachable":
      return applied === undefined ? "no session" : `no session; had ${has}`;
    default:
      return verdict satisfies never;
  }
}

function detailsOf({
  verdict,
  failure,
  drift,
  driftCount,
  reactions,
  applied,
}: NodeOverlayView): readonly string[] {
  const lines: string[] = [];
  if (verdict === "failed" && failure !== undefined) {
    if (failure.fix !== "") lines.push(`fix: ${failure.fix}`);
    lines.push(applied === undefined ? "nothing is applied" : `it keeps ${short(applied)}`);
  }
  const shown = drift.slice(0, MAX_DRIFT_SHOWN);
  for (const { path, what, repaired } of shown)
    lines.push(`${path}: ${what}${repaired ? " (put right)" : ""}`);
  if (driftCount > shown.length) lines.push(`and ${renderCount(driftCount - shown.length, "more path")}`);
  for (const { command, failure: why, outputTail } of reactions) {
    if (why === "") continue;
    lines.push(`${command}: ${why}`);
    lines.push(
      ...outputTail
        .trim()
        .split("\n")
        .filter((line) => line !== "")
        .slice(-10)
        .map((line) => `  ${line}`),
    );
  }
  return lines;
}

function ageOf({ appliedAt }: NodeOverlayView, now: Date): string {
  return appliedAt === undefined ? "" : `, applied ${renderAge(appliedAt, now)}`;
}

function short(digest: string | undefined): string {
  return digest === undefined ? "none" : shortDigest(digest as Digest).slice(0, 8);
}
