import type { ConfigFinding } from "../config/config-finding.ts";
import { type FilePlace, findingAt } from "./imported-node.ts";

/** A word of dhcpd.conf(5), without its quotes. */
export interface DhcpdWord extends FilePlace {
  readonly text: string;
}

/** A parameter (`option routers 10.0.0.1;`) or a declaration (`host c001 { ... }`). */
export interface DhcpdStatement extends FilePlace {
  /** Commas are words of their own. */
  readonly words: readonly [DhcpdWord, ...DhcpdWord[]];
  /** What stands in its braces; undefined without. */
  readonly block: readonly DhcpdStatement[] | undefined;
}

interface Token extends DhcpdWord {
  readonly kind: "word" | "string" | "end" | "open" | "close" | "unclosed";
}

interface OpenBlock {
  readonly words: readonly DhcpdWord[];
  readonly statements: DhcpdStatement[];
}

/**
 * Reads the structure of ISC dhcpd's dhcpd.conf(5): statements that end in ";" or have a block in braces. `#` starts a
 * comment outside of strings. What the words mean is not looked at. Braces without a partner, strings without an end, and a
 * last statement without ";" are findings.
 */
export function parseDhcpdConf(text: string): {
  readonly statements: readonly DhcpdStatement[];
  readonly findings: readonly ConfigFinding[];
} {
  const findings: ConfigFinding[] = [];
  const root: OpenBlock = { words: [], statements: [] };
  const open: OpenBlock[] = [root];
  let words: DhcpdWord[] = [];
  for (const token of tokensOf(text)) {
    const here = open.at(-1) ?? root;
    if (token.kind === "unclosed") {
      findings.push(findingAt(token, "", "this string is never closed", 'close it with "'));
    } else if (token.kind === "end") {
      addStatement(here, words, undefined);
      words = [];
    } else if (token.kind === "open") {
      if (words.length === 0) findings.push(findingAt(token, "", 'nothing stands before this "{"'));
      open.push({ words: words.length === 0 ? [token] : words, statements: [] });
      words = [];
    } else if (token.kind === "close") {
      if (words.length > 0) findings.push(endMissing(words));
      words = [];
      if (open.length === 1) findings.push(findingAt(token, "", 'this "}" has no "{"', "delete it"));
      else {
        open.pop();
        addStatement(open.at(-1) ?? root, here.words, here.statements);
      }
    } else words.push(token);
  }
  if (words.length > 0) findings.push(endMissing(words));
  for (const { words: said } of open.slice(1)) {
    const [first] = said;
    if (first !== undefined)
      findings.push(findingAt(first, textOf(said), 'its "{" is never closed', 'add "}"'));
  }
  return { statements: root.statements, findings };
}

/** A statement's words as one line, for people; long ones are cut. */
export function textOf(words: readonly DhcpdWord[]): string {
  const text = words
    .map(({ text: word }) => word)
    .join(" ")
    .replaceAll(" ,", ",");
  return text.length > 70 ? `${text.slice(0, 67)}...` : text;
}

function addStatement(
  to: OpenBlock,
  words: readonly DhcpdWord[],
  block: readonly DhcpdStatement[] | undefined,
): void {
  const [first, ...more] = words;
  if (first === undefined) return; // ";;" and "};"
  to.statements.push({ line: first.line, column: first.column, words: [first, ...more], block });
}

function endMissing(words: readonly DhcpdWord[]): ConfigFinding {
  return findingAt(words[0] ?? { line: 1, column: 1 }, textOf(words), "does not end", 'end it with ";"');
}

/** Blanks, a comment, or a token; of a string its first quote only, since strings of megabytes end a regular expression's stack. */
const TOKEN = /[\s\uFEFF]+|#[^\n]*|[{};,"]|[^\s\uFEFF{};,"#]+/y;
const KINDS: Readonly<Record<string, Token["kind"]>> = { ";": "end", "{": "open", "}": "close" };

function* tokensOf(text: string): Generator<Token> {
  let line = 1;
  let lineStart = 0;
  for (let at = 0; at < text.length; ) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0] ?? text.charAt(at);
    const place = { line, column: at - lineStart + 1 };
    const closed = token === '"' ? endOfString(text, at) : at + token.length;
    const end = closed ?? text.length;
    const whole = text.slice(at, end);
    if (token === '"') yield { ...place, ...readString(whole, closed !== undefined) };
    else if (!/^[\s\uFEFF#]/.test(token)) yield { ...place, kind: KINDS[token] ?? "word", text: token };
    const last = whole.lastIndexOf("\n");
    if (last >= 0) {
      line += whole.split("\n").length - 1;
      lineStart = at + last + 1;
    }
    at = end;
  }
}

/** Behind the closing quote of the string that starts at `start`; undefined without one. */
function endOfString(text: string, start: number): number | undefined {
  const stop = /["\\]/g;
  stop.lastIndex = start + 1;
  for (let found = stop.exec(text); found !== null; found = stop.exec(text)) {
    if (found[0] === '"') return stop.lastIndex;
    stop.lastIndex += 1;
  }
  return undefined;
}

function readString(whole: string, isClosed: boolean): Pick<Token, "kind" | "text"> {
  const inner = whole.slice(1, isClosed ? -1 : undefined);
  return { kind: isClosed ? "string" : "unclosed", text: inner.replaceAll(/\\(["\\])/g, "$1") };
}
