import { closestWords } from "#proto/contract/closest-words.ts";

import { hasControlCharacter } from "../config/scalar-readers.ts";
import type { RecordKind } from "../inventory/changes.ts";
import { canonicalFields } from "./canonical-fields.ts";
import { type FieldPath, renderFieldPath } from "./field-path.ts";
import type { FieldRow } from "./field-table.ts";
import { FIELD_TREE, type FieldGroup, type FieldMap, type FieldNode, isPlain } from "./field-tree.ts";
import type { Fields, Json } from "./fields.ts";
import {
  DEVICE_NAME,
  describe,
  type ElementKind,
  parseElement,
  parseLine,
  parseScalar,
  quoted,
  quoteFix,
} from "./parse-field-value.ts";
import { validateTree } from "./validate-tree.ts";

/** One thing that is wrong with fields, and where. */
export interface FieldFinding {
  /** "devices.eno1.mac", "kernelArguments[0]"; see field-path.ts. */
  readonly at: string;
  readonly what: string;
  readonly fix?: string;
}

/** Fields in canonical form and everything wrong with them; the fields count only without findings. */
export interface ValidatedFields {
  readonly fields: Fields;
  readonly findings: readonly FieldFinding[];
}

const TAG_KEY = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
const MAX_TAGS = 64;
export const MAX_DEVICES = 32;
const MAX_ELEMENTS = 64;
const TAG_LENGTH = 256;
/** Half of what x86 kernels take in all (COMMAND_LINE_SIZE is 2048): muster's own words come first. */
export const KERNEL_ARGUMENT_BYTES = 1024;

/** How many names a map of the operator's may have, and what they look like. */
const NAMES: Readonly<
  Record<
    string,
    { readonly most: number; readonly wanted: string; readonly isName: (text: string) => boolean }
  >
> = {
  devices: { most: MAX_DEVICES, wanted: "the name of a device", isName: (text) => DEVICE_NAME.test(text) },
  disks: {
    most: 64,
    wanted: "the path of a disk: /dev/sda",
    isName: (text) => text.startsWith("/") && isLine(text),
  },
  // GPT keeps 36 UTF-16 units of a name.
  "disks.*.partitions": {
    most: 128,
    wanted: "a label of at most 36 characters",
    isName: (text) => text.length <= 36 && isLine(text),
  },
  fileSystems: { most: 128, wanted: "the device of a file system", isName: isLine },
};

/** A name without any field would be lost: what is empty is absent. */
const EMPTY_FIX: Readonly<Record<string, string>> = {
  devices: "write type: ethernet, or leave it out",
  "disks.*.partitions": "write shouldExist: true, or leave it out",
};

interface Walk {
  readonly kind: RecordKind;
  readonly find: (path: FieldPath, what: string, fix?: string) => void;
}

/** Checks the fields of one record by FIELD_TABLE, all of them; `at` is put in front of the paths of findings. */
export function validateFields(kind: RecordKind, input: unknown, at: string): ValidatedFields {
  const findings: FieldFinding[] = [];
  const find = (path: FieldPath, what: string, fix?: string): void => {
    const below = renderFieldPath(path);
    const place = at === "" || below === "" ? `${at}${below}` : `${at}.${below}`;
    findings.push({ at: place, what, ...(fix === undefined ? {} : { fix }) });
  };
  const fields = readNode({ kind, find }, FIELD_TREE, input, []) ?? {};
  return { fields: canonicalFields(fields as Fields), findings };
}

function readNode(walk: Walk, node: FieldNode, given: unknown, path: FieldPath): Json | undefined {
  if (given === undefined || given === null || given === "") return undefined;
  if (node.kind === "leaf") return readLeaf(walk, node.row, given, path);
  if (!isPlain(given)) {
    walk.find(path, `must be a map of fields, not ${describe(given)}`);
    return undefined;
  }
  return node.kind === "map" ? readMap(walk, node, given, path) : readGroup(walk, node, given, path);
}

function readGroup(walk: Walk, node: FieldGroup, given: object, path: FieldPath): Json {
  const result: Record<string, Json> = {};
  for (const [name, below] of Object.entries(given)) {
    const child = node.children.get(name);
    if (child === undefined) {
      walk.find([...path, name], "is no field", unknownFix(node, name));
      continue;
    }
    const value = readNode(walk, child, below, [...path, name]);
    if (value !== undefined) result[name] = value;
  }
  return result;
}

