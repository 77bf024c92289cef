import { createHash } from "node:crypto";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import {
  DriftPolicy,
  type ManifestEntry,
  type Reaction,
  RuntimeManifest,
} from "#proto/gen/muster/v1/overlay.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { hostPathsAt } from "../../host-paths.ts";
import { openContentStore } from "../content-store.ts";
import {
  type ConvergeOutcome,
  type ConvergeRequest,
  convergeOverlay,
  type OverlayParts,
} from "../converge-overlay.ts";
import { openXattrTool } from "../extended-attributes.ts";
import { type NodeDisk, openNodeDisk } from "../node-disk.ts";
import { parseManifest } from "../parse-manifest.ts";
import { openStateFiles } from "../state-files.ts";

/** An overlay as a test writes it: by path, a file's text, or more. */
export type Wanted = Readonly<Record<string, string | Partial<WantedEntry>>>;

interface WantedEntry {
  readonly file: string | Buffer;
  readonly linkTo: string;
  readonly directory: true;
  readonly gone: true;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: Record<string, string>;
  /** A deletion comes before it. */
  readonly clears: boolean;
}

export interface WantedOptions {
  readonly reactions?: readonly Reaction[];
  readonly reportOnly?: boolean;
}

/** A manifest with its contents. */
export interface TestOverlay {
  readonly digest: string;
  readonly manifest: Buffer;
  readonly contents: ReadonlyMap<string, Buffer>;
}

export function overlayOf(
  wanted: Wanted,
  { reactions = [], reportOnly = false }: WantedOptions = {},
): TestOverlay {
  const contents = new Map<string, Buffer>();
  const entries = Object.entries(wanted).flatMap(([path, value]): ManifestEntry[] => {
    const {
      mode,
      uid = 0,
      gid = 0,
      xattrs = {},
      clears = false,
      ...what
    } = typeof value === "string" ? { file: value } : value;
    const kind = kindOf(what, contents);
    const entry = {
      path,
      mode: mode ?? (kind?.$case === "directory" ? 0o755 : 0o644),
      uid,
      gid,
      xattrs: Object.fromEntries(Object.entries(xattrs).map(([name, text]) => [name, Buffer.from(text)])),
      kind,
    };
    return clears ? [{ ...entry, kind: { $case: "deletion", value: true } }, entry] : [entry];
  });
  const manifest = Buffer.from(
    RuntimeManifest.encode({
      entries,
      reactions: [...reactions],
      driftPolicy: reportOnly ? DriftPolicy.REPORT : DriftPolicy.REPAIR,
    }).finish(),
  );
  return { digest: sha256(manifest), manifest, contents };
}

function kindOf(
  { file, linkTo, directory, gone }: Partial<WantedEntry>,
  contents: Map<string, Buffer>,
): ManifestEntry["kind"] {
  if (linkTo !== undefined) return { $case: "symlinkTarget", value: linkTo };
  if (directory !== undefined) return { $case: "directory", value: true };
  if (gone !== undefined) return { $case: "deletion", value: true };
  const content = Buffer.from(file ?? "");
  const digest = sha256(content);
  contents.set(digest, content);
  return { $case: "file", value: { digest, sizeBytes: content.length } };
}

function sha256(content: Uint8Array): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** A node's root file system in a temporary directory, with an overlay on it. */
export interface OverlayNode extends AsyncDisposable {
  readonly root: string;
  readonly parts: OverlayParts;
  readonly log: string[];
  /** With the same root, another disk: what an agent that is started anew has. */
  readonly withDisk: (wrap: (disk: NodeDisk) => NodeDisk) => OverlayParts;
  /** What stands there before any overlay: texts, links, directories; modes and owners as given. */
  readonly lay: (tree: Wanted) => Promise<void>;
  readonly apply: (overlay: TestOverlay, parts?: OverlayParts) => Promise<ConvergeOutcome>;
  /** No controller answers. */
  readonly look: (parts?: OverlayParts) => Promise<ConvergeOutcome>;
  /** Every path but the state directory: "file 0644 0:0 text". */
  readonly tree: () => Promise<Record<string, string>>;
}

