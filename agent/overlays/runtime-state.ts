import type { PathType } from "./node-disk.ts";

/** What the runtime overlay wants at a path. */
export type WantedWhat =
  | { readonly kind: "file"; readonly digest: string; readonly sizeBytes: number }
  | { readonly kind: "symlink"; readonly target: string }
  | { readonly kind: "directory" }
  | { readonly kind: "absent" };

/** Owner, permissions, and extended attributes in hex. */
export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: Readonly<Record<string, string>>;
}

export interface WantedPath {
  /** As in the manifest. */
  readonly path: string;
  readonly what: WantedWhat;
  readonly attributes: Attributes;
  /** Whatever the image has here goes first, a whole directory too. */
  readonly clears: boolean;
}

/** What the image had where the overlay has something now. */
export type Covered =
  | { readonly kind: "nothing" }
  /** Kept as `covered/NAME` of the state directory. */
  | { readonly kind: "saved"; readonly name: string; readonly type: Exclude<PathType, "absent"> }
  /** A directory that stayed where it is; these were its attributes. */
  | { readonly kind: "directory"; readonly attributes: Attributes };

/** A path the overlay answers for. */
export interface OwnedPlace {
  readonly path: string;
  /** Where that is, links of the image resolved; absolute on this machine. */
  readonly place: string;
  readonly type: WantedWhat["kind"];
  readonly covered: Covered;
}

export interface OverlayReaction {
  readonly globs: readonly string[];
  readonly command: string;
  readonly deadlineSeconds: number;
}

/** What a manifest asks for, without its digest. */
export interface WantedOverlay {
  readonly paths: readonly WantedPath[];
  readonly reactions: readonly OverlayReaction[];
  readonly policy: "repair" | "report";
}

/** `applied.json`: everything needed to keep the overlay true and to take it back, without a controller. */
export interface AppliedOverlay {
  readonly format: 1;
  /** Of the manifest; empty: none yet. */
  readonly digest: string;
  readonly appliedAtMs: number;
  readonly wanted: WantedOverlay;
  readonly owned: readonly OwnedPlace[];
  /** What the first half of an update changed: its reactions wait for the second. */
  readonly unreacted?: readonly string[];
}

export const NOTHING_APPLIED: AppliedOverlay = {
  format: 1,
  digest: "",
  appliedAtMs: 0,
  wanted: { paths: [], reactions: [], policy: "repair" },
  owned: [],
};

/** `fingerprints.json`, by place: what lstat said when the place was last known to be right, and right was what. */
export type Fingerprints = Readonly<Record<string, { readonly key: string; readonly fingerprint: string }>>;

/** One change of the commit. Done again after it was done, each does nothing. */
export type CommitStep =
  | { readonly kind: "remove"; readonly place: string }
  | { readonly kind: "restore"; readonly place: string; readonly from: string }
  /** Removed when it is empty. */
  | { readonly kind: "leave-directory"; readonly place: string }
  /** `clears`: a directory that is there goes with everything in it. */
  | { readonly kind: "put"; readonly place: string; readonly staged: string; readonly clears: boolean }
  | { readonly kind: "set-directory"; readonly place: string; readonly attributes: Attributes };

/** `update.json`: an update that is to be completed, whatever happens. */
export interface UpdateJournal {
  readonly format: 1;
  /** Of the manifest. */
  readonly digest: string;
  readonly steps: readonly CommitStep[];
  /** Absolute on the node: what reactions match. */
  readonly changed: readonly string[];
  readonly reactions: readonly OverlayReaction[];
  /** How often its reactions were begun. */
  readonly attempts: number;
}
