import { ancestorsOf } from "./parse-manifest.ts";
import { shownAs } from "./runtime-host.ts";
import type { AppliedOverlay, WantedPath } from "./runtime-state.ts";

/**
 * Paths to do without at first, because what they need can only be seen when something else is gone: what is below
 * a link, a file or a deletion of the overlay as it is applied, and what is in a directory that is to be emptied, or
 * no longer. undefined when all can be done at once.
 */
export function planDetour(
  applied: AppliedOverlay,
  wanted: readonly WantedPath[],
  root: string,
): readonly WantedPath[] | undefined {
  const byPath = new Map(wanted.map((each) => [each.path, each]));
  const before = new Map(applied.wanted.paths.map((each) => [each.path, each]));
  const shown = (place: string): string => shownAs(root, place);
  const inTheWay = applied.owned.flatMap(({ path, place, type, covered }) => {
    const now = byPath.get(path);
    const isStill =
      type === "directory"
        ? covered.kind !== "saved" || (now?.what.kind === "directory" && now.clears)
        : now?.what.kind === type;
    const isToBeEmptied =
      type === "directory" &&
      now?.what.kind === "directory" &&
      now.clears &&
      before.get(path)?.clears !== true;
    return isStill && !isToBeEmptied ? [] : [path, shown(place)];
  });
  const blocking = new Set(inTheWay);
  const blockers = new Set(
    wanted.flatMap(({ path, what }) => {
      const isToggled = what.kind === "directory" && before.get(path)?.what.kind === "directory";
      return [...ancestorsOf(path), ...(isToggled ? [path] : [])].filter((each) => blocking.has(each));
    }),
  );
  const hasOwned = new Set(
    applied.owned.flatMap(({ path, place }) => [path, shown(place)].flatMap(ancestorsOf)),
  );
  for (const { path, clears } of wanted) {
    if (clears && before.get(path)?.clears !== true && hasOwned.has(path)) blockers.add(path);
  }
  if (blockers.size === 0) return undefined;
  return wanted.filter(({ path }) => ![path, ...ancestorsOf(path)].some((each) => blockers.has(each)));
}
