import type { RecordedEffect } from "./changes.ts";
import { fieldsOfFlatContent } from "./read-flat-nodes.ts";

/** One row of the history. */
export interface StoredEffect {
  readonly kind: string;
  readonly name: string;
  readonly before_json: string | null;
  readonly after_json: string | null;
  readonly renamed_to: string | null;
}

/**
 * What a row of the history says. Rows of releases before schema version 5 hold flat nodes together with what is known of the
 * machine; fields never hold `machine`, so that says which they are. One of them becomes up to two effects: what people wrote,
 * and what a machine said of itself.
 */
export function effectsOfStored(row: StoredEffect): readonly RecordedEffect[] {
  const before = parsed(row.before_json);
  const after = parsed(row.after_json);
  const renamed = row.renamed_to === null ? {} : { renamedTo: row.renamed_to };
  if (row.kind !== "node" || !(isFlat(before) || isFlat(after))) {
    return [{ kind: row.kind, name: row.name, before, after, ...renamed }];
  }
  return [
    { kind: "node", name: row.name, before: flatFields(before), after: flatFields(after) },
    { kind: "machine", name: row.name, before: machineOf(before), after: machineOf(after) },
  ].filter((effect) => JSON.stringify(effect.before) !== JSON.stringify(effect.after));
}

function parsed(json: string | null): object | undefined {
  return json === null ? undefined : (JSON.parse(json) as object);
}

function isFlat(content: object | undefined): boolean {
  return content !== undefined && "machine" in content;
}

function flatFields(content: object | undefined): object | undefined {
  return content === undefined ? undefined : fieldsOfFlatContent(content);
}

function machineOf(content: object | undefined): object | undefined {
  const machine = content !== undefined && "machine" in content ? (content.machine as object) : {};
  return Object.keys(machine).length === 0 ? undefined : machine;
}
