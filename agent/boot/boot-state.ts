import type { BootArguments } from "#proto/contract/boot-arguments.ts";
import type { BootPlan } from "#proto/gen/muster/v1/provisioning.ts";

import type { NodeIdentity } from "../identity/store-identity.ts";
import type { OverlayStep } from "../overlays/plan-overlay.ts";
import type { NetworkUp } from "./bring-up-network.ts";
import type { StageClock } from "./stage-clock.ts";

/** What one boot knows so far. Each step fills in its own part and needs those before it. */
export interface BootState {
  readonly args: BootArguments;
  readonly bootId: string;
  readonly stages: StageClock;
  /** {@link BootHost.uptimeMs} when the agent started. */
  readonly startedMs: number;
  giveUpAfterSeconds: number;
  rebootAfterSeconds: number;
  /** Time spent waiting for an operator: it does not count towards giving up. */
  pausedMs: number;
  network?: NetworkUp;
  authorityPem?: string;
  /** The controller that answered last; tried first. */
  controller?: string;
  identity?: NodeIdentity;
  plan?: BootPlan;
  overlay?: readonly OverlayStep[];
  memoryChecked?: boolean;
}

/** The part of the state a step needs. A step that runs before its time is a bug. */
export function required<T>(part: T | undefined, name: string): T {
  if (part === undefined) throw new Error(`boot step ran without ${name}`);
  return part;
}

/** On the clock of {@link BootHost.uptimeMs}: when to give up. */
export function giveUpAtMs(state: BootState): number {
  return state.startedMs + state.pausedMs + state.giveUpAfterSeconds * 1000;
}
