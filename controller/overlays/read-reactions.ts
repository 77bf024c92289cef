import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { parseOverlaySettings } from "./parse-overlay-settings.ts";

/** The commands that the overlay.yaml in an overlay's directory names; none when it cannot be read as it is now. */
export async function readReactions(directory: string): Promise<readonly string[]> {
  const text = await readFile(join(directory, "overlay.yaml"), "utf8").catch(() => undefined);
  const { settings } = text === undefined ? {} : parseOverlaySettings(text);
  return [...new Set((settings?.reactions ?? []).map(({ command }) => command))];
}
