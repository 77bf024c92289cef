import type { EffectGroup } from "../inventory/changes.ts";
import { renderFieldPath } from "../fields/field-path.ts";
import { type Effect, foldNames } from "./fold-effects.ts";
import { listChangedFields } from "./undo-fields.ts";

/** A summary in the making: 10,000 effects are looked at one after the other, with pauses in between. */
export interface EffectSummary {
  readonly add: (effect: Effect) => void;
  /** In the order in which each was first added; of what was done alike to fewer things than the first, only the kind is told. */
  groups(): readonly EffectGroup[];
}

interface Group {
  readonly what: Pick<EffectGroup, "kind" | "action" | "fields">;
  readonly names: string[];
  readonly renamedTo: string[];
}

/** People read three; programs that want all of it ask for the change itself. */
const MOST_GROUPS = 20;
const MOST_FIELDS = 50;

/** Begins a summary of what a change did: what `muster history` shows, without reading the change again. */
export function openEffectSummary(): EffectSummary {
  const groups = new Map<string, Group>();
  return {
    add: (effect) => {
      const action = actionOf(effect);
      const paths = action === "changed" ? changedPaths(effect) : [];
      const { kind, name, renamedTo } = effect;
      const full = JSON.stringify([kind, action, paths]);
      // What would be one group more joins the others of its kind.
      const isFull = !groups.has(full) && groups.size >= MOST_GROUPS;
      const key = isFull ? JSON.stringify([kind, action]) : full;
      const known = groups.get(key);
      const group = known ?? {
        what: { kind, action, fields: isFull ? [] : paths },
        names: [],
        renamedTo: [],
      };
      if (known === undefined) groups.set(key, group);
      group.names.push(name);
      if (renamedTo !== undefined) group.renamedTo.push(renamedTo);
    },
    groups: () =>
      [...groups.values()].map(({ what, names, renamedTo }) => ({
        ...what,
        names: foldNames(what.kind, names),
        count: names.length,
        ...(renamedTo.length === 0 ? {} : { renamedTo: foldNames(what.kind, renamedTo) }),
      })),
  };
}

function actionOf({ before, after, renamedTo }: Effect): EffectGroup["action"] {
  if (before === undefined) return "added";
  if (after === undefined) return "deleted";
  return renamedTo === undefined ? "changed" : "renamed";
}

function changedPaths({ before = {}, after = {} }: Effect): readonly string[] {
  return listChangedFields(before, after)
    .slice(0, MOST_FIELDS)
    .map(({ path }) => renderFieldPath(path));
}
