import { MusterError } from "./muster-error.ts";
import { type NodeName, parseNodeName } from "./node-name.ts";

/**
 * No node set may name more nodes than this. It is a hundred times the largest cluster in sight and keeps
 * `c[0-999999999]` from filling the memory of whoever reads it.
 */
export const MAX_NODE_SET_SIZE = 1_000_000;

/** Numbers longer than this are not counted with: they would lose digits as JavaScript numbers. */
const MAX_DIGITS = 15;

/**
 * Reads a folded list of names as Slurm and ClusterShell write it, and expands it in the order written;
 * a name given twice counts once, at its first place.
 *
 * `c[001-003,010],login` : c001 c002 c003 c010 login. `r[1-2]n[01-02]` : r1n01 r1n02 r2n01 r2n02.
 * `c[0-10/5]` : c0 c5 c10. The digits of a range's first number set the width: `[098-101]`, `[8-11]`.
 * Blanks around commas are allowed.
 *
 * Throws `node-set-invalid`, naming the column (from 1), for anything else, for the empty list, for groups
 * (`@rack1`) and for set operators. Format: slurm.conf(5) NodeName; ClusterShell's nodeset(1).
 */
export function parseNodeSet(text: string): readonly NodeName[] {
  const reader: Reader = { text, at: 0 };
  const names = new Set<NodeName>();
  for (;;) {
    skipBlanks(reader);
    const start = reader.at;
    const parts = readItem(reader);
    expandItem(reader, start, parts, names);
    skipBlanks(reader);
    if (reader.at >= text.length) return [...names];
    if (text[reader.at] !== ",") throw invalid(reader, reader.at, "a comma is missing before this name");
    reader.at += 1;
  }
}

/**
 * The shortest usual spelling of a set of names: the inverse of {@link parseNodeSet}, which reads it back to
 * exactly these names. The order of `names` does not matter; the result is in natural order (c2 before c10).
 * No names fold to "", which is not a node set.
 */
export function foldNodeSet(names: Iterable<string>): string {
  const patterns = new Map<string, { readonly literals: readonly string[]; readonly members: Folded[] }>();
  for (const name of new Set(names)) {
    const { literals, numbers } = splitNumbers(name);
    const key = literals.join("\0");
    const pattern = patterns.get(key);
    const member = { ranges: numbers, first: numbers };
    if (pattern === undefined) patterns.set(key, { literals, members: [member] });
    else pattern.members.push(member);
  }
  const items: { readonly first: string; readonly text: string }[] = [];
  for (const { literals, members } of patterns.values()) {
    for (const folded of foldMembers(members, literals.length - 1)) {
      items.push({ first: weave(literals, folded.first), text: weave(literals, folded.ranges) });
    }
  }
  items.sort((a, b) => compareNodeNames(a.first, b.first));
  return items.map((item) => item.text).join(",");
}

/**
 * Natural order of names for people: runs of digits compare as numbers, so c2 < c10 and c01 < c1 < c02.
 * A total order: only equal names compare as 0.
 */
export function compareNodeNames(a: string, b: string): number {
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (isDigit(a.charCodeAt(i)) && isDigit(b.charCodeAt(j))) {
      const endA = digitsEnd(a, i);
      const endB = digitsEnd(b, j);
      const byNumber = compareDigits(a.slice(i, endA), b.slice(j, endB));
      if (byNumber !== 0) return byNumber;
      i = endA;
      j = endB;
    } else {
      const difference = a.charCodeAt(i) - b.charCodeAt(j);
      if (difference !== 0) return difference;
      i += 1;
      j += 1;
    }
  }
  const rest = a.length - i - (b.length - j);
  return rest !== 0 ? rest : a < b ? -1 : a > b ? 1 : 0;
}

interface Reader {
  readonly text: string;
  at: number;
}

/** A piece of one item: text as it is, or the numbers of a bracket in order. */
type Part = string | readonly string[];

function readItem(reader: Reader): readonly Part[] {
  const { text } = reader;
  const parts: Part[] = [];
  const start = reader.at;
  while (reader.at < text.length) {
    const from = reader.at;
    while (reader.at < text.length && /[A-Za-z0-9_.-]/.test(text.charAt(reader.at))) reader.at += 1;
    if (reader.at > from) parts.push(text.slice(from, reader.at));
    const next = text.charAt(reader.at);
    if (next === "[") parts.push(readBracket(reader));
    else if (next === "" || next === "," || isBlank(next)) break;
    else throw refused(reader, next);
  }
  if (parts.length === 0) {
    throw invalid(reader, start, text.trim() === "" ? "no node is named" : "a name is missing here");
  }
  return parts;
}