const never = new AbortController().signal;

export async function makeOverlayNode(directory = tmpdir()): Promise<OverlayNode> {
  const root = await mkdtemp(join(directory, "muster-node-"));
  await mkdir(join(root, "var/lib"), { recursive: true });
  const log: string[] = [];
  const say = (line: string): void => void log.push(line);
  const withDisk = (wrap: (disk: NodeDisk) => NodeDisk): OverlayParts => makeOverlayParts(root, say, wrap);
  const parts = withDisk((same) => same);
  return {
    root,
    parts,
    log,
    withDisk,
    lay: async (tree) => {
      for (const [path, value] of Object.entries(tree)) await layOne(join(root, path), value);
    },
    apply: (overlay, on = parts) => convergeOverlay(on, requestOf(overlay, on), never),
    look: (on = parts) =>
      convergeOverlay(
        on,
        { fetch: async (lacking) => new Map(lacking.map(({ digest }) => [digest, "no controller answers"])) },
        never,
      ),
    tree: () => readTree(root),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

/** The overlay of a root directory, on the real disk or on one that is wrapped around it. */
export function makeOverlayParts(
  root: string,
  log: (line: string) => void,
  wrap: (disk: NodeDisk) => NodeDisk = (same) => same,
): OverlayParts {
  const paths = { ...hostPathsAt(root), mountInfo: "/proc/self/mountinfo" };
  const disk = wrap(
    openNodeDisk(
      openXattrTool(paths, (command) => runCommandUnchecked(command)),
      paths.mountInfo,
      paths.overlayState,
    ),
  );
  const files = openStateFiles(disk, paths.overlayState);
  return {
    host: { root, paths, disk, now: Date.now, log, run: runCommandUnchecked },
    files,
    contents: openContentStore(disk, files.contents),
  };
}

export function requestOf(overlay: TestOverlay, parts: OverlayParts): ConvergeRequest {
  return {
    update: { digest: overlay.digest, wanted: parseManifest(RuntimeManifest.decode(overlay.manifest)) },
    fetch: async (lacking) => {
      const missing = new Map<string, string>();
      for (const { digest } of lacking) {
        const content = overlay.contents.get(digest);
        if (content === undefined) missing.set(digest, "the test has none");
        else await parts.contents.store(digest, content);
      }
      return missing;
    },
  };
}

async function layOne(path: string, value: Wanted[string]): Promise<void> {
  const {
    file = "",
    linkTo,
    directory,
    mode,
    uid,
    gid,
  } = typeof value === "string" ? { file: value } : value;
  await mkdir(dirname(path), { recursive: true });
  if (linkTo !== undefined) return symlink(linkTo, path);
  if (directory !== undefined) await mkdir(path, { recursive: true });
  else await writeFile(path, file);
  if (uid !== undefined || gid !== undefined) await chown(path, uid ?? 0, gid ?? 0);
  await chmod(path, mode ?? (directory === undefined ? 0o644 : 0o755));
}

export async function readTree(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const walk = async (directory: string): Promise<void> => {
    for (const name of (await readdir(join(root, directory))).toSorted()) {
      const path = `${directory}/${name}`;
      if (path === "/var" || path === "/run") continue;
      const stats = await lstat(join(root, path));
      const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
      const about = `${mode} ${stats.uid}:${stats.gid}`;
      if (stats.isSymbolicLink())
        found[path] = `link ${stats.uid}:${stats.gid} ${await readlink(join(root, path))}`;
      else if (stats.isDirectory()) {
        found[path] = `directory ${about}`;
        await walk(path);
      } else {
        const content = await readFile(join(root, path));
        found[path] = `file ${about} ${content.length > 100 ? sha256(content) : content.toString()}`;
      }
    }
  };
  await walk("");
  return found;
}
