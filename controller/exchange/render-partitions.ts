import { closestWords } from "#proto/contract/closest-words.ts";
import { MusterError } from "#proto/contract/muster-error.ts";

import { foldForSlurm } from "../hardware/plan-slurm-conf.ts";
import type { ExportedNode, RenderedExport } from "./plan-exported-nodes.ts";

/**
 * PartitionName lines of slurm.conf(5), one for each of the profiles, with the nodes that have it. Limits and defaults of
 * partitions are the site's. `profile-unknown` when no node has a profile.
 */
export function renderPartitions(nodes: readonly ExportedNode[], wanted: readonly string[]): RenderedExport {
  const known = new Set(nodes.flatMap(({ profiles }) => profiles));
  const lines = wanted.map((profile) => {
    const names = nodes.filter(({ profiles }) => profiles.includes(profile)).map(({ name }) => name);
    if (names.length > 0) return `PartitionName=${profile} Nodes=${foldForSlurm(names)}\n`;
    const [meant] = closestWords(profile, known);
    throw new MusterError({
      code: "profile-unknown",
      what: `--partition ${profile}: no node whose hardware is known has such a profile`,
      fix: meant === undefined ? "`muster profile list` shows all profiles" : `did you mean ${meant}?`,
    });
  });
  return { text: lines.join(""), notes: [] };
}
