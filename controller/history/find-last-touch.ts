import { isDeepStrictEqual } from "node:util";

import type { ChangeDetails } from "../inventory/changes.ts";
import type { UndoConflict } from "./plan-undo.ts";

/** Who is behind a conflict, as far as the history tells. */
export interface LastTouch {
  /** Of the field, "devices.eno1.mtu"; undefined: of the record as a whole. */
  readonly path?: string;
  /** Undefined: no change that is still there touched it. */
  readonly change: ChangeDetails | undefined;
}

/** The latest of the changes that touched each field of a conflict, or its record. `later`: newest first. */
export function findLastTouches(
  conflict: UndoConflict,
  later: readonly ChangeDetails[],
): readonly LastTouch[] {
  const { kind, name, why, fields } = conflict;
  const effectsOf = (change: ChangeDetails): ChangeDetails["effects"] =>
    change.effects.filter(
      (effect) => effect.kind === kind && (effect.name === name || effect.renamedTo === name),
    );
  if (why !== "fields") return [{ change: later.find((change) => effectsOf(change).length > 0) }];
  return fields.map(({ path }) => ({
    path: path.join("."),
    change: later.find((change) =>
      effectsOf(change).some(({ before, after }) => !isDeepStrictEqual(at(before, path), at(after, path))),
    ),
  }));
}

function at(fields: object | undefined, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined,
    fields,
  );
}
