import { readFileSync } from "node:fs";

import { convergeOverlay } from "../converge-overlay.ts";
import { makeOverlayParts, overlayOf, requestOf, type Wanted } from "./overlay-node.ts";

/**
 * An agent that is to be killed: applies one overlay after the other to a root, for ever.
 * node kill-me.ts ROOT FILE, the file holding both as JSON.
 */
const [root = "", file = ""] = process.argv.slice(2);
const overlays = (JSON.parse(readFileSync(file, "utf8")) as Wanted[]).map((wanted) => overlayOf(wanted));
const parts = makeOverlayParts(root, () => undefined);
process.stdout.write("ready\n");
for (let turn = 0; ; turn++) {
  const overlay = overlays[turn % 2];
  if (overlay !== undefined)
    await convergeOverlay(parts, requestOf(overlay, parts), new AbortController().signal);
}
