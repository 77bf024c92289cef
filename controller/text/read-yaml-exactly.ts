import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type Scalar,
  type YAMLMap,
} from "yaml";

import { errorSentence } from "#proto/contract/muster-error.ts";

import { DEEPEST } from "./read-yaml-fast.ts";
import { resolveScalar } from "./resolve-scalar.ts";

/** A place in a text, from 1. */
interface TextPlace {
  readonly line: number;
  readonly column: number;
}

interface YamlFinding extends TextPlace {
  readonly what: string;
  readonly fix?: string;
}

/** A document with positions. */
export interface LocatedYaml {
  /** Undefined when it cannot be read at all: it would have pieces missing, and findings about those would mislead. */
  readonly value: unknown;
  readonly findings: readonly YamlFinding[];
  /** Where the value at a path stands, or the nearest of what it is below; `key`: where its key stands. */
  readonly locate: (path: readonly (string | number)[], part: "key" | "value") => TextPlace;
}

/** Of what aliases stand for, all copies together. A list of a profile's devices, used by 10,000 nodes, is a tenth of it. */
const MOST_COPIED = 1_000_000;

/** Reads YAML 1.2 with the place of everything and says all that is wrong with it. For what {@link readYamlFast} does not take. */
export function readYamlExactly(text: string): LocatedYaml {
  const lines = new LineCounter();
  const placeOf = (offset: number): TextPlace => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const findings: YamlFinding[] = [];
  const find = (offset: number, what: string, fix?: string): void => {
    findings.push({ ...placeOf(offset), what, ...(fix === undefined ? {} : { fix }) });
  };
  const unreadable: LocatedYaml = { value: undefined, findings, locate: () => placeOf(0) };
  try {
    const documents = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      schema: "failsafe",
      uniqueKeys: false,
    });
    const [document, second] = Array.isArray(documents) ? documents : [];
    if (document === undefined) return { ...unreadable, value: null };
    for (const error of documents.flatMap(({ errors }) => errors)) {
      const [what, fix] = explainSyntax(error.message, text, error.pos[0]);
      find(error.pos[0], what, fix);
    }
    if (findings.length > 0) return unreadable;
    if (second !== undefined) {
      find(second.range[0], "a second document begins here", "put everything into one: without lines of ---");
      return unreadable;
    }
    const reader: Reader = {
      find,
      anchors: new Map(),
      open: new Set(),
      copied: 0,
      depth: 0,
      copying: 0,
    };
    const value = readNode(reader, document.contents);
    const index = makeIndex();
    return {
      value,
      findings,
      locate: (path, part) => placeOf(locate(document.contents, path, part, index)),
    };
  } catch (error) {
    // The yaml package recurses: thousands of nested brackets end its stack.
    const what = error instanceof TooMuch ? error.message : `cannot be read as YAML: ${errorSentence(error)}`;
    find(error instanceof TooMuch ? error.offset : 0, what, error instanceof TooMuch ? error.fix : undefined);
    return unreadable;
  }
}

class TooMuch extends Error {
  readonly offset: number;
  readonly fix: string;
  constructor(offset: number, what: string, fix: string) {
    super(what);
    this.offset = offset;
    this.fix = fix;
  }
}

interface Reader {
  readonly find: (offset: number, what: string, fix?: string) => void;
  readonly anchors: Map<string, Node>;
  /** Nodes that are being read: an alias to one of them never ends. */
  readonly open: Set<Node>;
  copied: number;
  depth: number;
  /** How many aliases the value stands below. */
  copying: number;
}

function readNode(reader: Reader, node: Node | null): unknown {
  if (node === null) return null;
  const offset = node.range?.[0] ?? 0;
  count(reader, offset);
  if (isAlias(node)) return readAlias(reader, node.source, offset);
  // An anchor of a later node replaces one of the same name; while it is copied, it is known already.
  if (reader.copying === 0 && node.anchor !== undefined) reader.anchors.set(node.anchor, node);
  if (node.tag !== undefined && !/^tag:yaml\.org,2002:(?:str|map|seq)$/.test(node.tag) && node.tag !== "!") {
    reader.find(offset, `has the tag ${node.tag}, which muster does not take`, "write the value without it");
    return null;
  }
  if (isScalar(node)) return readScalar(node);
  if (reader.depth >= DEEPEST) {
    throw new TooMuch(offset, `is nested more than ${DEEPEST} deep`, "nothing muster keeps is");
  }
  reader.depth += 1;
  reader.open.add(node);
  try {
    if (isSeq(node)) return node.items.map((item) => readNode(reader, item as Node | null));
    return isMap(node) ? readMap(reader, node.items as readonly NodePair[]) : null;
  } finally {
    reader.open.delete(node);
    reader.depth -= 1;
  }
}

