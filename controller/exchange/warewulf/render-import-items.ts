import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { ImportItem } from "./import-item.ts";

/** The same said of several records: once, with all their names and places. */
export interface ImportItemGroup {
  readonly outcome: ImportItem["outcome"];
  readonly kind: ImportItem["kind"];
  /** In the order of the file. */
  readonly names: readonly string[];
  readonly key: string;
  readonly value?: string;
  readonly why: string;
  readonly fix?: string;
  readonly places: readonly { readonly line: number; readonly column: number }[];
}

/** Joins what is the same of several nodes, or of several profiles; in the order in which things were said first. */
export function groupImportItems(items: readonly ImportItem[]): readonly ImportItemGroup[] {
  const groups = new Map<string, { readonly first: ImportItem; readonly all: ImportItem[] }>();
  for (const item of items) {
    const { outcome, kind, key, value, why, fix } = item;
    const same = JSON.stringify([outcome, kind, key, value, why, fix]);
    const group = groups.get(same);
    if (group === undefined) groups.set(same, { first: item, all: [item] });
    else group.all.push(item);
  }
  return [...groups.values()].map(({ first: { outcome, kind, key, value, why, fix }, all }) => ({
    ...{ outcome, kind, key, why },
    ...(value === undefined ? {} : { value }),
    ...(fix === undefined ? {} : { fix }),
    names: [...new Set(all.map(({ name }) => name).filter((name) => name !== ""))],
    places: all.map(({ line, column }) => ({ line, column })),
  }));
}

/**
 * One line for each group, which editors can jump to:
 *
 * nodes.conf:12:9: profile default: system overlay: lustre: muster has no overlay of this name
 *   fix: copy its rootfs to lustre/rootfs below paths.overlays
 */
export function renderImportItems(file: string, groups: readonly ImportItemGroup[]): readonly string[] {
  return groups.flatMap(({ kind, names, key, value, why, fix, places }) => {
    const [place] = places;
    const more = places.length - 1;
    const who = kind === "file" ? [] : [`${kind}${names.length === 1 ? "" : "s"} ${namesOf(kind, names)}`];
    const what = [...who, ...(key === "" ? [] : [key]), ...(value === undefined ? [] : [value]), why];
    return [
      `${file}:${place?.line ?? 1}:${place?.column ?? 1}: ${what.join(": ")}${more > 0 ? ` (and in ${more} more place${more === 1 ? "" : "s"})` : ""}`,
      ...(fix === undefined ? [] : [`  fix: ${fix}`]),
    ];
  });
}

const SHOWN_PROFILES = 5;

function namesOf(kind: ImportItem["kind"], names: readonly string[]): string {
  // Names that muster does not take cannot be folded.
  if (kind === "node")
    return names.every((name) => /^[a-z0-9-]+$/.test(name)) ? foldNodeSet(names) : listOf(names);
  return listOf(names);
}

function listOf(names: readonly string[]): string {
  const more = names.length - SHOWN_PROFILES;
  return `${names.slice(0, SHOWN_PROFILES).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
