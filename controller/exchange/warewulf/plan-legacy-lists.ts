import type { Fields } from "../../fields/fields.ts";
import { withoutNegated } from "../../fields/merge-fields.ts";
import type { FormatVersion } from "./parse-nodes-conf.ts";

type ListName = "kernelArguments" | "overlays" | "runtimeOverlays";

/** A list of a node that had to change so that the node keeps what it has. */
export interface AdjustedList {
  readonly list: ListName;
  readonly own: readonly string[];
  /** It comes out with the same words, but in another order. */
  readonly isReordered: boolean;
}

/**
 * Which lists the later of profiles and node replaced in a version; since 4.6 all of them append. Until 4.4 overlays
 * (Entry.SetAltSlice, GetSlice), until 4.5 kernel arguments, which were one line of text.
 */
export function replacingLists(version: FormatVersion): readonly ListName[] {
  if (version === "4.6" || version === "4.7") return [];
  return version === "4.5" ? ["kernelArguments"] : ["kernelArguments", "overlays", "runtimeOverlays"];
}

/**
 * Says a node's lists so that appending gives what replacing gave: "~x" for what profiles add and the node did not have.
 *
 * `isSaid`: whether the node had a list of its own, of which nothing may be left.
 *
 * profiles say [quiet, splash], the node says [quiet, debug]: own is [~splash, debug], effective [quiet, debug]
 */
export function planLegacyLists(
  own: Fields,
  profiles: ReadonlyMap<string, Fields>,
  lists: readonly ListName[],
  isSaid: (list: ListName) => boolean = (list) => own[list] !== undefined,
): readonly AdjustedList[] {
  return lists.flatMap((list) => {
    const said = (own.profiles ?? []).map((name) => profiles.get(name)?.[list] ?? []);
    const mine = own[list] ?? [];
    const wanted = isSaid(list) ? mine : (said.findLast((words) => words.length > 0) ?? []);
    const inherited = said.flat();
    const once = list === "kernelArguments" ? firstOfEach : lastOfEach;
    const isWanted = (words: readonly string[]): boolean => isSame(once(words), once(wanted));
    if (isWanted(withoutNegated([...inherited, ...mine]))) return [];
    const adjusted = [
      ...new Set(inherited.filter((word) => !wanted.includes(word)).map((word) => `~${word}`)),
      ...wanted.filter((word) => !inherited.includes(word)),
    ];
    return [{ list, own: adjusted, isReordered: !isWanted(withoutNegated([...inherited, ...adjusted])) }];
  });
}

/** Said twice, an argument means what it means once. */
function firstOfEach(words: readonly string[]): readonly string[] {
  return [...new Set(words)];
}

/** Of an overlay that is named twice, the last place counts. */
function lastOfEach(words: readonly string[]): readonly string[] {
  return words.filter((word, at) => words.lastIndexOf(word) === at);
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((word, at) => word === b[at]);
}