function refused(reader: Reader, character: string): MusterError {
  if (character === "@") {
    return invalid(reader, reader.at, "groups (@NAME) are not known yet", "name the nodes themselves");
  }
  if (character === "!" || character === "&" || character === "^") {
    return invalid(
      reader,
      reader.at,
      `the set operator "${character}" is not known yet`,
      "name the nodes themselves",
    );
  }
  if (character === "]") return invalid(reader, reader.at, 'this "]" has no "["');
  return invalid(reader, reader.at, `${JSON.stringify(character)} cannot be part of a node name`);
}

function readBracket(reader: Reader): readonly string[] {
  const open = reader.at;
  const close = reader.text.indexOf("]", open);
  if (close < 0) throw invalid(reader, open, 'this "[" has no "]"');
  const numbers: string[] = [];
  let at = open + 1;
  for (const range of reader.text.slice(at, close).split(",")) {
    for (const number of readRange(reader, at, range, numbers.length)) numbers.push(number);
    at += range.length + 1;
  }
  reader.at = close + 1;
  return numbers;
}

/** `7`, `001-064`, `0-10/2`. */
function readRange(reader: Reader, at: number, range: string, soFar: number): readonly string[] {
  const match = /^(\d+)(?:-(\d+)(?:\/(\d+))?)?$/.exec(range.trim());
  const [, first, last = first, step = "1"] = match ?? [];
  if (first === undefined || last === undefined) {
    throw invalid(reader, at, `${JSON.stringify(range)} is no number and no range`, "write [001-064,070]");
  }
  if (Math.max(first.length, last.length, step.length) > MAX_DIGITS) {
    throw invalid(reader, at, `numbers of more than ${MAX_DIGITS} digits are not counted with`);
  }
  const [from, to, by] = [Number(first), Number(last), Number(step)];
  if (by === 0) throw invalid(reader, at, `the step of ${range} is 0`);
  if (to < from) throw invalid(reader, at, `the range ${range} runs backwards`, `write ${last}-${first}`);
  if (last.length > 1 && last.startsWith("0") && last.length !== first.length) {
    throw invalid(
      reader,
      at,
      `the numbers of ${range} differ in width`,
      `write ${first.padStart(last.length, "0")}-${last}`,
    );
  }
  if (soFar + (to - from) / by >= MAX_NODE_SET_SIZE) throw tooMany(reader, at);
  const width = first.length;
  const numbers: string[] = [];
  for (let number = from; number <= to; number += by) numbers.push(String(number).padStart(width, "0"));
  return numbers;
}

function expandItem(reader: Reader, start: number, parts: readonly Part[], into: Set<NodeName>): void {
  const size = parts.reduce((product, part) => product * (typeof part === "string" ? 1 : part.length), 1);
  if (size + into.size > MAX_NODE_SET_SIZE) throw tooMany(reader, start);
  let names = [""];
  for (const part of parts) {
    names =
      typeof part === "string"
        ? names.map((name) => name + part)
        : names.flatMap((name) => part.map((n) => name + n));
  }
  try {
    for (const name of names) into.add(parseNodeName(name));
  } catch (cause) {
    const { message, fix } =
      cause instanceof MusterError ? cause : { message: "not a node name", fix: undefined };
    throw invalid(reader, start, message, fix);
  }
}

/** One or several names of one pattern: a range per number, and the numbers of the first name. */
interface Folded {
  readonly ranges: readonly string[];
  readonly first: readonly string[];
}

/**
 * Folds the last number first, then the one before it among members that are otherwise the same, and so on.
 * Each step merges only members that differ in one number, so the result never names more than it was given.
 */
function foldMembers(members: readonly Folded[], numbers: number): readonly Folded[] {
  let folded = members;
  for (let position = numbers - 1; position >= 0; position -= 1) {
    const alike = new Map<string, Folded[]>();
    for (const member of folded) {
      const key = numbers === 1 ? "" : member.ranges.with(position, "").join("\0");
      const others = alike.get(key);
      if (others === undefined) alike.set(key, [member]);
      else others.push(member);
    }
    folded = [...alike.values()].map((group) => mergeAt(group, position));
  }
  return folded;
}

