import type { BootView } from "../../api/rest/schemas.ts";
import { imageOf } from "./render-nodes.ts";
import { printable, renderDuration, renderTime } from "../output/render-text.ts";

/** The bars; with the columns before them and a detail after, a boot fits a screen of 100 columns. */
const BAR_WIDTH = 40;
/** What a reader needs of a kernel log is at its end. */
const LOG_LINES = 40;

export interface WaterfallOptions {
  readonly kernelLog: boolean;
  readonly now: Date;
}

/**
 * One boot as a waterfall: a line per stage with start and duration in seconds, its bar on the time of the
 * whole boot, and its detail. A stage still running ends in ">"; one that failed is drawn with "!".
 */
export function renderWaterfall(boot: BootView, options: WaterfallOptions): string {
  const elapsedMs = Math.max(0, options.now.getTime() - Date.parse(boot.startedAt));
  const stages = boot.stages.map((stage) => {
    const endMs = stage.endedMs ?? (boot.outcome === "booting" ? elapsedMs : stage.startedMs);
    return { ...stage, endMs: Math.max(stage.startedMs, endMs), isRunning: stage.endedMs === undefined };
  });
  const totalMs = Math.max(1, ...stages.map((stage) => stage.endMs));
  const nameWidth = Math.max(5, ...stages.map((stage) => stage.stage.length));
  const lines = stages.map((stage) => {
    const mark = stage.stage === boot.failure?.stage ? "!" : "=";
    const bar = renderBar(stage.startedMs, stage.endMs, totalMs, mark, stage.isRunning && mark === "=");
    const start = seconds(stage.startedMs);
    const time =
      stage.isRunning && boot.outcome !== "booting" ? "      -" : seconds(stage.endMs - stage.startedMs);
    return `  ${printable(stage.stage).padEnd(nameWidth)} ${start} ${time}  |${bar}|  ${printable(stage.detail)}`.trimEnd();
  });
  const head = [
    renderTime(boot.startedAt),
    boot.node ?? boot.mac,
    imageOf(boot.image, boot.imageVersion),
    outcomeOf(boot, totalMs),
    `boot ${boot.bootId}`,
  ].filter((part) => part !== undefined);
  return [
    printable(head.join("  ")),
    `  ${"STAGE".padEnd(nameWidth)} START s  TIME s`,
    ...lines,
    ...renderFailure(boot, options.kernelLog),
    "",
  ].join("\n");
}

function renderBar(
  startMs: number,
  endMs: number,
  totalMs: number,
  mark: string,
  isRunning: boolean,
): string {
  const from = Math.min(BAR_WIDTH - 1, Math.floor((startMs / totalMs) * BAR_WIDTH));
  const to = Math.max(from + 1, Math.round((endMs / totalMs) * BAR_WIDTH));
  const bar = mark.repeat(to - from);
  return `${" ".repeat(from)}${isRunning ? `${bar.slice(1)}>` : bar}`.padEnd(BAR_WIDTH);
}

function outcomeOf(boot: BootView, totalMs: number): string {
  switch (boot.outcome) {
    case "ready": {
      const readyMs =
        boot.readyAt === undefined ? totalMs : Date.parse(boot.readyAt) - Date.parse(boot.startedAt);
      return `ready after ${renderDuration(readyMs)}`;
    }
    case "failed":
      return `failed in ${boot.failure?.stage ?? "an unknown stage"}`;
    case "booting":
      return `booting for ${renderDuration(totalMs)}`;
    case "abandoned":
      return "abandoned: another boot began";
  }
}

function renderFailure(boot: BootView, kernelLog: boolean): readonly string[] {
  if (boot.failure === undefined) return [];
  const { code, what, fix, kernelLogTail = "" } = boot.failure;
  const log = printable(kernelLogTail, "many").trimEnd().split("\n").slice(-LOG_LINES);
  const hasLog = kernelLogTail.trim() !== "";
  return [
    `  failed: ${printable(what)} [${printable(code)}]`,
    ...(fix === "" ? [] : [`  fix: ${printable(fix)}`]),
    ...(hasLog && kernelLog ? ["  end of the kernel log:", ...log.map((line) => `    ${line}`)] : []),
    ...(hasLog && !kernelLog ? ["  the end of its kernel log: --kernel-log"] : []),
  ];
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1).padStart(7);
}
