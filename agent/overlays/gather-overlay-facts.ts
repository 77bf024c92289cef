import { basename, dirname } from "node:path";

import { ABSENT, type NodeDisk, type PathStat } from "./node-disk.ts";
import { ancestorsOf } from "./parse-manifest.ts";
import { type Mount, parseMountInfo } from "./parse-mount-info.ts";
import { openResolver, type PlaceResolver } from "./resolve-places.ts";
import { type RuntimeHost, rightKey } from "./runtime-host.ts";
import type { AppliedOverlay, Fingerprints, WantedPath } from "./runtime-state.ts";

/** What is at a place now. */
export interface PlaceFacts extends PathStat {
  readonly place: string;
  /** Why nobody can tell where the path is, or why it is not gone there; the rest of the facts are of nothing then. */
  readonly obstacle?: string;
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
  const resolve = openResolver(host);
  const found = await eachOf(wanted, async (want): Promise<readonly [WantedPath, PlaceFacts]> => {
    const { place, obstacle } = await placeOf(resolve, want);
    if (obstacle !== undefined) return [want, { ...NOTHING_THERE, place, obstacle }];
    return [want, await factsOf(host.disk, place, want, closeness === "cheap" ? fingerprints : {})];
  });
  const facts = await withXattrs(host.disk, found);
  const above = new Set(
    [...[...facts.values()].map(({ place }) => place), ...applied.owned.map(({ place }) => place)].flatMap(
      (place) => ancestorsOf(place).filter((each) => isBelow(each, host.root)),
    ),
  );
  const ancestors = new Map(
    await eachOf([...above], async (place) => [place, await host.disk.lstat(place)] as const),
  );
  const owned = new Map(
    await eachOf(applied.owned, async ({ place }) => {
      // Where a link stands now in place of a directory, what can be seen through it is somebody else's.
      const isGone = ancestorsOf(place).some(
        (each) => (ancestors.get(each)?.type ?? "directory") !== "directory",
      );
      return [place, isGone ? NOTHING_THERE : await host.disk.lstat(place)] as const;
    }),
  );
  const directories = [...facts.values(), ...[...owned].map(([place, stat]) => ({ place, ...stat }))]
    .filter(({ type }) => type === "directory")
    .map(({ place }) => place);
  const strangers = await findStrangers(host.disk, new Set(directories), new Set(owned.keys()));
  const mountInfo = (await host.disk.readFile(host.paths.mountInfo))?.toString("utf8") ?? "";
  return { wanted: facts, owned, ancestors, strangers, mounts: parseMountInfo(mountInfo) };
}

const NOTHING_THERE = {
  ...ABSENT,
  ...{ isKnownRight: false, target: undefined, digest: undefined, xattrs: undefined },
};

/** Directories follow a link to a directory, as /lib -> usr/lib; everything else takes the place of a link. */
async function placeOf(
  resolve: PlaceResolver,
  { path, what }: WantedPath,
): Promise<{ readonly place: string; readonly obstacle?: string }> {
  if (what.kind === "directory") return resolve(path);
  const { place: parent, ...rest } = await resolve(dirname(path));
  return { ...rest, place: parent === "/" ? `/${basename(path)}` : `${parent}/${basename(path)}` };
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