function mergeAt(group: readonly Folded[], position: number): Folded {
  const [one] = group;
  if (one === undefined) throw new Error("a group has members");
  if (group.length === 1) return one;
  const ranges = rangesOf(group.map((member) => member.ranges[position] ?? ""));
  return {
    ranges: one.ranges.with(position, `[${ranges.map(rangeText).join(",")}]`),
    first: one.first.with(position, ranges[0]?.first ?? ""),
  };
}

interface Range {
  readonly first: string;
  readonly last: string;
  readonly start: number;
}

function rangeText({ first, last }: Range): string {
  return first === last ? first : `${first}-${last}`;
}

/**
 * The ranges of numbers written as `digits`. Numbers of one width of which any has a leading zero count
 * together and never run on into the next width, which Slurm would accept and ClusterShell would not;
 * the others count together whatever their width.
 */
function rangesOf(digits: readonly string[]): readonly Range[] {
  const padded = new Set<number>();
  for (const text of digits) if (text.length > 1 && text.startsWith("0")) padded.add(text.length);
  const byWidth = new Map<number, number[]>();
  for (const text of digits) {
    const width = padded.has(text.length) ? text.length : 0;
    const numbers = byWidth.get(width);
    if (numbers === undefined) byWidth.set(width, [Number(text)]);
    else numbers.push(Number(text));
  }
  const ranges: Range[] = [];
  for (const [width, numbers] of byWidth) {
    const sorted = Float64Array.from(numbers).sort();
    let start = 0;
    for (let i = 1; i <= sorted.length; i += 1) {
      if (i < sorted.length && sorted[i] === (sorted[i - 1] ?? 0) + 1) continue;
      const from = sorted[start] ?? 0;
      ranges.push({
        first: String(from).padStart(width, "0"),
        last: String(sorted[i - 1]).padStart(width, "0"),
        start: from,
      });
      start = i;
    }
  }
  return ranges.sort((a, b) => a.start - b.start || b.first.length - a.first.length);
}

/** "r1n01" : literals "r", "n", ""; numbers "1", "01". One literal more than numbers. */
function splitNumbers(name: string): { readonly literals: string[]; readonly numbers: string[] } {
  const literals: string[] = [];
  const numbers: string[] = [];
  let literalStart = 0;
  for (let i = 0; i < name.length; ) {
    if (!isDigit(name.charCodeAt(i))) {
      i += 1;
      continue;
    }
    const end = digitsEnd(name, i);
    if (end - i <= MAX_DIGITS) {
      literals.push(name.slice(literalStart, i));
      numbers.push(name.slice(i, end));
      literalStart = end;
    }
    i = end;
  }
  literals.push(name.slice(literalStart));
  return { literals, numbers };
}

function weave(literals: readonly string[], numbers: readonly string[]): string {
  return literals.map((literal, i) => literal + (numbers[i] ?? "")).join("");
}

/** By value, then the longer spelling (more leading zeros) first. */
function compareDigits(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+(?=\d)/, ""), b.replace(/^0+(?=\d)/, "")];
  if (x.length !== y.length) return x.length - y.length;
  if (x !== y) return x < y ? -1 : 1;
  return b.length - a.length;
}

function digitsEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && isDigit(text.charCodeAt(end))) end += 1;
  return end;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isBlank(character: string): boolean {
  return character === " " || character === "\t" || character === "\n" || character === "\r";
}

function skipBlanks(reader: Reader): void {
  while (isBlank(reader.text.charAt(reader.at))) reader.at += 1;
}

function tooMany(reader: Reader, at: number): MusterError {
  return invalid(reader, at, `this names more than ${MAX_NODE_SET_SIZE} nodes`);
}

function invalid(reader: Reader, at: number, what: string, fix?: string): MusterError {
  const shown = reader.text.length > 200 ? `${reader.text.slice(0, 200)}...` : reader.text;
  return new MusterError({
    code: "node-set-invalid",
    what: `node set ${JSON.stringify(shown)}, column ${at + 1}: ${what}`,
    fix: fix ?? "write names like c[001-064,070],login",
  });
}
