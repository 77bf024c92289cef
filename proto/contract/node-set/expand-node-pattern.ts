import { MusterError } from "../muster-error.ts";
import { type NodeName, parseNodeName } from "../node-name.ts";
import type { NamePart } from "./node-expression.ts";
import { MAX_NODE_SET_SIZE, nodeSetInvalid, nodeSetTooLarge } from "./node-set-error.ts";
import { countOf } from "./parse-node-expression.ts";

/** RFC 1035 section 2.3.4. */
const MAX_LABEL = 63;
/** Each is looked for in all names. */
const MAX_MASKS = 1000;

/** Every text a pattern stands for, in order. `text` and `at` are for errors. */
export function expandName(text: string, at: number, parts: readonly NamePart[]): readonly string[] {
  const size = parts.reduce((product, part) => product * sizeOf(part), 1);
  if (size > MAX_NODE_SET_SIZE) throw nodeSetTooLarge(text, at);
  let names = [""];
  for (const part of parts) {
    if (typeof part === "string") {
      for (let i = 0; i < names.length; i += 1) names[i] = (names[i] ?? "") + part;
    } else {
      const numbers = numbersOf(part);
      const longer: string[] = [];
      for (const name of names) for (const number of numbers) longer.push(name + number);
      names = longer;
    }
  }
  return names;
}

/** The node names a pattern without wildcards stands for, in order. */
export function expandNodePattern(text: string, at: number, parts: readonly NamePart[]): readonly NodeName[] {
  const names = expandName(text, at, parts);
  try {
    // Letters, "-" and digits stand at the same places in all of them: when the first is a node name, all are that are no longer.
    parseNodeName(names[0] ?? "");
    if (longestOf(parts) > MAX_LABEL) for (const name of names) parseNodeName(name);
  } catch (cause) {
    const { message, fix } =
      cause instanceof MusterError ? cause : { message: "not a node name", fix: undefined };
    throw nodeSetInvalid(text, at, message, fix);
  }
  return names as readonly NodeName[];
}

/**
 * Whether a pattern surely names nothing twice: the ranges of each bracket go up, and between two brackets stands something
 * else than digits. (Otherwise it may: [1,11][1,11] has 111 twice.)
 */
export function isWithoutRepeats(parts: readonly NamePart[]): boolean {
  let isApart = true;
  for (const part of parts) {
    if (typeof part === "string") isApart ||= /[^0-9]/.test(part);
    else {
      if (!isApart || part.some(({ first }, at) => at > 0 && first <= (part[at - 1]?.last ?? 0)))
        return false;
      isApart = false;
    }
  }
  return true;
}

/** Those of all nodes that look like a pattern with wildcards, in their order: `*` is any text, `?` one character. */
export function matchWildcards(
  text: string,
  at: number,
  parts: readonly NamePart[],
  all: Iterable<NodeName>,
): readonly NodeName[] {
  const masks = expandName(text, at, parts);
  if (masks.length > MAX_MASKS) {
    throw nodeSetInvalid(
      text,
      at,
      `wildcards stand with ${masks.length} numbers in brackets, and at most ${MAX_MASKS} can be looked for`,
      "name fewer numbers, or leave the wildcard out",
    );
  }
  return [...all].filter((name) => masks.some((mask) => isLike(name, mask)));
}

/** Whether a name looks like a mask, as fnmatch(3) without brackets. Goes back to the last "*" only: no mask takes more than the product of both lengths. */
export function isLike(name: string, mask: string): boolean {
  let i = 0;
  let j = 0;
  let star = -1;
  let starAt = 0;
  while (i < name.length) {
    const wanted = mask[j];
    if (wanted === "*") {
      star = j;
      starAt = i;
      j += 1;
    } else if (wanted === "?" || wanted === name[i]) {
      i += 1;
      j += 1;
    } else if (star >= 0) {
      starAt += 1;
      i = starAt;
      j = star + 1;
    } else return false;
  }
  while (mask[j] === "*") j += 1;
  return j === mask.length;
}

function numbersOf(ranges: Exclude<NamePart, string>): readonly string[] {
  const numbers: string[] = [];
  for (const { first, last, step, width } of ranges) {
    for (let number = first; number <= last; number += step) {
      const digits = String(number);
      numbers.push(digits.length < width ? digits.padStart(width, "0") : digits);
    }
  }
  return numbers;
}

function sizeOf(part: NamePart): number {
  return typeof part === "string" ? 1 : part.reduce((sum, range) => sum + countOf(range), 0);
}

function longestOf(parts: readonly NamePart[]): number {
  return parts.reduce(
    (sum, part) =>
      sum +
      (typeof part === "string"
        ? part.length
        : Math.max(...part.map(({ last, width }) => Math.max(width, String(last).length)))),
    0,
  );
}
