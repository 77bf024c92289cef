import type { MusterError } from "../muster-error.ts";
import type {
  NamePart,
  NodeExpression,
  NodeSetOperand,
  NodeSetOperator,
  NodeSetStep,
  NumberRange,
} from "./node-expression.ts";
import { MAX_NODE_SET_SIZE, nodeSetInvalid, nodeSetTooLarge } from "./node-set-error.ts";

/** Numbers longer than this are not counted with: they would lose digits as JavaScript numbers. */
export const MAX_DIGITS = 15;
/** Deeper parentheses are nobody's node set. */
const MAX_DEPTH = 20;

const NAME_CHARACTER = /[A-Za-z0-9_.*?-]/;
/** Names of profiles, images, tags and their values; blanks and operators are not among them. */
const GROUP_CHARACTER = /[A-Za-z0-9_.*?:=/+~%-]/;

/**
 * Reads a node set as Slurm and ClusterShell write it, without expanding it.
 *
 * Names with numbers in brackets (several, padded, with steps): `r[1-2]n[01-10/3]`. Between two of them `,` or blanks:
 * both; `!`: the left without the right; `&`: what both have; `^`: what only one has. From left to right, no operator
 * before another; parentheses group. `@SOURCE:NAME` and `@NAME` are groups, `*` and `?` wildcards over the nodes there are.
 *
 * Throws `node-set-invalid`, naming the column (from 1). Format: slurm.conf(5) NodeName; ClusterShell's nodeset(1).
 */
export function parseNodeExpression(text: string): NodeExpression {
  const reader: Reader = { text, at: 0, depth: 0 };
  const steps = readSteps(reader);
  if (reader.at < text.length) throw nodeSetInvalid(text, reader.at, 'this ")" has no "("');
  return { text, steps };
}

interface Reader {
  readonly text: string;
  at: number;
  depth: number;
}

/** Up to the end, or to the ")" that ends what is nested. */
function readSteps(reader: Reader): readonly NodeSetStep[] {
  const steps: NodeSetStep[] = [];
  let operator: NodeSetOperator = ",";
  for (;;) {
    skipBlanks(reader);
    steps.push({ operator, operand: readOperand(reader) });
    skipBlanks(reader);
    const next = reader.text.charAt(reader.at);
    if (next === "" || next === ")") return steps;
    // Between two names nothing but blanks: both, as on the command line of nodeset(1).
    operator = isOperator(next) ? next : ",";
    if (isOperator(next)) reader.at += 1;
  }
}

function readOperand(reader: Reader): NodeSetOperand {
  const at = reader.at;
  const first = reader.text.charAt(at);
  if (first === "(") return readNested(reader);
  if (first === "@") return readGroup(reader);
  const parts = readParts(reader, NAME_CHARACTER);
  if (parts.length === 0) throw missingName(reader);
  const hasWildcards = parts.some((part) => typeof part === "string" && /[*?]/.test(part));
  return { kind: "pattern", at, parts, hasWildcards };
}

function readNested(reader: Reader): NodeSetOperand {
  const at = reader.at;
  reader.at += 1;
  reader.depth += 1;
  if (reader.depth > MAX_DEPTH) throw nodeSetInvalid(reader.text, at, "parentheses stand too deep");
  const steps = readSteps(reader);
  if (reader.text.charAt(reader.at) !== ")") throw nodeSetInvalid(reader.text, at, 'this "(" has no ")"');
  reader.at += 1;
  reader.depth -= 1;
  return { kind: "nested", at, steps };
}

function readGroup(reader: Reader): NodeSetOperand {
  const at = reader.at;
  reader.at += 1;
  const parts = readParts(reader, GROUP_CHARACTER);
  const [first = "", ...rest] = parts;
  const colon = typeof first === "string" ? first.indexOf(":") : -1;
  if (typeof first !== "string" || (colon < 0 ? first === "" || rest.length > 0 : colon === 0)) {
    throw nodeSetInvalid(
      reader.text,
      at,
      "a group has no name",
      "write @all, @up, @profile:NAME, @image:NAME, @overlay:NAME, @state:STATE or @tag:KEY=VALUE",
    );
  }
  if (colon < 0) return { kind: "group", at, source: first, name: undefined };
  const name = first.slice(colon + 1);
  return {
    kind: "group",
    at,
    source: first.slice(0, colon),
    name: name === "" ? rest : [name, ...rest],
  };
}

