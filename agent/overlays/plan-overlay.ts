import { MusterError } from "#proto/contract/muster-error.ts";
import type { Blob, OverlayEntry } from "#proto/gen/muster/v1/provisioning.ts";

/** Owner, permissions and extended attributes of a path. */
export interface OverlayAttributes {
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: readonly { readonly name: string; readonly value: Uint8Array }[];
}

/** One step of applying an overlay. `path` is absolute on the node. */
export type OverlayStep =
  | {
      readonly kind: "file";
      readonly path: string;
      readonly content: { readonly inline: Uint8Array } | { readonly blob: Blob };
      readonly attributes: OverlayAttributes;
    }
  | {
      readonly kind: "symlink";
      readonly path: string;
      readonly target: string;
      readonly attributes: OverlayAttributes;
    }
  | { readonly kind: "directory"; readonly path: string; readonly attributes: OverlayAttributes }
  | { readonly kind: "delete"; readonly path: string };

/** Turns the entries of a boot plan into steps, in their order. Throws `overlay-invalid` naming every bad entry. */
export function planOverlay(entries: readonly OverlayEntry[]): readonly OverlayStep[] {
  const bad = entries.flatMap((entry) => {
    const reason = faultOf(entry);
    return reason === undefined ? [] : [`${JSON.stringify(entry.path)} ${reason}`];
  });
  if (bad.length > 0) {
    throw new MusterError({
      code: "overlay-invalid",
      what: `the system overlay has entries that cannot be applied: ${bad.join("; ")}`,
      fix: "correct the overlay on the controller and restart the node",
    });
  }
  return entries.map(stepOf);
}

/** The blobs a plan's overlay needs, each once. */
export function listOverlayBlobs(steps: readonly OverlayStep[]): readonly Blob[] {
  const blobs = steps.flatMap((step) =>
    step.kind === "file" && "blob" in step.content ? [step.content.blob] : [],
  );
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}

function faultOf(entry: OverlayEntry): string | undefined {
  const { path, kind } = entry;
  if (!path.startsWith("/") || path.includes("\0")) return "is not an absolute path";
  const components = path.split("/").slice(1);
  if (path !== "/" && components.some((each) => each === "" || each === "." || each === "..")) {
    return "has an empty, '.' or '..' component";
  }
  if (kind === undefined) return "says neither file, link, directory nor deletion";
  if (path === "/" && kind.$case !== "directory") return "is the root directory";
  if (kind.$case === "symlinkTarget" && (kind.value === "" || kind.value.includes("\0"))) {
    return "is a link to nowhere";
  }
  // setfattr(1) takes names as arguments; the kernel's namespaces are the only ones there are (xattr(7)).
  const names = Object.keys(entry.xattrs);
  const odd = names.find((name) => !/^(user|security|system|trusted)\.[\w.:-]+$/.test(name));
  return odd === undefined ? undefined : `has the extended attribute ${JSON.stringify(odd)}`;
}

function stepOf(entry: OverlayEntry): OverlayStep {
  const { path, kind } = entry;
  const attributes: OverlayAttributes = {
    mode: entry.mode & 0o7777,
    uid: entry.uid,
    gid: entry.gid,
    xattrs: Object.entries(entry.xattrs).map(([name, value]) => ({ name, value })),
  };
  switch (kind?.$case) {
    case "inlineFile":
      return { kind: "file", path, content: { inline: kind.value }, attributes };
    case "blobFile":
      return { kind: "file", path, content: { blob: kind.value }, attributes };
    case "symlinkTarget":
      return { kind: "symlink", path, target: kind.value, attributes };
    case "directory":
      return { kind: "directory", path, attributes };
    case "deletion":
      return { kind: "delete", path };
    case undefined:
      throw new Error("entries are validated before they become steps");
    default:
      return kind satisfies never;
  }
}
