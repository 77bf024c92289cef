import { createHash } from "node:crypto";

import { type Digest, digestOfHex } from "#proto/contract/digest.ts";
import { RuntimeManifest } from "#proto/gen/muster/v1/overlay.ts";
import type { OverlayLibrary } from "./open-overlay-library.ts";
import { planRuntimeManifest } from "./plan-runtime-manifest.ts";
import type { StoredContent } from "./read-overlay-snapshot.ts";

/** The manifest of all nodes with one list of overlays. */
export interface BuiltManifest {
  readonly digest: Digest;
  /** RuntimeManifest, serialized. */
  readonly bytes: Buffer;
  readonly contents: ReadonlyMap<Digest, StoredContent>;
}

/** A manifest, or why there is none. */
type ManifestOrTrouble =
  | { readonly manifest: BuiltManifest; readonly trouble?: never }
  | { readonly manifest?: never; readonly trouble: string };

/** Manifests by list of overlays, built once for all nodes that have the list. */
export interface RuntimeManifests {
  /** The first overlay lowest. `trouble` when one of them never could be read. */
  of(overlays: readonly string[]): ManifestOrTrouble;
  /** What is built with this overlay is built anew when it is asked for. */
  forget(overlay: string): void;
  /** Drops what is built for other lists than these (as {@link listKey} has them). */
  keepOnly(keys: ReadonlySet<string>): void;
}

/** An agent takes messages of 16 MiB, and contents may come with it. This is about 100,000 paths. */
const MAX_MANIFEST_BYTES = 12 * 1024 * 1024;

/** A list of overlays as the key of a map. */
export function listKey(overlays: readonly string[]): string {
  return overlays.join("/");
}

export function openRuntimeManifests(
  library: Pick<OverlayLibrary, "find">,
  onDrift: "repair" | "report",
): RuntimeManifests {
  const built = new Map<
    string,
    { readonly overlays: readonly string[]; readonly result: ManifestOrTrouble }
  >();
  const build = (overlays: readonly string[]): ManifestOrTrouble => {
    const layers = [];
    const contents = new Map<Digest, StoredContent>();
    for (const name of overlays) {
      const state = library.find(name);
      const { snapshot } = state ?? {};
      if (snapshot === undefined)
        return { trouble: state?.trouble?.message ?? `overlay ${name} is still being read` };
      layers.push(snapshot);
      for (const [digest, content] of snapshot.contents) contents.set(digest, content);
    }
    const planned = planRuntimeManifest(layers, onDrift);
    const bytes = Buffer.from(RuntimeManifest.encode(planned).finish());
    if (bytes.length > MAX_MANIFEST_BYTES) {
      const what = `the runtime overlays ${overlays.join(", ")} have ${planned.entries.length} paths together`;
      return { trouble: `${what}, more than fit into a message to a node; put some of them into the image` };
    }
    const digest = digestOfHex(createHash("sha256").update(bytes).digest("hex"));
    // Only what the manifest names: a file that a later overlay covers is nobody's business.
    const named = new Map<Digest, StoredContent>();
    for (const { kind } of planned.entries) {
      if (kind?.$case !== "file") continue;
      const content = contents.get(kind.value.digest as Digest);
      if (content !== undefined) named.set(kind.value.digest as Digest, content);
    }
    return { manifest: { digest, bytes, contents: named } };
  };
  return {
    of: (overlays) => {
      const key = listKey(overlays);
      const known = built.get(key);
      if (known !== undefined) return known.result;
      const result = build(overlays);
      built.set(key, { overlays, result });
      return result;
    },
    forget: (overlay) => {
      for (const [key, { overlays }] of built) if (overlays.includes(overlay)) built.delete(key);
    },
    keepOnly: (keys) => {
      for (const key of built.keys()) if (!keys.has(key)) built.delete(key);
    },
  };
}
