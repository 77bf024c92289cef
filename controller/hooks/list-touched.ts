import { compareNodeNames } from "#proto/contract/node-set.ts";

/** Something that a change touched. */
export interface Touched {
  readonly kind: string;
  readonly name: string;
}

/** What effects touch, each once, in natural order. A record that was renamed is there under both names. */
export function listTouched(
  effects: readonly { readonly kind: string; readonly name: string; readonly renamedTo?: string }[],
): readonly Touched[] {
  const touched = new Map<string, Touched>();
  for (const { kind, name, renamedTo } of effects) {
    for (const one of renamedTo === undefined ? [name] : [name, renamedTo]) {
      touched.set(`${kind} ${one}`, { kind, name: one });
    }
  }
  return [...touched.values()].sort((a, b) =>
    a.kind === b.kind ? compareNodeNames(a.name, b.name) : a.kind < b.kind ? -1 : 1,
  );
}
