import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { ExportedNode, RenderedExport } from "./plan-exported-nodes.ts";
import { planExportedGroups } from "./plan-exported-groups.ts";

/** What ClusterShell 1.9 refuses in a name of a group (NodeSet.py), and what it would expand. */
const UNFIT = /[@,!&^*[\]\s\p{Cc}]/u;

/**
 * A file for ClusterShell's groups.d (clustershell-groups(5)): a source for profiles, images, tags and states each, so that its
 * @profile:gpu is muster's, and a source `muster` with the group `all`. Groups it could not be asked for are left out and told.
 */
export function renderClustershell(nodes: readonly ExportedNode[]): RenderedExport {
  const notes: string[] = [];
  const lines = ["muster:", `  all: ${quote(foldNodeSet(nodes.map(({ name }) => name)))}`];
  for (const [source, groups] of planExportedGroups(nodes)) {
    const fit = [...groups].filter(([group]) => {
      if (!UNFIT.test(group)) return true;
      notes.push(`${source} ${group} is left out: ClusterShell cannot name it`);
      return false;
    });
    if (fit.length === 0) continue;
    lines.push(
      `${source}:`,
      ...fit.map(([group, names]) => `  ${quote(group)}: ${quote(foldNodeSet(names))}`),
    );
  }
  return { text: lines.map((line) => `${line}\n`).join(""), notes };
}

/** A double-quoted scalar of YAML is a string of JSON. */
function quote(text: string): string {
  return JSON.stringify(text);
}
