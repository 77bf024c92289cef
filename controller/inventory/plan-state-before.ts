import { compareNodeNames } from "#proto/contract/node-set.ts";
import type { Fields } from "../fields/fields.ts";
import type { InventoryRecord, InventoryState, RecordedEffect, RecordKind } from "./changes.ts";

/** A state on its way into the past. */
export interface StateBefore {
  /** Takes one effect back. To be called for each, the latest first. */
  readonly undo: (effect: RecordedEffect) => void;
  /** As it is by now, in natural order, with revisions 0. */
  readonly state: () => InventoryState;
}

/** Goes back from a state, effect by effect. Effects of anything but nodes and profiles do nothing. */
export function planStateBefore(now: InventoryState): StateBefore {
  const fieldsOf: Readonly<Record<RecordKind, Map<string, Fields>>> = {
    node: new Map(now.nodes.map(({ name, fields }) => [name, fields])),
    profile: new Map(now.profiles.map(({ name, fields }) => [name, fields])),
  };
  const recordsOf = (kind: RecordKind): readonly InventoryRecord[] =>
    [...fieldsOf[kind]]
      .map(([name, fields]) => ({ kind, name, revision: 0, fields }))
      .sort((a, b) => compareNodeNames(a.name, b.name));
  return {
    undo: ({ kind, name, before, renamedTo }) => {
      if (kind !== "node" && kind !== "profile") return;
      if (renamedTo !== undefined) fieldsOf[kind].delete(renamedTo);
      if (before === undefined) fieldsOf[kind].delete(name);
      else fieldsOf[kind].set(name, before);
    },
    state: () => ({ nodes: recordsOf("node"), profiles: recordsOf("profile") }),
  };
}
