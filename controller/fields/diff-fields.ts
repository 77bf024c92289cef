import { ownValue, unionKeys } from "./canonical-fields.ts";
import { type FieldPath, parseFieldPath, renderFieldPath } from "./field-path.ts";
import type { FieldEffect } from "./field-table.ts";
import { FIELD_TREE, type FieldNode, findField, isPlain, type Plain } from "./field-tree.ts";
import type { Fields, Json } from "./fields.ts";

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
  const found: FieldDifference[] = [];
  diffNode(FIELD_TREE, before as Plain | undefined, after as Plain | undefined, [], found);
  return found;
}

function diffNode(
  node: FieldNode,
  before: Json | Plain | undefined,
  after: Json | Plain | undefined,
  path: FieldPath,
  found: FieldDifference[],
): void {
  if (before === after) return;
  if (node.kind === "leaf") {
    diffJson(before as Json | undefined, after as Json | undefined, path, found);
    return;
  }
  const [old, now] = [isPlain(before) ? before : {}, isPlain(after) ? after : {}];
  for (const name of unionKeys(old, now, node.kind === "map" ? undefined : node.compare)) {
    const child = node.kind === "map" ? node.child : node.children.get(name);
    if (child !== undefined)
      diffNode(child, ownValue(old, name), ownValue(now, name), [...path, name], found);
  }
}

/** Tags and free YAML key by key, everything else whole. What is gone comes before what stands in its place. */
function diffJson(
  before: Json | undefined,
  after: Json | undefined,
  path: FieldPath,
  found: FieldDifference[],
): void {
  const [old, now] = [mapOf(before), mapOf(after)];
  if (old === undefined && now === undefined) {
    if (JSON.stringify(before) !== JSON.stringify(after)) found.push(difference(path, before, after));
    return;
  }
  if (old === undefined && before !== undefined) found.push(difference(path, before, undefined));
  for (const key of unionKeys(old ?? {}, now ?? {})) {
    diffJson(ownValue(old ?? {}, key), ownValue(now ?? {}, key), [...path, key], found);
  }
  if (now === undefined && after !== undefined) found.push(difference(path, undefined, after));
}

function difference(path: FieldPath, before: Json | undefined, after: Json | undefined): FieldDifference {
  return {
    path: renderFieldPath(path),
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
  };
}

/** A map with something in it; an empty one is a value. */
function mapOf(value: Json | undefined): Plain | undefined {
  return isPlain(value) && Object.keys(value).length > 0 ? value : undefined;
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
