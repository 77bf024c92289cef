import { foldNodeSet } from "#proto/contract/node-set.ts";

import type { RenderedExport } from "./plan-exported-nodes.ts";

/** Whose mpirun reads the file: Open MPI has "c001 slots=64", MPICH and its kin "c001:64" (Hydra process manager). */
export type MpiForm = "openmpi" | "mpich";

/**
 * A host file of MPI: a node on each line, with as many slots as it has cores. Threads of a core do not count, as they do not in
 * Open MPI's own defaults. A node whose hardware is not known has no number, and mpirun decides.
 */
export function renderMpiHosts(
  names: readonly string[],
  cores: ReadonlyMap<string, number>,
  form: MpiForm,
): RenderedExport {
  const unknown = names.filter((name) => !cores.has(name));
  const lines = names.map((name) => {
    const slots = cores.get(name);
    if (slots === undefined) return `${name}\n`;
    return form === "openmpi" ? `${name} slots=${slots}\n` : `${name}:${slots}\n`;
  });
  return {
    text: lines.join(""),
    notes:
      unknown.length === 0
        ? []
        : [`${foldNodeSet(unknown)}: hardware is not known yet, so mpirun counts slots`],
  };
}