function readScalar(node: Scalar): unknown {
  const text = typeof node.value === "string" ? node.value : "";
  return node.type === "PLAIN" && node.tag === undefined ? resolveScalar(text) : text;
}

function readAlias(reader: Reader, name: string, offset: number): unknown {
  const target = reader.anchors.get(name);
  if (target === undefined) {
    reader.find(offset, `*${name} stands for nothing: no &${name} comes before it`, "write the value out");
    return null;
  }
  if (reader.open.has(target)) {
    reader.find(offset, `*${name} is inside of what it stands for`, "write the value out");
    return null;
  }
  reader.copying += 1;
  try {
    return readNode(reader, target);
  } finally {
    reader.copying -= 1;
  }
}

function readMap(reader: Reader, pairs: readonly NodePair[]): Record<string, unknown> {
  const map: Record<string, unknown> = {};
  for (const { key, value } of pairs) {
    const offset = key?.range?.[0] ?? 0;
    count(reader, offset);
    const name = keyOf(key);
    if (name === undefined) {
      reader.find(offset, "a key must be one word", "lists, maps and aliases cannot be keys");
    } else if (name === "__proto__") {
      reader.find(offset, "__proto__ cannot be a key", "choose another name");
    } else if (name === "<<" && isScalar(key) && key.type === "PLAIN") {
      reader.find(offset, "<< (merge) is not taken", "put what nodes share into a profile");
    } else if (Object.hasOwn(map, name)) {
      reader.find(offset, `the key ${JSON.stringify(name.slice(0, 80))} is here twice`, "keep one of them");
    } else map[name] = readNode(reader, value);
  }
  return map;
}

function count(reader: Reader, offset: number): void {
  if (reader.copying > 0) reader.copied += 1;
  if (reader.copied > MOST_COPIED) {
    throw new TooMuch(
      offset,
      `aliases make more than ${MOST_COPIED} values of this file`,
      "put what nodes share into a profile",
    );
  }
}

/** The text of a key that is a word. */
function keyOf(key: Node | null): string | undefined {
  return isScalar(key) && typeof key.value === "string" ? key.value : undefined;
}

type NodePair = Pair<Node | null, Node | null>;

/** Pairs by key, the first of each; made once for each map that findings are looked for in. */
function makeIndex(): (map: YAMLMap) => ReadonlyMap<string, NodePair> {
  const known = new WeakMap<YAMLMap, Map<string, NodePair>>();
  return (map) => {
    const made = known.get(map) ?? new Map<string, NodePair>();
    if (!known.has(map)) {
      known.set(map, made);
      for (const pair of map.items as readonly NodePair[]) {
        const key = keyOf(pair.key);
        if (key !== undefined && !made.has(key)) made.set(key, pair);
      }
    }
    return made;
  };
}

/** Offset of the value at the path, or of its key, or of the nearest there is. */
function locate(
  root: Node | null,
  path: readonly (string | number)[],
  part: "key" | "value",
  index: ReturnType<typeof makeIndex>,
): number {
  let node = root;
  let key: Node | null = null;
  for (const step of path) {
    // What an alias stands for is elsewhere: the alias is what has to be changed.
    if (isAlias(node)) break;
    if (isSeq(node) && typeof step === "number") {
      const item = (node.items[step] ?? null) as Node | null;
      if (item === null) break;
      [node, key] = [item, item];
      continue;
    }
    if (!isMap(node)) break;
    const pair = index(node).get(String(step));
    if (pair === undefined) break;
    [node, key] = [pair.value, pair.key];
  }
  const isOwnLine = part === "key" || node === null || isMap(node) || node.range === undefined;
  return (isOwnLine ? (key ?? node) : node)?.range?.[0] ?? 0;
}

/** The words of the yaml package for what operators meet most, in theirs. */
function explainSyntax(message: string, text: string, offset: number): readonly [string, string | undefined] {
  const line = text.slice(text.lastIndexOf("\n", Math.max(0, offset - 1)) + 1, offset + 200);
  if (/tab/i.test(message) || /^[ ]*\t/.test(line)) {
    return ["a tab stands where the line is indented", "indent with blanks"];
  }
  return [`cannot be read as YAML: ${message.replace(/\s+/g, " ").trim()}`, undefined];
}
