import type { Fields } from "../fields/fields.ts";

/** What people write and undo: each has a name, a revision, and fields. */
export const RECORD_KINDS = ["node", "profile"] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

/** A node or profile as written, not merged. */
export interface InventoryRecord {
  readonly kind: RecordKind;
  readonly name: string;
  /** Grows with each change of the record. */
  readonly revision: number;
  readonly fields: Fields;
}

/** One record's part of a change. All parts of a change are committed in one transaction, or none. */
export interface RecordChange {
  readonly kind: RecordKind;
  readonly name: string;
  /** The revision its author saw; 0: it must not exist. Another one there: `revision-stale`, with both versions. */
  readonly revision: number;
  /** The fields it has from then on; undefined: it is deleted. */
  readonly fields: Fields | undefined;
  /** It is called this from then on; what names it (profile lists) follows, and so do its history and its secrets. */
  readonly renameTo?: string;
}

/** A change that was committed. */
export interface CommittedChange {
  /** Number of the change in the history; undefined when nothing differed and nothing was written. */
  readonly id: number | undefined;
  /** The records as they are now, without those that were deleted; unchanged ones included. */
  readonly records: readonly InventoryRecord[];
}

/** One thing of a change, before and after; undefined where it did not exist. */
export interface RecordedEffect {
  /** "node", "profile", or what else the history keeps: "machine", "image", "channel", "identity", "alert". */
  readonly kind: string;
  readonly name: string;
  /** Of a record: its fields. */
  readonly before: object | undefined;
  readonly after: object | undefined;
  /** The record was called `name` before, and this after. */
  readonly renamedTo?: string;
}

/** One entry of the history. */
export interface ChangeSummary {
  readonly id: number;
  readonly at: Date;
  /** "root", "token:ci", "enrolment". */
  readonly user: string;
  /** Where the user was: an IP address; undefined on the controller itself. */
  readonly address?: string;
  /** Why (-m). */
  readonly reason?: string;
  /** What it did, in short: kept with the change, so that a history of changes of 10,000 nodes is read at once. */
  readonly groups: readonly EffectGroup[];
}

/** What a change did alike to things of one kind. */
export interface EffectGroup {
  readonly kind: string;
  /** Nodes folded, "c[001-064]"; others in natural order, with commas. */
  readonly names: string;
  readonly count: number;
  readonly action: "added" | "changed" | "deleted" | "renamed";
  /** Their names since, folded. */
  readonly renamedTo?: string;
  /** Paths of what was changed; none where too much was changed in too many ways. */
  readonly fields: readonly string[];
}

/** An entry of the history with all it did. */
export interface ChangeDetails extends ChangeSummary {
  readonly effects: readonly RecordedEffect[];
}

/** All records at one moment. */
export interface InventoryState {
  readonly nodes: readonly InventoryRecord[];
  readonly profiles: readonly InventoryRecord[];
}
