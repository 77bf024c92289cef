import type { Attributes, CommitStep, OwnedPlace, WantedPath, WantedWhat } from "./runtime-state.ts";

/** Something to be made, complete, before the commit puts it in place. */
export interface Staging {
  readonly staged: string;
  readonly place: string;
  readonly what: Exclude<WantedWhat, { kind: "absent" }>;
  readonly attributes: Attributes;
  /** The file whose SELinux label it gets; absent: the policy says. */
  readonly labelFrom?: string;
}

/** A path that differs from what the applied overlay says. */
export interface PlannedDrift {
  readonly path: string;
  readonly what: string;
  /** Whether this plan puts it right. */
  readonly isRepaired: boolean;
}

/** All that an update does, in the order it is done. */
export interface UpdatePlan {
  /** Why the update cannot be made; nothing is done then. */
  readonly problems: readonly string[];
  /** What the image has, to be kept as `covered/name` before it is replaced. */
  readonly saves: readonly { readonly from: string; readonly name: string }[];
  readonly stagings: readonly Staging[];
  /** Copies of what was covered, beside its place on another file system. */
  readonly recoveries: readonly { readonly from: string; readonly staged: string }[];
  /** Places whose present file will be replaced or removed: to be asked whether that is allowed. */
  readonly probes: readonly string[];
  readonly steps: readonly CommitStep[];
  readonly owned: readonly OwnedPlace[];
  /** Paths on the node, for reactions and the report. */
  readonly changed: readonly string[];
  readonly drift: readonly PlannedDrift[];
}

export interface PlanOptions {
  /** Where files are made and kept: the state directory and what it is called in names. */
  readonly staging: string;
  readonly covered: string;
  /** A name that is used for nothing else, from the place. */
  readonly nameOf: (place: string) => string;
  /** Makes names in the node's own directories ones that nobody can take before: other for each plan. */
  readonly salt: string;
  /** What differs and was not changed by the controller is put right too. */
  readonly repairs: boolean;
  /** Contents nobody can give now: places that need one stay as they are. */
  readonly unavailable: ReadonlySet<string>;
  /** Of wants that were applied before: what differs from these is drift. */
  readonly isAppliedWant: (want: WantedPath) => boolean;
  /** "/" in earnest; names in reports are without it. */
  readonly root: string;
}
