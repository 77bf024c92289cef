import { isDeepStrictEqual } from "node:util";

import { MusterError } from "#proto/contract/muster-error.ts";

import { canonicalFields } from "../fields/canonical-fields.ts";
import type { Fields } from "../fields/fields.ts";
import {
  type ChangeDetails,
  type InventoryRecord,
  type InventoryState,
  RECORD_KINDS,
  type RecordChange,
  type RecordedEffect,
  type RecordKind,
} from "../inventory/changes.ts";
import { type FieldConflict, listChangedFields, undoFields } from "./undo-fields.ts";

/** Why a record cannot be put back as a change found it. */
export interface UndoConflict {
  readonly kind: RecordKind;
  readonly name: string;
  /** "fields": these were changed since; "deleted": it is gone; "exists": it was made anew. */
  readonly why: "fields" | "deleted" | "exists";
  /** Empty unless `why` is "fields". */
  readonly fields: readonly FieldConflict[];
}

/** What undoing a change comes to. */
export interface UndoPlan {
  /** Nothing when everything is as it was before already. */
  readonly changes: readonly RecordChange[];
  /** Any: the change cannot be undone as a whole, and nothing of it is. */
  readonly conflicts: readonly UndoConflict[];
}

interface RecordEffect extends RecordedEffect {
  readonly kind: RecordKind;
}

/**
 * What puts back what a change did to nodes and profiles, and leaves alone what was changed elsewhere since.
 *
 * | the change     | the record now             | undone by                                   |
 * |----------------|----------------------------|---------------------------------------------|
 * | made it        | as it was made             | deleting it                                 |
 * | made it        | gone                       | nothing to do                               |
 * | made it        | with other fields          | conflict: what was written since would be lost |
 * | deleted it     | gone                       | making it again                             |
 * | deleted it     | there, as it was           | nothing to do                               |
 * | deleted it     | there, another             | conflict                                    |
 * | changed fields | there                      | see undoFields                              |
 * | changed fields | gone                       | conflict                                    |
 * | renamed it     | there under the new name   | its fields as above, and its old name       |
 * | renamed it     | gone                       | conflict                                    |
 *
 * `argument-invalid` for a change that did more than that: images, identities and machines are not put back by writing
 * fields, and the error says what to do instead.
 */
export function planUndo(change: ChangeDetails, state: InventoryState): UndoPlan {
  refuseOthers(change);
  const now = indexOf(state);
  const changes: RecordChange[] = [];
  const conflicts: UndoConflict[] = [];
  for (const effect of change.effects.filter(isOfRecord)) {
    const planned = undoEffect(effect, now.get(keyOf(effect.kind, effect.renamedTo ?? effect.name)));
    if (planned === undefined) continue;
    if ("why" in planned) conflicts.push(planned);
    else changes.push(planned);
  }
  return { changes: conflicts.length > 0 ? [] : changes, conflicts };
}

function undoEffect(
  effect: RecordEffect,
  current: InventoryRecord | undefined,
): RecordChange | UndoConflict | undefined {
  const { kind, before, after, renamedTo } = effect;
  const name = renamedTo ?? effect.name;
  const conflict = (why: UndoConflict["why"], fields: readonly FieldConflict[] = []): UndoConflict => ({
    kind,
    name,
    why,
    fields,
  });
  if (before === undefined) {
    if (current === undefined || after === undefined) return undefined;
    if (isDeepStrictEqual(current.fields, after)) {
      return { kind, name, revision: current.revision, fields: undefined };
    }
    return conflict("fields", listChangedFields(after, current.fields));
  }
  if (after === undefined) {
    if (current === undefined) return { kind, name, revision: 0, fields: before as Fields };
    return isDeepStrictEqual(current.fields, before) ? undefined : conflict("exists");
  }
  if (current === undefined) return conflict("deleted");
  const undone = undoFields(before, after, current.fields);
  if (undone.conflicts.length > 0) return conflict("fields", undone.conflicts);
  if (renamedTo === undefined && isDeepStrictEqual(undone.fields, current.fields)) return undefined;
  return {
    kind,
    name,
    revision: current.revision,
    fields: canonicalFields(undone.fields),
    ...(renamedTo === undefined ? {} : { renameTo: effect.name }),
  };
}

function refuseOthers({ id, effects }: ChangeDetails): void {
  const moved = effects.find(
    ({ kind, before, after }) =>
      kind === "refused-machine" || (kind === "machine" && before !== undefined && after !== undefined),
  );
  if (moved !== undefined) {
    throw new MusterError({
      code: "argument-invalid",
      what: `change ${id} says which machine is behind a node (${moved.kind} ${moved.name}); identities were voided with it, and writing fields does not bring them back`,
      fix: "put the machines where they belong: `muster node replace NODE --mac MAC` or `muster node swap A B`; `muster node refused list` shows the machines that are not let in",
    });
  }
  if (effects.some(isOfRecord)) return;
  const [first] = effects;
  throw new MusterError({
    code: "argument-invalid",
    what: `change ${id} is about ${first === undefined ? "nothing" : `${first.kind} ${first.name}`}, not about nodes or profiles: it cannot be undone`,
    fix: FIXES[first?.kind ?? ""] ?? `\`muster history --change ${id}\` shows what it did`,
  });
}

/** What to do about changes that are no fields. */
const FIXES: Readonly<Record<string, string>> = {
  image: "import the image again (`muster image import`), or delete the version (`muster image delete`)",
  channel: "set the channel to the version you want: `muster image channel set IMAGE CHANNEL VERSION`",
  identity: "a node gets a new identity at its next boot: power-cycle it",
  machine: "nothing: what a machine says of itself is learned anew at each boot",
  alert: "nothing: an alert comes back when its reason does",
};

function isOfRecord(effect: RecordedEffect): effect is RecordEffect {
  return (RECORD_KINDS as readonly string[]).includes(effect.kind);
}

function indexOf({ nodes, profiles }: InventoryState): ReadonlyMap<string, InventoryRecord> {
  return new Map([...nodes, ...profiles].map((record) => [keyOf(record.kind, record.name), record]));
}

function keyOf(kind: RecordKind, name: string): string {
  return `${kind} ${name}`;
}
