import { closestWords } from "#proto/contract/closest-words.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import { parseFieldPath } from "../fields/field-path.ts";
import { findField, isPlain } from "../fields/field-tree.ts";
import type { FieldsRecord } from "../fields/fields.ts";
import { parseElement } from "../fields/parse-field-value.ts";
import { type FieldFinding, validateFields } from "../fields/validate-fields.ts";
import type { RecordKind } from "../inventory/changes.ts";
import { type LocatedYaml, readYamlExactly } from "./read-yaml-exactly.ts";
import { readYamlFast } from "./read-yaml-fast.ts";
import { FORMAT_VERSION, HEADER } from "./render-inventory.ts";
import type { TextFinding } from "./text-finding.ts";

/** What a text says. Its records count only when there are no findings. */
export interface ParsedText {
  readonly file: string;
  readonly records: readonly FieldsRecord[];
  /** The kinds it speaks of at all: `nodes: {}` says that there are none. */
  readonly kinds: ReadonlySet<RecordKind>;
  /** What part of the inventory it is, when its first line says so: "nodes c[001-004]". */
  readonly part: string | undefined;
  /** In the order of the text. */
  readonly findings: readonly TextFinding[];
  /** Findings about fields of its records that turn up later, with their places. */
  readonly locate: (findings: readonly RecordFinding[]) => readonly TextFinding[];
}

/** Something wrong with a field of a record; `at` as field-path.ts writes it, empty for the record itself. */
export interface RecordFinding extends FieldFinding {
  readonly kind: RecordKind;
  readonly name: string;
}

/** Who a file of the directory form is about. */
export interface RecordName {
  readonly kind: RecordKind;
  readonly name: string;
}

/**
 * Reads `profiles: {NAME: fields}`, `nodes: {NAME: fields}`; with `of`, or with the first line of a record's file, the fields of
 * that record alone. All findings at once, each with its place. Text that is fine is read fast; only the other is read again with
 * positions.
 */
export function parseInventory(file: string, text: string, of?: RecordName): ParsedText {
  const header = readHeader(text);
  const about = of ?? header.of;
  const fast = readYamlFast(text);
  const rough = fast === undefined ? undefined : interpret(fast.value, about);
  const version: readonly PathFinding[] =
    header.version <= FORMAT_VERSION
      ? []
      : [
          {
            path: [],
            what: `is of version ${header.version} of the format, and this muster knows ${FORMAT_VERSION}`,
            fix: "upgrade muster",
          },
        ];
  const base = { file, part: header.part };
  if (rough?.findings.length === 0 && version.length === 0) {
    return { ...base, ...rough, findings: [], locate: locator(file, text, about) };
  }
  const exact = readYamlExactly(text);
  const syntax = exact.findings.map((one): TextFinding => ({ file, at: "", ...one }));
  const read = exact.value === undefined ? NOTHING : interpret(exact.value, about);
  const findings = [...version, ...read.findings].map((one) => place(file, exact, one));
  return {
    ...base,
    ...read,
    findings: [...syntax, ...findings].sort((a, b) => a.line - b.line || a.column - b.column),
    locate: locator(file, text, about),
  };
}

interface PathFinding {
  readonly path: readonly (string | number)[];
  readonly what: string;
  readonly fix?: string;
  readonly part?: "key" | "value";
}

interface Interpreted {
  readonly records: readonly FieldsRecord[];
  readonly kinds: ReadonlySet<RecordKind>;
  readonly findings: readonly PathFinding[];
}

const NOTHING: Interpreted = { records: [], kinds: new Set(), findings: [] };
const SECTIONS = { profiles: "profile", nodes: "node" } as const satisfies Record<string, RecordKind>;
/** Keys that only files of Warewulf 4 have: at the top, and in records. */
const WAREWULF =
  /^(?:nodeprofiles|WW_INTERNAL|network devices|image name|container name|system overlay|runtime overlay|cluster name|ipxe template|primary network|ipmi|kernel override)$/;

function interpret(value: unknown, about: RecordName | undefined): Interpreted {
  if (about !== undefined) return interpretRecord(value, about);
  if (value === null) {
    return failed({ path: [], what: "is empty", fix: "write `nodes: {}` and `profiles: {}` for no records" });
  }
  if (!isPlain(value)) {
    return failed({
      path: [],
      what: "is not an inventory",
      fix: "write `nodes:` and, below it, NAME: FIELDS",
    });
  }
  if (isOfWarewulf(value)) {
    return failed({
      path: [],
      what: "is a file of Warewulf",
      fix: "take it over with: muster import warewulf FILE",
    });
  }
  const findings: PathFinding[] = [];
  const records: FieldsRecord[] = [];
  const kinds = new Set<RecordKind>();
  for (const [key, section] of Object.entries(value)) {
    const kind = key === "nodes" || key === "profiles" ? SECTIONS[key] : undefined;
    if (kind === undefined) findings.push(unknownSection(key));
    else {
      kinds.add(kind);
      readSection(kind, key, section, records, findings);
    }
  }
  if (kinds.size === 0 && findings.length === 0) {
    findings.push({ path: [], what: "holds neither profiles nor nodes" });
  }
  return { records, kinds, findings };
}

