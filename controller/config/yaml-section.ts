import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";

import { closestWords } from "#proto/contract/closest-words.ts";
import { errorSentence } from "#proto/contract/muster-error.ts";

import type { ConfigFinding } from "./config-finding.ts";

/** Where something stands in the file. */
export interface Place {
  readonly line: number;
  readonly column: number;
  readonly key: string;
}

/** A value with its place, for checks that compare values. */
export interface Located<T> {
  readonly value: T;
  readonly at: Place;
}

/** What reading one scalar gives: the value, or what is wrong with it. */
export type ReadResult<T> = { readonly value: T } | { readonly problem: string; readonly fix?: string };

/**
 * Reads a scalar. `text` is as written (so a serial number 0042 keeps its zeros), `parsed` is what YAML makes
 * of it: string, number, boolean.
 */
export type ScalarReader<T> = (text: string, parsed: unknown) => ReadResult<T>;

/** The document being read and what was found wrong so far. */
export interface ReadContext {
  readonly lines: LineCounter;
  readonly findings: ConfigFinding[];
}

/** One mapping of the document. Keys that nobody asked for are reported by {@link Section.finish}. */
export interface Section {
  readonly at: Place;
  /** Undefined when absent, empty (`key:`) or wrong; wrong is reported. */
  scalar<T>(key: string, read: ScalarReader<T>): Located<T> | undefined;
  /** Undefined when absent; elements that are wrong are reported and left out. */
  list<T>(key: string, read: ScalarReader<T>): readonly Located<T>[] | undefined;
  /** The mapping below `key`, an empty one when absent. */
  section(key: string): Section;
  /** The mappings of a list. */
  sections(key: string): readonly Section[];
  has(key: string): boolean;
  /** The keys there are, in their order; reading them asks for none. */
  keys(): readonly { readonly name: string; readonly at: Place; readonly isMapping: boolean }[];
  finish(): void;
}

/**
 * Reads a document (YAML 1.2). `root` is undefined when it cannot be read at all: it would have pieces missing, and
 * findings about those would mislead. A key that is there twice is a finding, and the rest is read.
 */
export function openDocument(text: string): {
  readonly context: ReadContext;
  readonly root: Section | undefined;
} {
  const context: ReadContext = { lines: new LineCounter(), findings: [] };
  const start: Place = { line: 1, column: 1, key: "" };
  try {
    const { contents, errors, warnings } = parseDocument(text, {
      lineCounter: context.lines,
      prettyErrors: false,
      uniqueKeys: true,
    });
    let isReadable = true;
    for (const error of [...errors, ...warnings]) {
      const { line, col } = context.lines.linePos(error.pos[0]);
      const at = { line: Math.max(1, line), column: Math.max(1, col), key: "" };
      if (error.code === "DUPLICATE_KEY") report(context, at, "this key is here twice");
      else {
        isReadable = false;
        report(context, at, `cannot be read as YAML: ${error.message.replace(/\s+/g, " ").trim()}`);
      }
    }
    return { context, root: isReadable ? openSection(contents ?? undefined, start, context) : undefined };
  } catch (error) {
    // The YAML reader recurses: thousands of nested brackets end its stack.
    report(context, start, `cannot be read as YAML: ${errorSentence(error)}`);
    return { context, root: undefined };
  }
}

