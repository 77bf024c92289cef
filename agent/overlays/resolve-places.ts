import { dirname } from "node:path";

import { errorSentence } from "#proto/contract/muster-error.ts";

import { resolveInRoot } from "./resolve-in-root.ts";
import { type RuntimeHost, shownAs } from "./runtime-host.ts";

/** Where a path of the node is, links followed; with an obstacle, `place` is the path as it is written. */
export type PlaceResolver = (path: string) => Promise<{ readonly place: string; readonly obstacle?: string }>;

/** A link that is not root's. */
interface UserLink {
  readonly path: string;
  readonly uid: number;
  /** Absolute in the root. */
  readonly target: string;
}

/**
 * Resolves paths of one look: each link is read once, however many paths lead over it. A link that a user made is followed to
 * what is that user's, and to nothing else: what root writes is not for users to aim (systemd-tmpfiles calls such a
 * way an unsafe path transition).
 */
export function openResolver({ root, disk }: Pick<RuntimeHost, "root" | "disk">): PlaceResolver {
  const links = new Map<string, Promise<{ readonly target: string; readonly uid: number } | undefined>>();
  const readLink = (path: string): Promise<{ readonly target: string; readonly uid: number } | undefined> => {
    const known =
      links.get(path) ??
      disk
        .lstat(path)
        .then(async ({ type, uid }) =>
          type === "symlink" ? { target: await disk.readlink(path), uid } : undefined,
        );
    links.set(path, known);
    return known;
  };
  const shown = (place: string): string => shownAs(root, place);
  /** The owner of a place, or of the directory in which it would be made. */
  const ownerOf = async (place: string): Promise<number> => {
    const { type, uid } = await disk.lstat(place);
    return type === "absent" && place !== root ? ownerOf(dirname(place)) : uid;
  };
  const resolve = async (path: string): ReturnType<PlaceResolver> => {
    const made: UserLink[] = [];
    const place = await resolveInRoot(root, path, async (at) => {
      const link = await readLink(at);
      if (link === undefined) return undefined;
      const { target, uid } = link;
      const from = target.startsWith("/") ? target : `${shown(dirname(at))}/${target}`;
      if (uid !== 0) made.push({ path: at, uid, target: from });
      return target;
    });
    for (const link of made) {
      const end = await resolveInRoot(root, link.target, async (at) => (await readLink(at))?.target);
      const owner = await ownerOf(end);
      if (owner !== link.uid) {
        const why = `${shown(link.path)} is a link of user ${link.uid} to ${shown(end)}, which is user ${owner}'s: it is not followed`;
        return { place: asWritten(root, path), obstacle: why };
      }
    }
    return { place };
  };
  const resolved = new Map<string, ReturnType<PlaceResolver>>();
  return (path) => {
    const known =
      resolved.get(path) ??
      resolve(path).catch((error: unknown) => ({
        place: asWritten(root, path),
        obstacle: errorSentence(error),
      }));
    resolved.set(path, known);
    return known;
  };
}

function asWritten(root: string, path: string): string {
  return root === "/" ? path : `${root}${path}`;
}
