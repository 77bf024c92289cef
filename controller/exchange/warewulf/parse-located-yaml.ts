import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from "yaml";

import { errorSentence } from "#proto/contract/muster-error.ts";

import type { ConfigFinding } from "../../config/config-finding.ts";

/** Line and column, counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A value as it stands in the file. Numbers and booleans stay text: only who reads a field knows what it is. */
export interface LocatedScalar {
  readonly kind: "scalar";
  readonly at: Place;
  /** As written, without quotes; "" for null. */
  readonly text: string;
  /** Not in quotes and not a block: YAML may take it for something else than text. */
  readonly isPlain: boolean;
}
interface LocatedList {
  readonly kind: "list";
  readonly at: Place;
  readonly items: readonly LocatedValue[];
}
export interface LocatedEntry {
  readonly at: Place;
  readonly value: LocatedValue;
}
export interface LocatedMap {
  readonly kind: "map";
  readonly at: Place;
  readonly entries: ReadonlyMap<string, LocatedEntry>;
}
export type LocatedValue = LocatedScalar | LocatedList | LocatedMap;

/** Nobody nests deeper, and no recursion below goes further. */
const MAX_DEPTH = 64;
/** What aliases may stand for, all together: the files of 10,000 nodes that each use one stay below, a bomb does not. */
const MAX_ALIASED_VALUES = 1_000_000;
const NULL_WORDS = new Set(["", "~", "null", "Null", "NULL"]);

interface Reading {
  readonly lines: LineCounter;
  readonly findings: ConfigFinding[];
  /** What each alias stands for. */
  readonly targets: ReadonlyMap<Alias, Node>;
  aliased: number;
}

/**
 * Reads one YAML document with the place of every value. Aliases and merge keys (`<<`) are followed, as Go's yaml.v3
 * does. `root` is undefined when there is nothing, or when it cannot be read at all.
 */
export function parseLocatedYaml(text: string): {
  readonly root: LocatedValue | undefined;
  readonly findings: readonly ConfigFinding[];
} {
  const lines = new LineCounter();
  try {
    // Keys that are there twice are looked for below: the reader compares each with each, too slow for 10,000 nodes.
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
    const broken = [...document.errors, ...document.warnings].map(({ pos, message }): ConfigFinding => {
      const { line, col } = lines.linePos(pos[0]);
      const said = message.replace(/\s+/g, " ").trim();
      return {
        line: Math.max(1, line),
        column: Math.max(1, col),
        key: "",
        what: `cannot be read as YAML: ${said}`,
      };
    });
    if (broken.length > 0) return { root: undefined, findings: broken };
    const reading: Reading = {
      lines,
      findings: [],
      targets: findTargets(document),
      aliased: 0,
    };
    const root = document.contents === null ? undefined : locate(document.contents, reading, "", 0, false);
    return { root, findings: reading.findings };
  } catch (error) {
    // The reader recurses: thousands of nested brackets end its stack.
    const what = `cannot be read as YAML: ${errorSentence(error)}`;
    return { root: undefined, findings: [{ line: 1, column: 1, key: "", what }] };
  }
}

/** Once for all: the reader's own way looks through the whole document for each alias. */
function findTargets(document: Document): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Value: (_, node) => {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
    Alias: (_, node) => {
      const target = anchors.get(node.source);
      if (target !== undefined) targets.set(node, target);
    },
  });
  return targets;
}

/** An empty scalar: what stands where nothing was written. */
function emptyAt(at: Place): LocatedScalar {
  return { kind: "scalar", at, text: "", isPlain: true };
}

function locate(
  node: Node | null,
  reading: Reading,
  key: string,
  depth: number,
  isAliased: boolean,
): LocatedValue {
  const at = placeOf(node, reading);
  if (node === null) return emptyAt(at);
  if (isAlias(node)) return locateAlias(node, reading, key, depth);
  if (depth > MAX_DEPTH) {
    report(reading, at, key, `is nested more than ${MAX_DEPTH} deep`);
    return emptyAt(at);
  }
  if (isAliased) reading.aliased += 1;
  if (isMap(node)) {
    const entries = new Map<string, LocatedEntry>();
    readEntries(node, reading, key, depth, isAliased, entries);
    return { kind: "map", at, entries };
  }
  if (isSeq(node)) {
    const items = node.items.map((item, index) =>
      locate(item as Node | null, reading, `${key}[${index}]`, depth + 1, isAliased),
    );
    return { kind: "list", at, items };
  }
  return scalarOf(node, at);
}

function scalarOf(node: Node, at: Place): LocatedScalar {
  if (!isScalar(node)) return emptyAt(at);
  const isPlain = node.type === "PLAIN" || node.type === undefined;
  const written = isPlain ? (node.source ?? "") : typeof node.value === "string" ? node.value : "";
  return { kind: "scalar", at, text: isPlain && NULL_WORDS.has(written) ? "" : written, isPlain };
}

function locateAlias(node: Alias, reading: Reading, key: string, depth: number): LocatedValue {
  const at = placeOf(node, reading);
  const target = reading.targets.get(node);
  if (target === undefined || reading.aliased > MAX_ALIASED_VALUES || depth > MAX_DEPTH) {
    const what =
      target === undefined
        ? "is an alias of nothing"
        : reading.aliased > MAX_ALIASED_VALUES
          ? `makes the aliases of this file stand for more than ${MAX_ALIASED_VALUES} values`
          : `is nested more than ${MAX_DEPTH} deep`;
    report(reading, at, key, what, "write the values out");
    return emptyAt(at);
  }
  return locate(target, reading, key, depth + 1, true);
}

function readEntries(
  map: Node,
  reading: Reading,
  key: string,
  depth: number,
  isAliased: boolean,
  entries: Map<string, LocatedEntry>,
): void {
  if (!isMap(map)) return;
  const merged: LocatedValue[] = [];
  for (const pair of map.items) {
    const written = pair.key as Node;
    const at = placeOf(written, reading);
    const keyNode = isAlias(written) ? reading.targets.get(written) : written;
    const name = isScalar(keyNode) ? scalarOf(keyNode, at).text : undefined;
    if (name === undefined) {
      report(reading, at, key, "a key here is not a single word");
      continue;
    }
    const below = key === "" ? name : `${key}.${name}`;
    if (entries.has(name)) {
      const first = entries.get(name)?.at.line ?? 0;
      report(
        reading,
        at,
        below,
        `this key is here twice, first in line ${first}`,
        "keep one; Warewulf refuses it too",
      );
      continue;
    }
    const value = locate((pair.value ?? null) as Node | null, reading, below, depth + 1, isAliased);
    if (name === "<<" && isScalar(keyNode) && keyNode.type === "PLAIN")
      merged.push(...(value.kind === "list" ? value.items : [value]));
    // A key without a value stands where its key does.
    else entries.set(name, { at, value: pair.value === null ? emptyAt(at) : value });
  }
  for (const value of merged) {
    if (value.kind !== "map") continue;
    for (const [name, entry] of value.entries) if (!entries.has(name)) entries.set(name, entry);
  }
}

function placeOf(node: Node | null, { lines }: Reading): Place {
  const offset = node?.range?.[0];
  if (offset === undefined) return { line: 1, column: 1 };
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function report(reading: Reading, at: Place, key: string, what: string, fix?: string): void {
  // A bomb is the same finding a million times.
  if (reading.findings.length >= 1000) return;
  reading.findings.push({ ...at, key, what, ...(fix === undefined ? {} : { fix }) });
}
