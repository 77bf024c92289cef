import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";
import { isPortableXattr, parseGetfattr, type XattrsByPath } from "./parse-getfattr.ts";
import type { OverlayItem } from "./plan-system-overlay.ts";

/** An overlay with more paths than this is a mistake, or should be an image. */
const MAX_ENTRIES = 50_000;

/** OCI image-spec, "Representing Changes": .wh.NAME deletes NAME, .wh..wh..opq everything in its directory. */
const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

/** Reads overlay trees, and remembers the extended attributes of those that have not changed since. */
export interface OverlayReader {
  /**
   * The tree OVERLAYS/NAME/rootfs as items, without the top directory itself. Links are kept, never followed.
   * Throws `overlay-invalid` with everything that is wrong with the tree, or with the names of the overlays
   * there are when NAME is none of them.
   *
   * `onDirectory` is told of each directory before it is read: who watches it from then on misses nothing.
   */
  read(name: string, onDirectory?: (path: string) => void): Promise<readonly OverlayItem[]>;
}

interface Found {
  /** Path below the root, "/etc/motd". */
  readonly path: string;
  readonly source: string;
  readonly stats: BigIntStats;
}

export function openOverlayReader(overlaysRoot: string): OverlayReader {
  const xattrsOf = new Map<string, { readonly fingerprint: string; readonly xattrs: XattrsByPath }>();

  /** getfattr is a process per tree; while 10,000 nodes boot it is the same tree each time. */
  async function readXattrs(root: string, found: readonly Found[]): Promise<XattrsByPath> {
    const hash = createHash("sha256");
    // ctime: changes with content, owner, mode and attributes, and nobody can set it back.
    for (const { path, stats } of found) hash.update(`${path}\0${stats.ino}\0${stats.ctimeNs}\0`);
    const fingerprint = hash.digest("hex");
    const known = xattrsOf.get(root);
    if (known?.fingerprint === fingerprint) return known.xattrs;
    const xattrs = found.length === 0 ? new Map<string, never>() : await runGetfattr(root);
    xattrsOf.set(root, { fingerprint, xattrs });
    return xattrs;
  }

  return {
    read: async (name, onDirectory = () => undefined) => {
      const root = await findRoot(overlaysRoot, name);
      const findings: string[] = [];
      const found: Found[] = [];
      try {
        await walk(root, "", { found, findings, onDirectory });
        const xattrs = found.length > MAX_ENTRIES ? new Map<string, never>() : await readXattrs(root, found);
        const items = await Promise.all(found.map((each) => itemOf(each, xattrs, findings)));
        if (findings.length === 0) return items.filter((item) => item !== undefined);
      } catch (cause) {
        throw new MusterError({
          code: "overlay-invalid",
          what: `overlay ${name} cannot be read: ${errorSentence(cause)}`,
          fix: (cause instanceof MusterError ? cause.fix : undefined) ?? `check ${root}`,
          cause,
        });
      }
      const shown = findings.slice(0, 20);
      const more = findings.length - shown.length;
      throw new MusterError({
        code: "overlay-invalid",
        what: `overlay ${name}: ${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`,
        fix: `correct it in ${root}`,
      });
    },
  };
}

async function findRoot(overlaysRoot: string, name: string): Promise<string> {
  const root = join(overlaysRoot, name, "rootfs");
  if (isOverlayName(name) && (await isDirectory(root))) return root;
  const entries = await readdir(overlaysRoot).catch(() => []);
  const names: string[] = [];
  for (const entry of entries.filter(isOverlayName).sort()) {
    if (await isDirectory(join(overlaysRoot, entry, "rootfs"))) names.push(entry);
  }
  throw new MusterError({
    code: "overlay-invalid",
    what: `there is no overlay ${JSON.stringify(name.slice(0, 100))}`,
    fix:
      names.length === 0
        ? `there is none yet: an overlay is a directory ${overlaysRoot}/NAME/rootfs`
        : `there are: ${names.join(", ")} (in ${overlaysRoot})`,
  });
}

/** One path component that cannot climb. */
function isOverlayName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name);
}