function readSection(
  kind: RecordKind,
  key: string,
  section: unknown,
  records: FieldsRecord[],
  findings: PathFinding[],
): void {
  if (section === null || section === undefined) {
    // What is left of a text that was cut off must not delete every node with --prune.
    findings.push({ path: [key], part: "key", what: "is empty", fix: `write \`${key}: {}\` for no ${key}` });
    return;
  }
  if (!isPlain(section)) {
    findings.push({ path: [key], what: `must be a map of ${key}`, fix: "write NAME: FIELDS below it" });
    return;
  }
  for (const [name, fields] of Object.entries(section)) {
    const bad = nameProblem(kind, name);
    if (bad !== undefined) findings.push({ path: [key, name], part: "key", ...bad });
    records.push(readRecord({ kind, name }, fields, [key, name], findings));
  }
}

function interpretRecord(value: unknown, about: RecordName): Interpreted {
  const kinds = new Set([about.kind]);
  if (value === null) {
    // What a full disk leaves of a file must not unset every field.
    return { ...failed({ path: [], what: "is empty", fix: "write {} for a record without fields" }), kinds };
  }
  const findings: PathFinding[] = [];
  const bad = nameProblem(about.kind, about.name);
  if (bad !== undefined) findings.push({ path: [], ...bad });
  // `profiles` as a list is a field
  if (isPlain(value) && ("nodes" in value || isPlain(value["profiles"]))) {
    return {
      ...failed({ path: [], what: `must hold the fields of ${about.kind} ${about.name} alone` }),
      kinds,
    };
  }
  return { records: [readRecord(about, value, [], findings)], kinds, findings };
}

function readRecord(
  { kind, name }: RecordName,
  raw: unknown,
  path: readonly string[],
  findings: PathFinding[],
): FieldsRecord {
  const validated = validateFields(kind, withTexts(raw), "");
  for (const { at, what, fix } of validated.findings) {
    const below = at === "" ? [] : parseFieldPath(at);
    const part = findField(below) === undefined ? "key" : "value";
    findings.push({ path: [...path, ...below], what, part, ...(fix === undefined ? {} : { fix }) });
  }
  return { kind, name, fields: validated.fields };
}

/** Scalars as they were written, but in free YAML, where numbers are numbers: every other field knows what it wants. */
function withTexts(raw: unknown, isRecord = true): unknown {
  if (typeof raw === "number" || typeof raw === "boolean") return String(raw);
  if (Array.isArray(raw)) return raw.map((item) => withTexts(item, false));
  if (!isPlain(raw)) return raw;
  const texts: Record<string, unknown> = {};
  for (const key in raw) {
    texts[key] = isRecord && key === "resources" ? raw[key] : withTexts(raw[key], false);
  }
  return texts;
}

function nameProblem(kind: RecordKind, name: string): { what: string; fix?: string } | undefined {
  if (kind === "profile") {
    const parsed = parseElement("profile", name);
    if ("value" in parsed && parsed.value === name && !name.startsWith("~")) return undefined;
    return "value" in parsed
      ? { what: `${JSON.stringify(name)} is not the name of a profile` }
      : { ...parsed };
  }
  try {
    parseNodeName(name);
    return undefined;
  } catch (error) {
    const fix = error instanceof MusterError ? error.fix : undefined;
    return { what: errorSentence(error), ...(fix === undefined ? {} : { fix }) };
  }
}

function unknownSection(key: string): PathFinding {
  const [meant] = closestWords(key, Object.keys(SECTIONS));
  return {
    path: [key],
    part: "key",
    what: "is neither profiles nor nodes",
    fix: meant === undefined ? "write records below `nodes:` or `profiles:`" : `did you mean ${meant}?`,
  };
}

function isOfWarewulf(root: Readonly<Record<string, unknown>>): boolean {
  if (Object.keys(root).some((key) => WAREWULF.test(key))) return true;
  const { nodes } = root;
  if (!isPlain(nodes)) return false;
  return Object.values(nodes)
    .slice(0, 20)
    .some((record) => isPlain(record) && Object.keys(record).some((key) => WAREWULF.test(key)));
}

function failed(finding: PathFinding): Interpreted {
  return { ...NOTHING, findings: [finding] };
}

function readHeader(text: string): {
  readonly version: number;
  readonly part: string | undefined;
  readonly of: RecordName | undefined;
} {
  const first = text.startsWith(HEADER) ? text.slice(HEADER.length, text.search(/\r?\n|$/)) : "";
  const [, version = "0", rest = ""] = /^ (\d{1,9})(.*)$/.exec(first) ?? [];
  const [, kind, name] = /^: (node|profile) (\S+)$/.exec(rest) ?? [];
  return {
    version: Number(version),
    part: /, part: (.*)$/.exec(rest)?.[1],
    of: (kind === "node" || kind === "profile") && name !== undefined ? { kind, name } : undefined,
  };
}

function place(
  file: string,
  exact: LocatedYaml,
  { path, what, fix, part = "value" }: PathFinding,
): TextFinding {
  return {
    file,
    ...(path.length === 0 ? { line: 1, column: 1 } : exact.locate(path, part)),
    at: path.map(String).join("."),
    what,
    ...(fix === undefined ? {} : { fix }),
  };
}

/** The text is read with positions once, and only when something is to be located. */
function locator(file: string, text: string, about: RecordName | undefined): ParsedText["locate"] {
  let exact: LocatedYaml | undefined;
  return (findings) => {
    if (findings.length === 0) return [];
    exact ??= readYamlExactly(text);
    const read = exact;
    return findings.map(({ kind, name, at, what, fix }) => {
      const below = at === "" ? [] : parseFieldPath(at);
      const record = about === undefined ? [kind === "node" ? "nodes" : "profiles", name] : [];
      const path = [...record, ...below];
      return place(file, read, { path, what, ...(fix === undefined ? {} : { fix }) });
    });
  };
}
