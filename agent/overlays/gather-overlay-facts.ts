import { basename, dirname } from "node:path";

import type { NodeDisk, PathStat } from "./node-disk.ts";
import { ancestorsOf } from "./parse-manifest.ts";
import { type Mount, parseMountInfo } from "./parse-mount-info.ts";
import { resolveInRoot } from "./resolve-in-root.ts";
import { type RuntimeHost, rightKey } from "./runtime-host.ts";
import type { AppliedOverlay, Fingerprints, WantedPath } from "./runtime-state.ts";

/** What is at a place now. */
export interface PlaceFacts extends PathStat {
  readonly place: string;
  /** The fingerprint says that what is wanted here is here; nothing below was read then. */
  readonly isKnownRight: boolean;
  readonly target: string | undefined;
  /** Of files that may be right: of others nobody needs it. */
  readonly digest: string | undefined;
  readonly xattrs: Readonly<Record<string, string>> | undefined;
}

/** Everything a plan needs to know of the disk. */
export interface OverlayFacts {
  /** By path of the manifest. */
  readonly wanted: ReadonlyMap<string, PlaceFacts>;
  /** By place, of what the overlay owns. */
  readonly owned: ReadonlyMap<string, PathStat>;
  /** What the directories on the way to the wanted places are. */
  readonly ancestors: ReadonlyMap<string, PathStat>;
  /** For directories that may have to go: a path in them that is not the overlay's. */
  readonly strangers: ReadonlyMap<string, string>;
  readonly mounts: readonly Mount[];
}

/** How closely to look: "cheap" trusts fingerprints, "thorough" reads every file. */
export type Closeness = "cheap" | "thorough";

/** At most this many system calls wait at once: a file server that hangs must not take all of Node's threads for itself. */
const AT_ONCE = 3;

/** Looks at every place that is wanted or owned. */
export async function gatherOverlayFacts(
  host: RuntimeHost,
  applied: AppliedOverlay,
  wanted: readonly WantedPath[],
  fingerprints: Fingerprints,
  closeness: Closeness,
): Promise<OverlayFacts> {
  const resolve = cachedResolver(host);
  const found = await eachOf(wanted, async (want): Promise<readonly [WantedPath, PlaceFacts]> => {
    const place = await placeOf(resolve, want);
    return [want, await factsOf(host.disk, place, want, closeness === "cheap" ? fingerprints : {})];
  });
  const facts = await withXattrs(host.disk, found);
  const owned = new Map(
    await eachOf(applied.owned, async ({ place }) => [place, await host.disk.lstat(place)] as const),
  );
  const above = new Set(
    [...[...facts.values()].map(({ place }) => place), ...owned.keys()].flatMap((place) =>
      ancestorsOf(place).filter((each) => isBelow(each, host.root)),
    ),
  );
  const ancestors = new Map(
    await eachOf([...above], async (place) => [place, await host.disk.lstat(place)] as const),
  );
  const directories = [...facts.values(), ...[...owned].map(([place, stat]) => ({ place, ...stat }))]
    .filter(({ type }) => type === "directory")
    .map(({ place }) => place);
  const strangers = await findStrangers(host.disk, new Set(directories), new Set(owned.keys()));
  const mountInfo = (await host.disk.readFile(host.paths.mountInfo))?.toString("utf8") ?? "";
  return { wanted: facts, owned, ancestors, strangers, mounts: parseMountInfo(mountInfo) };
}

/** Directories follow a link to a directory, as /lib -> usr/lib; everything else takes the place of a link. */
async function placeOf(
  resolve: (path: string) => Promise<string>,
  { path, what }: WantedPath,
): Promise<string> {
  if (what.kind === "directory") return resolve(path);
  const parent = await resolve(dirname(path));
  return parent === "/" ? `/${basename(path)}` : `${parent}/${basename(path)}`;
}

async function factsOf(
  disk: NodeDisk,
  place: string,
  want: WantedPath,
  fingerprints: Fingerprints,
): Promise<PlaceFacts> {
  const stat = await disk.lstat(place);
  const known = fingerprints[place];
  const isKnownRight = known?.fingerprint === stat.fingerprint && known.key === rightKey(want);
  const facts = { ...stat, place, isKnownRight, target: undefined, digest: undefined, xattrs: undefined };
  if (isKnownRight) return facts;
  if (stat.type === "symlink" && want.what.kind === "symlink") {
    return { ...facts, target: await disk.readlink(place) };
  }
  if (stat.type === "file" && want.what.kind === "file" && stat.sizeBytes === want.what.sizeBytes) {
    return { ...facts, digest: await disk.digestOf(place) };
  }
  return facts;
}

/** Attributes are read where the manifest names some, or where a file that had none may have got some. */
async function withXattrs(
  disk: NodeDisk,
  found: readonly (readonly [WantedPath, PlaceFacts])[],
): Promise<ReadonlyMap<string, PlaceFacts>> {
  const doubtful = found.filter(
    ([want, facts]) =>
      !facts.isKnownRight && facts.type === want.what.kind && Object.keys(want.attributes.xattrs).length > 0,
  );
  const xattrs = await disk.readXattrs(doubtful.map(([, { place }]) => place));
  return new Map(
    found.map(([{ path }, facts]) => [path, { ...facts, xattrs: xattrs.get(facts.place) ?? facts.xattrs }]),
  );
}

/** For each directory: something in it, at any depth, that the overlay does not own. */
async function findStrangers(
  disk: NodeDisk,
  directories: ReadonlySet<string>,
  owned: ReadonlySet<string>,
): Promise<ReadonlyMap<string, string>> {
  const strangers = new Map<string, string>();
  // Deepest first: what is below is known when it is asked for.
  const sorted = [...directories].filter((each) => owned.has(each)).toSorted((a, b) => b.length - a.length);
  await eachOf(sorted, async (place) => {
    for (const name of await disk.readdir(place).catch(() => [])) {
      const child = `${place}/${name}`;
      if (owned.has(child) && !strangers.has(child)) continue;
      strangers.set(place, strangers.get(child) ?? child);
      return;
    }
  });
  return strangers;
}

/** Each link is read once in a look, however many paths lead over it. */
function cachedResolver({ root, disk }: RuntimeHost): (path: string) => Promise<string> {
  const links = new Map<string, Promise<string | undefined>>();
  const readLink = (path: string): Promise<string | undefined> => {
    const known =
      links.get(path) ??
      disk.lstat(path).then(({ type }) => (type === "symlink" ? disk.readlink(path) : undefined));
    links.set(path, known);
    return known;
  };
  const resolved = new Map<string, Promise<string>>();
  return (path) => {
    const known = resolved.get(path) ?? resolveInRoot(root, path, readLink);
    resolved.set(path, known);
    return known;
  };
}

function isBelow(path: string, root: string): boolean {
  return root === "/" ? path !== "/" : path.startsWith(`${root}/`);
}

async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) {
      results[at] = await work(items[at] as T);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}
