import { MusterError } from "#proto/contract/muster-error.ts";

import type { NodeOverlay } from "../../overlays/serve-runtime-overlays.ts";
import type { ApiDependencies } from "./api-dependencies.ts";

/** One line about what is wrong with a node's runtime overlay, for lists of nodes; undefined: nothing is. */
export function overlayTrouble(status: NodeOverlay | undefined): string | undefined {
  const { verdict, report } = status ?? {};
  if (report === undefined) return undefined;
  switch (verdict) {
    case "failed":
      return report.failure?.what;
    case "drifted":
      return `changed on the node: ${report.drift.find(({ repaired }) => !repaired)?.path ?? ""}`;
    case "reaction-failed": {
      const failed = report.reactions.find(({ failure }) => failure !== "");
      return `${failed?.command ?? ""}: ${failed?.failure ?? ""}`;
    }
    default:
      return undefined;
  }
}

/** Refuses overlays that are none of this controller's, with those there are. */
export async function refuseUnknownOverlays(
  deps: Pick<ApiDependencies, "listOverlays">,
  fields: readonly { readonly overlays: readonly string[]; readonly runtimeOverlays: readonly string[] }[],
): Promise<void> {
  const wanted = [
    ...new Set(fields.flatMap(({ overlays, runtimeOverlays }) => [...overlays, ...runtimeOverlays])),
  ];
  if (wanted.length === 0) return;
  const there = (await deps.listOverlays()).map(({ name }) => name);
  const unknown = wanted.filter((name) => !there.includes(name));
  if (unknown.length === 0) return;
  throw new MusterError({
    code: "overlay-unknown",
    what: `there is no overlay ${unknown.map((name) => JSON.stringify(name)).join(", ")}`,
    fix:
      there.length === 0
        ? "there is none yet: make NAME/rootfs below paths.overlays (docs/overlays.md)"
        : `there are: ${there.join(", ")}`,
  });
}
