import type { Json } from "../fields/fields.ts";

/**
 * Plain data as block YAML that YAML 1.1 and 1.2 read alike, made for `git diff`: a value a line, lists and maps never in one line,
 * texts quoted only where a reader could take them for something else. An own renderer: the yaml package takes 1.1 s for
 * 10,000 nodes, this 0.06 s. Lines end with "\n"; `indent` stands before each.
 */
export function renderYamlTree(value: { readonly [key: string]: Json | undefined }, indent = ""): string {
  const lines: string[] = [];
  renderMap(value, indent, lines);
  return lines.join("");
}

function renderMap(map: { readonly [key: string]: Json | undefined }, indent: string, lines: string[]): void {
  for (const key in map) {
    const value = map[key];
    if (value !== undefined) renderBelow(`${indent}${renderText(key)}:`, value, indent, lines);
  }
}

/** A value after `head`, which is "KEY:" or "-" with its indent. */
function renderBelow(head: string, value: Json, indent: string, lines: string[]): void {
  if (typeof value === "string") {
    lines.push(isBlock(value) ? renderBlock(head, value, indent) : `${head} ${renderText(value)}\n`);
  } else if (typeof value !== "object" || value === null) {
    lines.push(`${head} ${String(value)}\n`);
  } else if (Array.isArray(value)) {
    const list = value as readonly Json[];
    if (list.length === 0) lines.push(`${head} []\n`);
    else {
      lines.push(`${head}\n`);
      for (const item of list) renderBelow(`${indent}  -`, item, `${indent}  `, lines);
    }
  } else {
    const map = value as { readonly [key: string]: Json };
    if (Object.keys(map).length === 0) lines.push(`${head} {}\n`);
    else {
      lines.push(`${head}\n`);
      renderMap(map, `${indent}  `, lines);
    }
  }
}

/**
 * Words that need no quotes: they begin like a word or a path and hold nothing that YAML gives a meaning. A colon counts only
 * before something that is no blank, a blank only between two words.
 */
const PLAIN_WORD = /^[A-Za-z/_][\w/.@%+=,()~-]*(?:(?: |:(?=[\w/]))[\w/.@%+=,()~:-]*[\w/.@%+=,()~-])*$/;
/** What begins with digits is quoted, but for what everybody knows as text: addresses, and networks. */
const ADDRESS = /^\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?$/;
/** "~debug": takes debug out. */
const NEGATED = /^~[A-Za-z][\w.-]*$/;
/** Also "52:54:00:00:00:01", which YAML 1.1 reads as a number to the base 60; all are quoted, so that they look alike. */
const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2})+$/i;
/**
 * Words that some YAML reads as no text, whatever their case. YAML 1.1: yaml.org/type/bool.html; "e0" is a number without digits to the
 * yaml package when it reads 1.1.
 */
const RESERVED = /^(?:y|n|yes|no|on|off|true|false|null|e[+-]?\d+)$/i;
/** Longer keys would have to be written with "?" (YAML 1.2, 7.4.2: 1024 characters). Longer texts are no words. */
const LONGEST_PLAIN = 500;

/** A text as a scalar on one line. */
function renderText(text: string): string {
  const isPlain =
    text.length <= LONGEST_PLAIN &&
    (PLAIN_WORD.test(text) || ADDRESS.test(text) || NEGATED.test(text)) &&
    !RESERVED.test(text) &&
    !MAC.test(text);
  return isPlain ? text : quote(text);
}

/** JSON's text is a double-quoted scalar of YAML, but for what YAML does not take for printable. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Several lines that a literal block gives back exactly as they are: scripts, keys, certificates. */
function isBlock(text: string): boolean {
  return (
    text.includes("\n") &&
    /^[\t\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\n]*$/.test(text) &&
    !/^\s|\n\n$|[ \t]\n|[ \t]$/.test(text)
  );
}

function renderBlock(head: string, text: string, indent: string): string {
  const isEnded = text.endsWith("\n");
  const body = (isEnded ? text.slice(0, -1) : text)
    .split("\n")
    .map((line) => (line === "" ? "\n" : `${indent}  ${line}\n`));
  return `${head} |${isEnded ? "" : "-"}\n${body.join("")}`;
}
