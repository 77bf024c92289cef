import { BOOT_STAGES } from "#proto/contract/boot-stage.ts";
import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { BootFailure, BootOutcome, BootRecord, StageRecord } from "../events/telemetry.ts";
import type { AgentStages } from "./fleet.ts";

/**
 * One boot as it goes on, seen from two clocks: the controller's (DHCP, script, artifacts; epoch milliseconds)
 * and the node's (milliseconds since its kernel started).
 */
export interface BootTimeline {
  /** The kernel's boot id; undefined until the agent speaks. */
  bootId: string | undefined;
  readonly mac: MacAddress | undefined;
  node: NodeName | undefined;
  /** Stages on the controller's clock. */
  readonly seen: Map<string, { startMs: number; endMs: number; detail: string }>;
  /** Stages on the node's clock. */
  told: readonly StageRecord[];
  /** Epoch milliseconds of the kernel's start: the node's zero on the controller's clock. */
  kernelStartMs: number | undefined;
  /** When this record began, for a boot of which no stage is known. */
  readonly openedMs: number;
  image: string | undefined;
  imageVersion: number | undefined;
  outcome: BootOutcome;
  readyMs: number | undefined;
  failure: BootFailure | undefined;
  lastNewsMs: number;
  /** Waits for an operator, who may take hours. */
  isPending: boolean;
}

/** A boot of which nothing is known yet but that it began. */
export function beginTimeline(parts: {
  readonly mac?: MacAddress | undefined;
  readonly node?: NodeName | undefined;
  readonly bootId?: string | undefined;
  readonly atMs: number;
}): BootTimeline {
  return {
    bootId: parts.bootId,
    mac: parts.mac,
    node: parts.node,
    seen: new Map(),
    told: [],
    kernelStartMs: undefined,
    openedMs: parts.atMs,
    image: undefined,
    imageVersion: undefined,
    outcome: "booting",
    readyMs: undefined,
    failure: undefined,
    lastNewsMs: parts.atMs,
    isPending: false,
  };
}

/** Widens a stage the controller observes itself to include an interval. */
export function markSeen(
  boot: BootTimeline,
  stage: string,
  interval: { readonly startMs: number; readonly endMs: number; readonly detail: string },
): void {
  const known = boot.seen.get(stage);
  boot.seen.set(stage, {
    startMs: Math.min(known?.startMs ?? Infinity, interval.startMs),
    endMs: Math.max(known?.endMs ?? 0, interval.endMs),
    detail: [known?.detail ?? "", interval.detail].filter((text) => text !== "").join(", "),
  });
  boot.lastNewsMs = Math.max(boot.lastNewsMs, interval.endMs);
}

/**
 * Takes in what the agent reports. Stages replace those of the same name; others are kept, so that an agent
 * that only knows what happened since switch_root loses nothing.
 *
 * A report is under way for a while, so `atMs - uptimeMs` is never too early: the smallest so far is the best.
 */
export function markTold(boot: BootTimeline, report: AgentStages, atMs: number): void {
  boot.bootId = report.bootId;
  boot.kernelStartMs = Math.min(boot.kernelStartMs ?? Infinity, atMs - report.uptimeMs);
  const renewed = new Set(report.stages.map(({ stage }) => stage));
  boot.told = [...boot.told.filter(({ stage }) => !renewed.has(stage)), ...report.stages];
  boot.lastNewsMs = Math.max(boot.lastNewsMs, atMs);
}

/** Epoch milliseconds of the first sign of the boot. */
export function startOf(boot: BootTimeline): number {
  const known = [...boot.seen.values()].map(({ startMs }) => startMs);
  if (boot.kernelStartMs !== undefined) known.push(boot.kernelStartMs);
  return known.length === 0 ? boot.openedMs : Math.min(...known);
}

