import type { BootStage } from "#proto/contract/boot-stage.ts";
import type { StageTiming } from "#proto/gen/muster/v1/machine.ts";

/** When each stage of this boot began and ended, in milliseconds since the kernel started. */
export interface StageClock {
  /** A stage that is tried again keeps its first beginning: what counts is how long it held the boot up. */
  begin(stage: BootStage): void;
  end(stage: BootStage, detail: string): void;
  /** A stage others observed. */
  record(stage: BootStage, startedMs: number, endedMs: number, detail: string): void;
  /** In order of beginning. */
  list(): StageTiming[];
}

/** A clock that starts with no stages, or with those of `earlier`. */
export function openStageClock(uptimeMs: () => number, earlier: readonly StageTiming[] = []): StageClock {
  const stages = new Map<string, StageTiming>(earlier.map((timing) => [timing.stage, timing]));
  const now = (): number => Math.max(1, Math.round(uptimeMs()));
  return {
    begin: (stage) => {
      const startedMs = stages.get(stage)?.startedMs ?? now();
      stages.set(stage, { stage, startedMs, endedMs: 0, detail: stages.get(stage)?.detail ?? "" });
    },
    end: (stage, detail) => {
      const startedMs = stages.get(stage)?.startedMs ?? now();
      stages.set(stage, { stage, startedMs, endedMs: now(), detail });
    },
    record: (stage, startedMs, endedMs, detail) => {
      stages.set(stage, { stage, startedMs, endedMs, detail });
    },
    list: () => [...stages.values()].map((timing) => ({ ...timing })),
  };
}
