import type { RebootPreviewView } from "../../api/rest/directive-routes.ts";
import { foldAnswers } from "../output/fold-answers.ts";
import { renderTable } from "../output/render-text.ts";

/** `muster reboot --plan`: what would happen, nodes that are alike in one line. */
export function renderRebootPlan(nodes: readonly RebootPreviewView[]): string {
  const rows = foldAnswers(
    nodes.map((preview) => ({ node: preview.node, text: cellsOf(preview).join("\0") })),
  ).map(({ nodes: folded, text }) => [folded, ...text.split("\0")]);
  return renderTable(["NODES", "STATE", "NOW", "NEXT BOOT", "KERNEL", "OVERLAYS"], rows);
}

function cellsOf(preview: RebootPreviewView): readonly string[] {
  const { state, obstacle, now, next, trouble, kernelBefore, overlays } = preview;
  const isSame = now !== undefined && now.image === next?.image && now.version === next.version;
  return [
    obstacle === undefined ? state : `${state}: cannot be asked`,
    now === undefined ? "" : `${now.image} v${now.version}`,
    next === undefined
      ? `nothing: ${trouble?.what ?? "no image"}`
      : isSame
        ? "the same"
        : `${next.image} v${next.version}`,
    next === undefined
      ? ""
      : kernelBefore === undefined
        ? next.kernelRelease
        : `${kernelBefore} -> ${next.kernelRelease}`,
    overlays.join(", "),
  ];
}
