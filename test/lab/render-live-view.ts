import { BOOT_STAGES } from "#proto/contract/boot-stage.ts";

import type { BootView, NodeView, PendingView } from "../../controller/api/rest/schemas.ts";

/** A machine whose boot is watched. */
export interface WatchedMachine {
  readonly name: string;
  readonly mac: string;
  /** "uefi, 1 x 2 x 1": what it is, for people. */
  readonly about: string;
}

/** How far a machine is. */
export interface Progress {
  readonly machine: WatchedMachine;
  readonly state: "off" | "firmware" | "booting" | "pending" | "ready" | "failed";
  readonly stage?: string;
  /** Stages reached of all there are, 0 to 1. */
  readonly share: number;
  readonly detail: string;
  readonly elapsedMs: number;
}

/** What the controller says of a site, as its REST API has it. */
export interface SiteView {
  readonly nodes: readonly NodeView[];
  readonly boots: readonly BootView[];
  readonly pending: readonly PendingView[];
}

/** How far a machine is that was powered on at `poweredOnMs`; both times are milliseconds since 1970. */
export function planProgress(
  machine: WatchedMachine,
  site: SiteView,
  poweredOnMs: number,
  nowMs: number,
): Progress {
  const boot = site.boots
    .filter(({ mac }) => mac === machine.mac)
    .toSorted((a, b) => b.startedAt.localeCompare(a.startedAt))[0];
  const node = site.nodes.find(({ devices }) => devices.some(({ mac }) => mac === machine.mac));
  const elapsedMs = nowMs - poweredOnMs;
  const failure = node?.status.failure ?? boot?.failure;
  const pending = site.pending.find(({ bootMac }) => bootMac === machine.mac);
  if (node?.status.state === "ready") {
    const readyMs = boot?.readyAt === undefined ? nowMs : Date.parse(boot.readyAt);
    return { machine, state: "ready", share: 1, detail: "", elapsedMs: readyMs - poweredOnMs };
  }
  if (boot?.outcome === "failed" || node?.status.state === "failed") {
    return { machine, state: "failed", share: 0, detail: failure?.what ?? "", elapsedMs };
  }
  if (boot === undefined) return { machine, state: "firmware", share: 0, detail: "", elapsedMs };
  const last = boot.stages.at(-1);
  const reached = BOOT_STAGES.findIndex(({ name }) => name === last?.stage) + 1;
  return {
    machine,
    state: pending === undefined ? "booting" : "pending",
    ...(last === undefined ? {} : { stage: last.stage }),
    share: reached / BOOT_STAGES.length,
    detail: pending === undefined ? (last?.detail ?? "") : `claim code ${pending.claimCode}`,
    elapsedMs,
  };
}

const BAR = 15;

/** One line for each machine, `columns` wide at most. */
export function renderLiveView(progress: readonly Progress[], columns: number): readonly string[] {
  return progress.map(({ machine, state, stage, share, detail, elapsedMs }) => {
    const filled = Math.round(share * BAR);
    const bar = `[${"#".repeat(filled)}${".".repeat(BAR - filled)}]`;
    const line = [
      machine.name.padEnd(6),
      machine.about.padEnd(26),
      bar,
      state.padEnd(8),
      (stage ?? "").padEnd(9),
      `${(elapsedMs / 1000).toFixed(0).padStart(4)} s`,
      detail,
    ].join("  ");
    return line.trimEnd().slice(0, columns);
  });
}

/** For where nothing can be redrawn: a line for each machine that came further since `before`. */
export function renderChanges(before: readonly Progress[], after: readonly Progress[]): readonly string[] {
  return after.flatMap(({ machine, state, stage, detail, elapsedMs }) => {
    const earlier = before.find((one) => one.machine.mac === machine.mac);
    if (earlier?.state === state && earlier.stage === stage) return [];
    const seconds = (elapsedMs / 1000).toFixed(1).padStart(6);
    return [[`${seconds} s  ${machine.name}  ${state}`, stage, detail].filter(Boolean).join("  ")];
  });
}
