import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";

import { renderFieldPath } from "../fields/field-path.ts";
import type { Json } from "../fields/fields.ts";
import type { EffectGroup } from "../inventory/changes.ts";
import { listChangedFields } from "./undo-fields.ts";

/** An effect as the API has it. */
export interface Effect {
  readonly kind: string;
  readonly name: string;
  readonly before?: object | undefined;
  readonly after?: object | undefined;
  readonly renamedTo?: string | undefined;
}

/** Things of one kind to which a change did the same. */
export interface FoldedEffect {
  /** "node", "profile", "machine", "image", "channel", "identity", "alert", "refused-machine". */
  readonly kind: string;
  /** "c[001-064]"; of other kinds than nodes: names with commas. */
  readonly names: string;
  readonly action: "added" | "changed" | "deleted" | "renamed";
  readonly renamedTo?: string;
  /** Leaf by leaf; of what was added or deleted: all of it. */
  readonly fields: readonly { readonly path: string; readonly before?: Json; readonly after?: Json }[];
}

/** What a change did, folded: in natural order of the first name of each. */
export function foldEffects(effects: readonly Effect[]): readonly FoldedEffect[] {
  const groups = new Map<string, { readonly what: Omit<FoldedEffect, "names">; readonly names: string[] }>();
  for (const { kind, name, before, after, renamedTo } of effects) {
    const action =
      before === undefined
        ? "added"
        : after === undefined
          ? "deleted"
          : renamedTo === undefined
            ? "changed"
            : "renamed";
    const fields = listChangedFields(before ?? {}, after ?? {}).map(({ path, left, now }) => ({
      path: renderFieldPath(path),
      ...(left === undefined ? {} : { before: left }),
      ...(now === undefined ? {} : { after: now }),
    }));
    const what = { kind, action, fields, ...(renamedTo === undefined ? {} : { renamedTo }) } as const;
    const key = JSON.stringify(what);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { what, names: [name] });
    else known.names.push(name);
  }
  return [...groups.values()]
    .sort((a, b) => compareNodeNames(a.names[0] ?? "", b.names[0] ?? ""))
    .map(({ what, names }) => ({ ...what, names: foldNames(what.kind, names) }));
}

/** The names of things of one kind: nodes folded, others in natural order. */
export function foldNames(kind: string, names: readonly string[]): string {
  return OF_NODES.includes(kind) ? foldNodeSet(names) : names.toSorted(compareNodeNames).join(",");
}

/** Kinds that are named by the node they are about. */
const OF_NODES = ["node", "machine", "identity", "alert"];

const MOST_PATHS = 4;
const MOST_GROUPS = 3;

/** What a change did in one line: "c[001-064]: image; profile gpu added". */
export function renderEffectGroups(groups: readonly Omit<EffectGroup, "count">[]): string {
  const more = groups.length - MOST_GROUPS;
  return [...groups.slice(0, MOST_GROUPS).map(renderGroup), ...(more > 0 ? [`and ${more} more`] : [])].join(
    "; ",
  );
}

function renderGroup({ kind, names, action, renamedTo, fields }: Omit<EffectGroup, "count">): string {
  const title = `${kind === "node" ? "" : `${kind} `}${names}`;
  if (action === "renamed") return `${title} renamed ${renamedTo ?? ""}`;
  if (action !== "changed" || fields.length === 0) return `${title} ${action}`;
  const more = fields.length - MOST_PATHS;
  return `${title}: ${[...fields.slice(0, MOST_PATHS), ...(more > 0 ? [`and ${more} more`] : [])].join(", ")}`;
}