function readMap(walk: Walk, node: FieldMap, given: object, path: FieldPath): Json {
  const { most, wanted, isName } = NAMES[node.of] ?? { most: 64, wanted: "a name", isName: isLine };
  const entries = Object.entries(given);
  if (entries.length > most) walk.find(path, `there are more than ${most}`);
  const result: Record<string, Json> = {};
  for (const [name, below] of entries.slice(0, most)) {
    const at = [...path, name];
    if (!isName(name) || name in {}) {
      walk.find(at, `${quoted(name)} is not ${wanted}`);
    } else {
      if (isBlank(below)) walk.find(at, "has no fields", EMPTY_FIX[node.of]);
      const value = readNode(walk, node.child, below, at);
      if (value !== undefined) result[name] = value;
    }
  }
  return result;
}

function readLeaf(walk: Walk, row: FieldRow, given: unknown, path: FieldPath): Json | undefined {
  if (row.nodeOnly === true && walk.kind === "profile") {
    walk.find(path, "only nodes have it, profiles do not", "take it out, or set it on nodes");
    return undefined;
  }
  const { type } = row;
  if (type.kind === "list") return readList(walk, type.of, given, path);
  if (type.kind === "tags") return readTags(walk, given, path);
  if (type.kind === "tree") return readTree(walk, given, path);
  const parsed = parseScalar(type, given);
  if ("value" in parsed) return parsed.value;
  walk.find(path, parsed.what, parsed.fix);
  return undefined;
}

function readList(walk: Walk, of: ElementKind, given: unknown, path: FieldPath): Json | undefined {
  if (!Array.isArray(given)) {
    walk.find(
      path,
      "must be a list",
      typeof given === "string" ? `write [${JSON.stringify(given)}]` : undefined,
    );
    return undefined;
  }
  if (given.length > MAX_ELEMENTS) walk.find(path, `there are more than ${MAX_ELEMENTS}`);
  const result: string[] = [];
  const seen = new Set<string>();
  for (const [index, element] of given.slice(0, MAX_ELEMENTS).entries()) {
    const parsed = parseElement(of, element);
    if (!("value" in parsed)) {
      walk.find([...path, index], parsed.what, parsed.fix);
      continue;
    }
    if (seen.has(parsed.value) && of !== "argument" && of !== "line") {
      walk.find([...path, index], `${quoted(parsed.value)} is named twice`);
    }
    seen.add(parsed.value);
    result.push(parsed.value);
  }
  if (of === "argument" && result.join(" ").length > KERNEL_ARGUMENT_BYTES) {
    walk.find(path, `together they are longer than ${KERNEL_ARGUMENT_BYTES} bytes`);
  }
  return result;
}

function readTags(walk: Walk, given: unknown, path: FieldPath): Json | undefined {
  if (!isPlain(given)) {
    walk.find(path, "must be a map of tags", "write KEY: value, one a line");
    return undefined;
  }
  const entries = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  if (entries.length > MAX_TAGS) walk.find(path, `there are more than ${MAX_TAGS}`);
  const result: Record<string, Json> = {};
  for (const [key, value] of entries.slice(0, MAX_TAGS)) {
    if (!TAG_KEY.test(key)) {
      walk.find(path, `${quoted(key)} is not a tag: letters, digits and ._/- only`);
    } else if (typeof value !== "string") {
      walk.find([...path, key], `must be text, not ${describe(value)}`, quoteFix(value));
    } else {
      const parsed = parseLine(value, TAG_LENGTH);
      if ("value" in parsed) result[key] = parsed.value;
      else walk.find([...path, key], `is longer than ${TAG_LENGTH} characters or holds control characters`);
    }
  }
  return result;
}

function readTree(walk: Walk, given: unknown, path: FieldPath): Json | undefined {
  if (!isPlain(given)) {
    walk.find(path, "must be a map");
    return undefined;
  }
  const wrong = validateTree(given);
  if (wrong === undefined) return given as Json;
  walk.find([...path, ...wrong.path], wrong.what);
  return undefined;
}

/** What was probably meant: a field with nearly this name, or what Warewulf calls so. */
function unknownFix(node: FieldGroup, name: string): string | undefined {
  for (const [ours, child] of node.children) {
    const theirs = child.kind === "leaf" ? child.row.warewulf?.split(".").at(-1) : undefined;
    if (theirs === name) return `it is called ${ours} here`;
  }
  const close = closestWords(name, node.children.keys());
  return close.length === 0
    ? `known are ${[...node.children.keys()].join(", ")}`
    : `did you mean ${close.join(" or ")}?`;
}

function isBlank(value: unknown): boolean {
  return value === null || value === "" || (isPlain(value) && Object.keys(value).length === 0);
}

function isLine(text: string): boolean {
  return text !== "" && text.length <= 255 && !hasControlCharacter(text);
}