/** The stage in progress, or the last one known. */
export function stageOf(boot: BootTimeline): string | undefined {
  const stages = stagesOf(boot);
  return (stages.find(({ endedMs }) => endedMs === undefined) ?? stages.at(-1))?.stage;
}

/** The boot for telemetry; a boot whose kernel never spoke is named after its MAC and its start. */
export function recordOf(boot: BootTimeline): BootRecord {
  const startMs = startOf(boot);
  return {
    bootId: boot.bootId ?? `mac/${boot.mac ?? "unknown"}/${startMs}`,
    ...(boot.node === undefined ? {} : { node: boot.node }),
    mac: boot.mac ?? "",
    startedAt: new Date(startMs),
    ...(boot.image === undefined ? {} : { image: boot.image }),
    ...(boot.imageVersion === undefined ? {} : { imageVersion: boot.imageVersion }),
    outcome: boot.outcome,
    stages: stagesOf(boot),
    ...(boot.readyMs === undefined ? {} : { readyAt: new Date(boot.readyMs) }),
    ...(boot.failure === undefined ? {} : { failure: boot.failure }),
  };
}

/** A boot as it was before musterd restarted. Its stages stay on the clock they were recorded on. */
export function timelineOf(record: BootRecord, atMs: number): BootTimeline {
  const startMs = record.startedAt.getTime();
  const controllers = new Set<string>(
    BOOT_STAGES.filter(({ observer }) => observer === "controller").map(({ name }) => name),
  );
  const kernel = record.stages.find(({ stage }) => stage === "kernel");
  const kernelStartMs = startMs + (kernel?.startedMs ?? 0);
  const isEarly = record.bootId.startsWith("mac/");
  const boot = beginTimeline({
    mac: record.mac === "" ? undefined : (record.mac as MacAddress),
    node: record.node as NodeName | undefined,
    bootId: isEarly ? undefined : record.bootId,
    atMs: startMs,
  });
  for (const { stage, startedMs, endedMs, detail } of record.stages) {
    if (!controllers.has(stage)) continue;
    boot.seen.set(stage, { startMs: startMs + startedMs, endMs: startMs + (endedMs ?? startedMs), detail });
  }
  boot.told = record.stages
    .filter(({ stage }) => !controllers.has(stage))
    .map((stage) => shift(stage, startMs - kernelStartMs));
  boot.kernelStartMs = kernel === undefined ? undefined : kernelStartMs;
  boot.image = record.image;
  boot.imageVersion = record.imageVersion;
  boot.outcome = record.outcome;
  boot.readyMs = record.readyAt?.getTime();
  boot.failure = record.failure;
  // A boot that was under way gets its whole time again: nobody listened while musterd was away.
  boot.lastNewsMs = record.outcome === "booting" ? atMs : (boot.readyMs ?? startMs);
  return boot;
}

/** All stages relative to the start of the boot, in the order of the boot; unknown ones by their time. */
function stagesOf(boot: BootTimeline): readonly StageRecord[] {
  const startMs = startOf(boot);
  const seen = [...boot.seen].map(([stage, { startMs: from, endMs, detail }]) => ({
    stage,
    startedMs: from - startMs,
    endedMs: endMs - startMs,
    detail,
  }));
  const zero = (boot.kernelStartMs ?? startMs) - startMs;
  return [...seen, ...boot.told.map((stage) => shift(stage, zero))].sort(
    (a, b) => a.startedMs - b.startedMs || rankOf(a.stage) - rankOf(b.stage),
  );
}

function rankOf(stage: string): number {
  const rank = BOOT_STAGES.findIndex(({ name }) => name === stage);
  return rank < 0 ? BOOT_STAGES.length : rank;
}

function shift(stage: StageRecord, byMs: number): StageRecord {
  return {
    ...stage,
    startedMs: Math.round(stage.startedMs + byMs),
    ...(stage.endedMs === undefined ? {} : { endedMs: Math.round(stage.endedMs + byMs) }),
  };
}