/** Opens a mapping of the document; anything else is reported and taken as an empty mapping. */
function openSection(node: Node | undefined, at: Place, context: ReadContext): Section {
  const entries = new Map<string, { readonly keyAt: Place; readonly node: Node | undefined }>();
  const asked = new Set<string>();
  const map = node;
  if (isMap(map)) {
    for (const pair of map.items) {
      const name = isScalar(pair.key) ? keyText(pair.key.value) : "";
      if (entries.has(name)) continue; // said by the YAML reader already
      entries.set(name, {
        keyAt: placeOf(pair.key as Node, at.key === "" ? name : `${at.key}.${name}`, at, context),
        node: (pair.value ?? undefined) as Node | undefined,
      });
    }
  } else if (!isEmpty(map)) {
    const place = placeOf(map, at.key, at, context);
    if (isAlias(map)) reportAlias(context, place);
    else report(context, place, "is not a mapping", "write `key: value` lines below it");
  }
  const take = (key: string): { readonly keyAt: Place; readonly node: Node | undefined } | undefined => {
    asked.add(key);
    const entry = entries.get(key);
    return entry;
  };
  const items = (key: string): readonly (readonly [Node | undefined, Place])[] | undefined => {
    const entry = take(key);
    if (entry === undefined || isEmpty(entry.node)) return undefined;
    if (!isSeq(entry.node)) {
      const place = placeOf(entry.node, entry.keyAt.key, entry.keyAt, context);
      if (isAlias(entry.node)) reportAlias(context, place);
      else report(context, place, "is not a list", "write [a, b]");
      return undefined;
    }
    return entry.node.items.map((item, index) => {
      const element = item as Node;
      return [element, placeOf(element, `${entry.keyAt.key}[${index}]`, entry.keyAt, context)] as const;
    });
  };
  return {
    at,
    has: (key) => !isEmpty(entries.get(key)?.node),
    keys: () =>
      [...entries].map(([name, entry]) => ({ name, at: entry.keyAt, isMapping: isMap(entry.node) })),
    scalar: (key, read) => {
      const entry = take(key);
      if (entry === undefined || isEmpty(entry.node)) return undefined;
      return readScalar(
        entry.node,
        placeOf(entry.node, entry.keyAt.key, entry.keyAt, context),
        read,
        context,
      );
    },
    list: (key, read) => items(key)?.flatMap(([item, place]) => readScalar(item, place, read, context) ?? []),
    section: (key) => {
      const entry = take(key);
      return openSection(entry?.node, entry?.keyAt ?? { ...at, key: key }, context);
    },
    sections: (key) => (items(key) ?? []).map(([item, place]) => openSection(item, place, context)),
    finish: () => {
      for (const [name, { keyAt }] of entries) {
        if (asked.has(name)) continue;
        const [meant] = closestWords(name, asked);
        const fix =
          meant === undefined
            ? `the keys here are ${[...asked].sort().join(", ")}`
            : `did you mean ${meant}?`;
        report(context, keyAt, "is not a key muster knows", fix);
      }
    },
  };
}

/** Adds a finding. */
export function report(context: ReadContext, at: Place, what: string, fix?: string): void {
  const { line, column, key } = at;
  context.findings.push({ line, column, key, what, ...(fix === undefined ? {} : { fix }) });
}

function readScalar<T>(
  node: Node | undefined,
  at: Place,
  read: ScalarReader<T>,
  context: ReadContext,
): Located<T> | undefined {
  if (isAlias(node)) {
    reportAlias(context, at);
    return undefined;
  }
  if (!isScalar(node) || node.value === null) {
    report(context, at, node === undefined || isScalar(node) ? "is empty" : "is not a single value");
    return undefined;
  }
  const text = typeof node.value === "string" ? node.value : (node.source ?? JSON.stringify(node.value));
  const result = read(text, node.value);
  if ("value" in result) return { value: result.value, at };
  report(context, at, result.problem, result.fix);
  return undefined;
}

/** Aliases are refused: nobody needs them in a file this small, and without them its size bounds the work. */
function reportAlias(context: ReadContext, at: Place): void {
  report(context, at, "is an alias, which muster does not take", "write the value out");
}

function isEmpty(node: Node | undefined): node is undefined {
  return node === undefined || (isScalar(node) && node.value === null);
}

function placeOf(node: Node | undefined, key: string, parent: Place, context: ReadContext): Place {
  const offset = node?.range?.[0];
  if (offset === undefined) return { ...parent, key };
  const { line, col } = context.lines.linePos(offset);
  return { line, column: col, key };
}

function keyText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