function readParts(reader: Reader, character: RegExp): readonly NamePart[] {
  const { text } = reader;
  const parts: NamePart[] = [];
  for (;;) {
    const from = reader.at;
    while (reader.at < text.length && character.test(text.charAt(reader.at))) reader.at += 1;
    if (reader.at > from) parts.push(text.slice(from, reader.at));
    const next = text.charAt(reader.at);
    if (next === "[") parts.push(readBracket(reader));
    else if (next === "" || next === ")" || isOperator(next) || isBlank(next)) return parts;
    else throw refused(reader, next);
  }
}

function refused({ text, at }: Reader, character: string): MusterError {
  if (character === "]") return nodeSetInvalid(text, at, 'this "]" has no "["');
  if (character === "@" || character === "(") {
    return nodeSetInvalid(text, at, `an operator is missing before this ${JSON.stringify(character)}`);
  }
  return nodeSetInvalid(text, at, `${JSON.stringify(character)} cannot be part of a node name`);
}

function missingName({ text, at }: Reader): MusterError {
  return nodeSetInvalid(text, at, text.trim() === "" ? "no node is named" : "a name is missing here");
}

function readBracket(reader: Reader): readonly NumberRange[] {
  const open = reader.at;
  const close = reader.text.indexOf("]", open);
  if (close < 0) throw nodeSetInvalid(reader.text, open, 'this "[" has no "]"');
  const ranges: NumberRange[] = [];
  let at = open + 1;
  let size = 0;
  for (const text of reader.text.slice(at, close).split(",")) {
    const range = readRange(reader, at, text);
    size += countOf(range);
    if (size > MAX_NODE_SET_SIZE) throw nodeSetTooLarge(reader.text, at);
    ranges.push(range);
    at += text.length + 1;
  }
  reader.at = close + 1;
  return ranges;
}

/** `7`, `001-064`, `0-10/2`; blanks around numbers are allowed. */
function readRange({ text }: Reader, at: number, range: string): NumberRange {
  const match = /^(\d+)(?:\s*-\s*(\d+)(?:\s*\/\s*(\d+))?)?$/.exec(range.trim());
  const [, first, last = first, step = "1"] = match ?? [];
  if (first === undefined || last === undefined) {
    throw nodeSetInvalid(
      text,
      at,
      `${JSON.stringify(range)} is no number and no range`,
      "write [001-064,070]",
    );
  }
  if (Math.max(first.length, last.length, step.length) > MAX_DIGITS) {
    throw nodeSetInvalid(text, at, `numbers of more than ${MAX_DIGITS} digits are not counted with`);
  }
  const [from, to, by] = [Number(first), Number(last), Number(step)];
  if (by === 0) throw nodeSetInvalid(text, at, `the step of ${range} is 0`);
  if (to < from) {
    throw nodeSetInvalid(text, at, `the range ${range} runs backwards`, `write ${last}-${first}`);
  }
  if (last.length > 1 && last.startsWith("0") && last.length !== first.length) {
    throw nodeSetInvalid(
      text,
      at,
      `the numbers of ${range} differ in width`,
      `write ${first.padStart(last.length, "0")}-${last}`,
    );
  }
  return { first: from, last: to, step: by, width: first.length };
}

/** How many numbers a range has. */
export function countOf({ first, last, step }: NumberRange): number {
  return Math.floor((last - first) / step) + 1;
}

function isOperator(character: string): character is NodeSetOperator {
  return character === "," || character === "!" || character === "&" || character === "^";
}

function isBlank(character: string): boolean {
  return character === " " || character === "\t" || character === "\n" || character === "\r";
}

function skipBlanks(reader: Reader): void {
  while (isBlank(reader.text.charAt(reader.at))) reader.at += 1;
}
