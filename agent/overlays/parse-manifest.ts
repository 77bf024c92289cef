import { MusterError } from "#proto/contract/muster-error.ts";
import { DriftPolicy, type ManifestEntry, type RuntimeManifest } from "#proto/gen/muster/v1/overlay.ts";

import type { WantedOverlay, WantedPath, WantedWhat } from "./runtime-state.ts";

const DEFAULT_DEADLINE_SECONDS = 30;
/** An hour: a reaction that takes longer is no reaction. */
const MOST_DEADLINE_SECONDS = 3600;
/** path_max(7), less what the state directory needs. */
const MOST_PATH_BYTES = 4000;
const MOST_NAME_BYTES = 255;
/** setfattr(1) reads names from its input; the kernel's namespaces are the only ones there are (xattr(7)). */
const XATTR_NAME = /^(user|security|system|trusted)\.[\w.:-]+$/;

/**
 * Turns a manifest into what is wanted, one item per path, in the manifest's order. A deletion before something
 * else at the same path becomes `clears`. Throws `overlay-invalid` naming every bad entry.
 */
export function parseManifest(manifest: RuntimeManifest): WantedOverlay {
  const faults = manifest.entries.flatMap((entry) => {
    const fault = faultOf(entry);
    return fault === undefined ? [] : [`${JSON.stringify(entry.path)} ${fault}`];
  });
  const paths = faults.length === 0 ? mergeDeletions(manifest.entries) : [];
  faults.push(...faultsBetween(paths));
  if (faults.length > 0) {
    throw new MusterError({
      code: "overlay-invalid",
      what: `the runtime overlay has entries that cannot be applied: ${faults.slice(0, 10).join("; ")}`,
      fix: "correct the overlay on the controller",
    });
  }
  return {
    paths,
    reactions: manifest.reactions.map(({ globs, command, deadlineSeconds }) => ({
      globs,
      command,
      deadlineSeconds: Math.min(MOST_DEADLINE_SECONDS, deadlineSeconds || DEFAULT_DEADLINE_SECONDS),
    })),
    policy: manifest.driftPolicy === DriftPolicy.REPORT ? "report" : "repair",
  };
}

function faultOf({ path, kind, xattrs, mode }: ManifestEntry): string | undefined {
  if (!path.startsWith("/") || path.includes("\0")) return "is not an absolute path";
  const components = path.split("/").slice(1);
  if (path === "/") return "is the root directory";
  if (components.some((each) => each === "" || each === "." || each === "..")) {
    return "has an empty, '.' or '..' component";
  }
  if (
    Buffer.byteLength(path) > MOST_PATH_BYTES ||
    components.some((each) => Buffer.byteLength(each) > MOST_NAME_BYTES)
  ) {
    return "is too long";
  }
  if (mode > 0o7777) return `has the mode 0${mode.toString(8)}`;
  const odd = Object.keys(xattrs).find((name) => !XATTR_NAME.test(name));
  if (odd !== undefined) return `has the extended attribute ${JSON.stringify(odd)}`;
  if (kind === undefined) return "says neither file, link, directory nor deletion";
  if (kind.$case === "symlinkTarget" && (kind.value === "" || kind.value.includes("\0"))) {
    return "is a link to nowhere";
  }
  if (kind.$case === "file" && !/^sha256:[0-9a-f]{64}$/.test(kind.value.digest)) return "has no digest";
  return undefined;
}

function mergeDeletions(entries: readonly ManifestEntry[]): readonly WantedPath[] {
  const merged = new Map<string, WantedPath>();
  for (const entry of entries) {
    const what = whatOf(entry);
    const before = merged.get(entry.path);
    const { mode, uid, gid } = entry;
    const xattrs = Object.fromEntries(
      Object.entries(entry.xattrs).map(([name, value]) => [name, Buffer.from(value).toString("hex")]),
    );
    merged.set(entry.path, {
      path: entry.path,
      what,
      attributes: { mode, uid, gid, xattrs },
      clears: what.kind === "absent" || before?.clears === true,
    });
  }
  return [...merged.values()];
}

function whatOf({ path, kind }: ManifestEntry): WantedWhat {
  switch (kind?.$case) {
    case "file":
      return { kind: "file", digest: kind.value.digest, sizeBytes: kind.value.sizeBytes };
    case "symlinkTarget":
      return { kind: "symlink", target: kind.value };
    case "directory":
      return { kind: "directory" };
    case "deletion":
      return { kind: "absent" };
    case undefined:
      throw new Error(`${path} is validated before`);
    default:
      return kind satisfies never;
  }
}

/** What lies below another entry must lie in a directory. */
function faultsBetween(paths: readonly WantedPath[]): readonly string[] {
  const kinds = new Map(paths.map(({ path, what }) => [path, what.kind]));
  return paths.flatMap(({ path, what }) => {
    if (what.kind === "absent") return [];
    const ancestor = ancestorsOf(path).find((each) => (kinds.get(each) ?? "directory") !== "directory");
    return ancestor === undefined
      ? []
      : [`${JSON.stringify(path)} is below ${ancestor}, which is no directory in this overlay`];
  });
}

/** "/a/b/c": "/a/b", "/a". */
export function ancestorsOf(path: string): readonly string[] {
  const found: string[] = [];
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
    found.push(path.slice(0, at));
  return found;
}
