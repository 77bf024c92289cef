import type { ChangeDetails } from "../inventory/changes.ts";
import { listTouched, type Touched } from "./list-touched.ts";

/** What hooks are run for. */
export const HOOK_EVENTS = ["node-up", "node-down", "node-approved", "change-committed"] as const;
export type HookEvent = (typeof HOOK_EVENTS)[number];

/** Of the JSON on the standard input of hooks; it grows when a field changes its meaning or goes. */
export const HOOK_INPUT_VERSION = 1;

/** A node in the input of a hook. */
export interface HookNode {
  readonly name: string;
  /** When it happened to this node. */
  readonly at: Date;
  /** What the fleet said of it then: "ready", "unreachable", "booting", "failed"; "new" when it was deleted. */
  readonly state?: string;
  readonly bootId?: string;
  readonly address?: string;
  readonly image?: string;
  readonly imageVersion?: number;
}

/** A change in the input of a hook. */
export interface HookChange {
  /** `muster history --change ID` shows all of it. */
  readonly id: number;
  readonly at: Date;
  readonly user: string;
  readonly address?: string;
  readonly reason?: string;
  /** In natural order. */
  readonly touched: readonly Touched[];
}

/** Something that happened, for hooks. */
export type HookNews =
  | { readonly event: Exclude<HookEvent, "change-committed">; readonly node: HookNode }
  | { readonly event: "change-committed"; readonly change: HookChange };

/** What one run of a hook is told. Exactly one of the lists has members. */
export interface HookBatch {
  readonly event: HookEvent;
  readonly nodes: readonly HookNode[];
  readonly changes: readonly HookChange[];
}

/** A change as hooks are told of it: who, when, why and what it touched, not every field. */
export function hookChangeOf({ id, at, user, address, reason, effects }: ChangeDetails): HookChange {
  return {
    ...{ id, at, user, touched: listTouched(effects) },
    ...(address === undefined ? {} : { address }),
    ...(reason === undefined ? {} : { reason }),
  };
}