async function isDirectory(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isDirectory() === true;
}

interface Walk {
  readonly found: Found[];
  readonly findings: string[];
  readonly onDirectory: (path: string) => void;
}

async function walk(root: string, below: string, into: Walk): Promise<void> {
  const { found, findings, onDirectory } = into;
  onDirectory(join(root, below));
  const names = await readdir(join(root, below), { encoding: "buffer" });
  for (const bytes of names.sort((a, b) => Buffer.compare(a, b))) {
    const name = bytes.toString("utf8");
    const path = `${below}/${name}`;
    if (!Buffer.from(name, "utf8").equals(bytes)) {
      findings.push(`${JSON.stringify(path)}: the name is not UTF-8`);
      continue;
    }
    if (/[\u0000-\u001f\u007f]/.test(name)) {
      findings.push(`${JSON.stringify(path)}: the name has a control character`);
      continue;
    }
    const source = join(root, path);
    const stats = await lstat(source, { bigint: true });
    found.push({ path, source, stats });
    if (found.length > MAX_ENTRIES) {
      if (findings.length === 0) findings.push(`it has more than ${MAX_ENTRIES} paths`);
      return;
    }
    if (stats.isDirectory()) await walk(root, path, into);
  }
}

async function itemOf(
  { path, source, stats }: Found,
  xattrs: XattrsByPath,
  findings: string[],
): Promise<OverlayItem | undefined> {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const parent = path.slice(0, path.lastIndexOf("/"));
  const common = {
    path,
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    xattrs: Object.fromEntries(
      Object.entries(xattrs.get(source) ?? {}).filter(([attribute]) => isPortableXattr(attribute)),
    ),
  };
  if (name.startsWith(WHITEOUT)) {
    const target = name === OPAQUE ? parent : `${parent}/${name.slice(WHITEOUT.length)}`;
    const hidden = name.slice(WHITEOUT.length);
    if (!stats.isFile() || target === "" || (name !== OPAQUE && /^(\.{0,2}|\.wh\..*)$/.test(hidden))) {
      findings.push(`${path}: not a whiteout: it has to be a plain file ".wh.NAME"`);
      return undefined;
    }
    return { path: target, mode: 0, uid: 0, gid: 0, xattrs: {}, kind: { type: "deletion" } };
  }
  // The agent hands names to setfattr; the plan would be refused on the node, with the machine half up.
  const odd = Object.keys(common.xattrs).find((attribute) => !/^[\w.:-]+$/.test(attribute));
  if (odd !== undefined) findings.push(`${path}: extended attribute ${JSON.stringify(odd)} is not supported`);
  if (stats.isDirectory()) return { ...common, kind: { type: "directory" } };
  if (stats.isSymbolicLink()) {
    const bytes = await readlink(source, { encoding: "buffer" });
    const target = bytes.toString("utf8");
    if (!Buffer.from(target, "utf8").equals(bytes)) findings.push(`${path}: its target is not UTF-8`);
    return { ...common, kind: { type: "symlink", target } };
  }
  if (stats.isFile()) {
    const content = { sourcePath: source, sizeBytes: Number(stats.size) };
    return { ...common, kind: { type: "file", content } };
  }
  const what = stats.isSocket() ? "socket" : stats.isFIFO() ? "named pipe" : "device node";
  findings.push(`${path}: a ${what} cannot be in an overlay`);
  return undefined;
}

/** A host without getfattr is an error: nodes would boot without the capabilities their overlay has, and nobody would know. */
async function runGetfattr(root: string): Promise<XattrsByPath> {
  const { stdout } = await runCommand({
    program: "getfattr",
    args: ["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", "--", root],
  }).catch((cause: unknown) => {
    if (!(cause instanceof MusterError) || cause.code !== "program-missing") throw cause;
    throw new MusterError({
      code: "program-missing",
      what: "getfattr is not installed, and without it nodes would lose the overlay's extended attributes",
      fix: "install the package attr on the controller",
      cause,
    });
  });
  return parseGetfattr(stdout);
}
