import { renderFieldPath } from "./field-path.ts";
import { parseFieldPath } from "./field-path.ts";
import type { FieldEffect } from "./field-table.ts";
import { findField } from "./field-tree.ts";
import type { Fields, Json } from "./fields.ts";
import { listLeaves } from "./list-leaves.ts";

/** One value that differs; absent where there was or is none. Lists are one value. */
export interface FieldDifference {
  readonly path: string;
  readonly before?: Json;
  readonly after?: Json;
}

/** What differs, in the order in which fields are written. Both in canonical form; undefined: the record does not exist. */
export function diffFields(
  before: Fields | undefined,
  after: Fields | undefined,
): readonly FieldDifference[] {
  const old = new Map(listLeaves(before ?? {}).map(({ path, value }) => [renderFieldPath(path), value]));
  const now = new Map(listLeaves(after ?? {}).map(({ path, value }) => [renderFieldPath(path), value]));
  const paths = [...new Set([...old.keys(), ...now.keys()])];
  return paths.flatMap((path) => {
    const [was, is] = [old.get(path), now.get(path)];
    if (JSON.stringify(was) === JSON.stringify(is)) return [];
    return [
      { path, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }) },
    ];
  });
}

const STRENGTH = ["none", "refresh", "reboot"] as const satisfies readonly FieldEffect[];

/** What a change of these fields leads to on a node that is up: the strongest of their effects. */
export function effectOf(paths: readonly string[]): FieldEffect {
  const effects = new Set(
    paths.map((path) => {
      const found = findField(parseFieldPath(path));
      return found?.node.kind === "leaf" ? found.node.row.effect : "reboot";
    }),
  );
  return STRENGTH.findLast((effect) => effects.has(effect)) ?? "none";
}
