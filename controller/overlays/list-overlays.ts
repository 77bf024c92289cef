import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** The static overlays there are: every directory NAME with a `rootfs` in it, by name. None when the root is missing. */
export async function listOverlays(
  overlaysRoot: string,
): Promise<readonly { readonly name: string; readonly path: string }[]> {
  const entries = await readdir(overlaysRoot, { withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  const overlays: { name: string; path: string }[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const path = join(overlaysRoot, entry.name, "rootfs");
    const inside = await readdir(path).catch(() => undefined);
    if (inside !== undefined) overlays.push({ name: entry.name, path });
  }
  return overlays.sort((a, b) => (a.name < b.name ? -1 : 1));
}
