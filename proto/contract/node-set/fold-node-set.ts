import { compareNodeNames, digitsEnd, isDigit } from "./compare-node-names.ts";
import { MAX_DIGITS } from "./parse-node-expression.ts";

/**
 * The usual spelling of a set of names, as ClusterShell 1.9 folds it: `parseNodeSet` reads it back to exactly these names.
 * The order of `names` does not matter; the result is in natural order (c2 before c10). No names fold to "", which is
 * not a node set. Steps are not used: c[1,3,5] stays as it is.
 *
 * Numbers stand by their digits, then by value: c[1-2,10,01-02]. A range of padded numbers keeps its width ([08-99,100]), one
 * of others runs on ([8-11]). Of names with several numbers the last folds first, then the one before it where the rest is
 * the same; nothing is named that was not given.
 */
export function foldNodeSet(names: Iterable<string>): string {
  const patterns = new Map<string, Pattern>();
  let pattern: Pattern | undefined;
  for (const name of names) {
    // Names that stand together mostly look alike: then nothing is cut out of them.
    if (pattern !== undefined && isAdded(pattern, name)) continue;
    pattern = patternOf(name, patterns);
    if (!isAdded(pattern, name)) throw new Error(`${name} does not look like itself`);
  }
  const items: { readonly first: string; readonly text: string }[] = [];
  for (const { literals, numbers } of patterns.values()) {
    for (const { first, text } of foldNumbers(numbers, literals, 0)) items.push({ first, text });
  }
  items.sort((a, b) => compareNodeNames(a.first, b.first));
  return items.map((item) => item.text).join(",");
}

/**
 * The numbers at one place of a pattern: a number is a code (see {@link codeOf}). At the last place they are a list; before it
 * each leads to the numbers at the next place.
 */
type Numbers = { readonly codes: number[] } | { readonly next: Map<number, Numbers> };

/** Names that differ in their numbers only: "r1n01" has the literals "r", "n" and "", one more than numbers. */
interface Pattern {
  readonly literals: readonly string[];
  readonly numbers: Numbers;
  /** Where the name before went: names that stand together mostly differ in the last number. */
  readonly path: number[];
  codes: number[];
}

function patternOf(name: string, patterns: Map<string, Pattern>): Pattern {
  const literals = splitLiterals(name);
  const key = literals.join("\0");
  const known = patterns.get(key);
  if (known !== undefined) return known;
  const codes: number[] = [];
  const numbers = literals.length <= 2 ? { codes } : { next: new Map<number, Numbers>() };
  // Without a path the first name of several numbers looks for its own.
  const pattern = { literals, numbers, path: literals.slice(2).map(() => Number.NaN), codes };
  patterns.set(key, pattern);
  return pattern;
}

/** Adds the numbers of a name that looks like the pattern; false when it does not. */
function isAdded(pattern: Pattern, name: string): boolean {
  const { literals, path } = pattern;
  const last = literals.length - 1;
  let at = 0;
  let isSamePath = true;
  let code = 0;
  for (let place = 0; place < last; place += 1) {
    const literal = literals[place] ?? "";
    const start = at + literal.length;
    const end = name.startsWith(literal, at) ? digitsEnd(name, start) : start;
    if (end === start || end - start > MAX_DIGITS) return isOther(pattern);
    code = codeOf(name, start, end);
    at = end;
    if (place < last - 1 && path[place] !== code) {
      isSamePath = false;
      path[place] = code;
    }
  }
  const rest = literals[last] ?? "";
  if (name.length - at !== rest.length || !name.endsWith(rest)) return isOther(pattern);
  if (!isSamePath) pattern.codes = codesAt(pattern);
  pattern.codes.push(code);
  return true;
}

/** The name was another pattern's: the path may have parts of it. */
function isOther(pattern: Pattern): false {
  pattern.path.fill(Number.NaN);
  return false;
}

/** The list of last numbers to which the path leads. */
function codesAt({ numbers, path }: Pattern): number[] {
  let at = numbers;
  for (const [place, code] of path.entries()) {
    if ("codes" in at) break;
    let next = at.next.get(code);
    if (next === undefined) {
      next = place === path.length - 1 ? { codes: [] } : { next: new Map() };
      at.next.set(code, next);
    }
    at = next;
  }
  return "codes" in at ? at.codes : [];
}

const POWERS = Array.from({ length: MAX_DIGITS + 1 }, (_, width) => 10 ** width);

/** Digits as a number that keeps leading zeros and sorts by length, then value: "007" is 1007. Exact: below 2 * 10^15. */
function codeOf(text: string, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at += 1) value = value * 10 + text.charCodeAt(at) - 48;
  return value + (POWERS[end - start] ?? 0);
}

function digitsOf(code: number): string {
  return String(code).slice(1);
}

/** What a pattern folds to from one place on, and the first name of it. */
interface Folded {
  readonly first: string;
  readonly text: string;
}

function foldNumbers(numbers: Numbers, literals: readonly string[], place: number): readonly Folded[] {
  const before = literals[place] ?? "";
  if ("codes" in numbers) {
    const after = literals[place + 1];
    if (after === undefined) return [{ first: before, text: before }];
    return [foldCodes(before, numbers.codes, { first: after, text: after })];
  }
  const alike = new Map<string, { readonly rest: Folded; readonly codes: number[] }>();
  for (const [code, next] of numbers.next) {
    for (const rest of foldNumbers(next, literals, place + 1)) {
      const others = alike.get(rest.text);
      if (others === undefined) alike.set(rest.text, { rest, codes: [code] });
      else others.codes.push(code);
    }
  }
  return [...alike.values()].map(({ rest, codes }) => foldCodes(before, codes, rest));
}

function foldCodes(before: string, codes: readonly number[], after: Folded): Folded {
  const sorted = Float64Array.from(codes).sort();
  const ranges: string[] = [];
  let count = 0;
  for (let i = 0; i < sorted.length; ) {
    const start = sorted[i] ?? 0;
    let end = start;
    i += 1;
    for (; i < sorted.length; i += 1) {
      const code = sorted[i] ?? 0;
      if (!runsOn(code, start, end)) break;
      end = code;
    }
    count += start === end ? 1 : 2;
    ranges.push(start === end ? digitsOf(start) : `${digitsOf(start)}-${digitsOf(end)}`);
  }
  const text = count === 1 ? (ranges[0] ?? "") : `[${ranges.join(",")}]`;
  return { first: before + digitsOf(sorted[0] ?? 0) + after.first, text: before + text + after.text };
}

/** What comes after the codes of 9, 99, 999 when their range has no leading zeros: those of 10, 100, 1000. */
const AFTER_NINES = new Map(POWERS.map((power) => [2 * power - 1, 11 * power]));

/** Whether a code continues the range from `start` to `end`. A range that began with a zero, as 08-99 did, keeps its width. */
function runsOn(code: number, start: number, end: number): boolean {
  if (code === end + 1 || code === end) return true;
  return code === AFTER_NINES.get(end) && (start < 20 || !digitsOf(start).startsWith("0"));
}

/** What stands around the numbers of a name; numbers too long to count with are part of it. */
function splitLiterals(name: string): readonly string[] {
  const literals: string[] = [];
  let start = 0;
  for (let at = 0; at < name.length; ) {
    if (!isDigit(name.charCodeAt(at))) {
      at += 1;
      continue;
    }
    const end = digitsEnd(name, at);
    if (end - at <= MAX_DIGITS) {
      literals.push(name.slice(start, at));
      start = end;
    }
    at = end;
  }
  literals.push(name.slice(start));
  return literals;
}
