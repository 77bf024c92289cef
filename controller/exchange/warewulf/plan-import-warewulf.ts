import { MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import type { ConfigFinding } from "../../config/config-finding.ts";
import { type FieldPath, parseFieldPath, renderFieldPath } from "../../fields/field-path.ts";
import { findField } from "../../fields/field-tree.ts";
import type { Fields, FieldsRecord } from "../../fields/fields.ts";
import { PROFILE_NAME } from "../../fields/parse-field-value.ts";
import { type FieldFinding, validateFields } from "../../fields/validate-fields.ts";
import { appendDeviceLists } from "./append-device-lists.ts";
import { findImportConflicts } from "./find-import-conflicts.ts";
import type { ImportItem, Origin } from "./import-item.ts";
import { type FormatVersion, parseNodesConf } from "./parse-nodes-conf.ts";
import { planLegacyLists, replacingLists } from "./plan-legacy-lists.ts";
import { type RecordDraft, wordKey } from "./record-reading.ts";
import { readWarewulfRecord } from "./read-warewulf-record.ts";
import { resolveDeviceNames } from "./resolve-device-names.ts";
import { DISTRIBUTION_BMC_TEMPLATES, DISTRIBUTION_OVERLAYS } from "./warewulf-keys.ts";

/** What a nodes.conf becomes. */
export interface WarewulfImport {
  readonly version: FormatVersion;
  /** Profiles first. Their images, overlays and profiles exist, or are among them. */
  readonly records: readonly FieldsRecord[];
  /** What was left out or carried over in another form, in the order of the file. */
  readonly items: readonly ImportItem[];
  /** What must be put right in the file first; with any of these nothing is to be imported. */
  readonly findings: readonly ConfigFinding[];
}

/** What muster has that nodes can use. */
export interface KnownNames {
  readonly images: ReadonlySet<string>;
  readonly overlays: ReadonlySet<string>;
}

/**
 * Decides what of a nodes.conf goes into the inventory. Everything in the file is in `records`, in `items` with the reason, or in
 * `findings`. `version`: when the file is not of the version it looks like.
 */
export function planImportWarewulf(text: string, known: KnownNames, version?: FormatVersion): WarewulfImport {
  const parsed = parseNodesConf(text);
  const format = version ?? parsed.version;
  const items: ImportItem[] = [...parsed.items];
  const findings: ConfigFinding[] = [...parsed.findings];
  const drafts = parsed.records.map(readWarewulfRecord).filter((draft) => hasName(draft, items));
  resolveDeviceNames(drafts);
  appendDeviceLists(drafts);
  const profileNames = new Set(drafts.filter(({ kind }) => kind === "profile").map(({ name }) => name));
  for (const draft of drafts) {
    dropUnknown(draft, profileNames, known);
    findings.push(...draft.findings);
  }
  const checked = drafts.map((draft) => ({ draft, fields: checkDraft(draft) }));
  const profiles = new Map(
    checked.filter(({ draft }) => draft.kind === "profile").map(({ draft, fields }) => [draft.name, fields]),
  );
  const records = checked.map(({ draft, fields }): FieldsRecord => {
    const { kind, name } = draft;
    return { kind, name, fields: kind === "node" ? asAppending(draft, fields, profiles, format) : fields };
  });
  for (const { items: own } of drafts) items.push(...own);
  if (findings.length === 0) findings.push(...findImportConflicts(records, drafts));
  return { version: format, records, items: items.toSorted(byPlace), findings: findings.toSorted(byPlace) };
}

/** Whether muster can call it so; otherwise all of it is left out. */
function hasName({ kind, name, at }: RecordDraft, items: ImportItem[]): boolean {
  if (kind === "profile") {
    if (PROFILE_NAME.test(name)) return true;
    const why = "is not a name for a profile; all of it is left out";
    items.push({ ...at, outcome: "left", why, fix: "use letters, digits and ._- in the name" });
    return false;
  }
  try {
    parseNodeName(name);
    return true;
  } catch (error) {
    if (!(error instanceof MusterError)) throw error;
    const [label = ""] = name.toLowerCase().split(".");
    const fix = isNodeName(label) ? `rename it to ${label} in the file` : error.fix;
    const why = "is not a name for a node; all of it is left out";
    items.push({ ...at, outcome: "left", why, ...(fix === undefined ? {} : { fix }) });
    return false;
  }
}

function isNodeName(text: string): boolean {
  try {
    return parseNodeName(text) === text;
  } catch {
    return false;
  }
}

/** Takes out what names something that is not there: profiles, images, overlays, templates. */
function dropUnknown(draft: RecordDraft, profiles: ReadonlySet<string>, known: KnownNames): void {
  const drop = (path: FieldPath, value: string, why: string, fix?: string): void => {
    const origin = originAt(draft, path);
    const place = draft.words.get(wordKey(path, value));
    draft.items.push({
      ...origin,
      ...place,
      value,
      outcome: "left",
      why,
      ...(fix === undefined ? {} : { fix }),
    });
  };
  keepOf(draft, "profiles", (word) => {
    const isThere = profiles.has(bare(word));
    if (!isThere) drop(["profiles"], word, "there is no such profile in the file; Warewulf ignores it too");
    return isThere;
  });
  for (const list of ["overlays", "runtimeOverlays"] as const) {
    keepOf(draft, list, (word) => {
      const name = bare(word);
      if (known.overlays.has(name)) return true;
      const reason = DISTRIBUTION_OVERLAYS.get(name);
      if (reason === undefined) {
        const fix = `copy its rootfs to ${name}/rootfs below paths.overlays (what ends in .ww is a template, which muster does not render), then import again`;
        drop([list], word, "muster has no overlay of this name", fix);
      } else drop([list], word, `it comes with Warewulf: ${reason}`);
      return false;
    });
  }
  const { image, bmc } = draft.fields as { image?: string; bmc?: { template?: string } };
  if (image !== undefined && !known.images.has(image)) {
    Reflect.deleteProperty(draft.fields, "image");
    const fix = `muster image import DIR --name ${image}, then import again`;
    drop(["image"], image, "muster has no image of this name", fix);
  }
  if (bmc?.template !== undefined && DISTRIBUTION_BMC_TEMPLATES.has(bmc.template)) {
    const { template } = bmc;
    Reflect.deleteProperty(bmc, "template");
    drop(["bmc", "template"], template, "it comes with Warewulf, and muster needs no template for this");
  }
}

function keepOf(
  { fields }: RecordDraft,
  list: "profiles" | "overlays" | "runtimeOverlays",
  keep: (word: string) => boolean,
): void {
  const words = fields[list];
  if (!Array.isArray(words)) return;
  fields[list] = (words as readonly string[]).filter(keep);
}

function bare(word: string): string {
  return word.startsWith("~") ? word.slice(1) : word;
}

/** The fields in canonical form; what muster does not take is left out, each with the reason. */
function checkDraft(draft: RecordDraft): Fields {
  const { fields, findings } = validateFields(draft.kind, draft.fields, "");
  for (const finding of findings) {
    const path = parseFieldPath(finding.at);
    const origin = originAt(draft, path);
    const { what, fix } = finding satisfies FieldFinding;
    draft.items.push({ ...origin, outcome: "left", why: what, ...(fix === undefined ? {} : { fix }) });
  }
  return fields;
}

/** Where a field, or the nearest thing above it, or the first thing below it stands. */
function originAt(draft: RecordDraft, path: FieldPath): Origin {
  for (let length = path.length; length > 0; length--) {
    const above = path.slice(0, length);
    const known = draft.origins.get(renderFieldPath(above));
    if (known !== undefined) return { ...known, ...placeOfWord(draft, above, path[length]) };
  }
  const prefix = renderFieldPath(path);
  const below = [...draft.origins].find(([at]) => at.startsWith(`${prefix}.`));
  const node = findField(path)?.node;
  const key = node?.kind === "leaf" ? (node.row.warewulf ?? prefix) : prefix;
  if (below === undefined) return { ...draft.at, key };
  const { line, column } = below[1];
  return { ...draft.at, line, column, key: prefix };
}

/** Place and text of an element of a list. */
function placeOfWord(
  draft: RecordDraft,
  path: FieldPath,
  index: string | number | undefined,
): Partial<Origin> {
  if (typeof index !== "number") return {};
  const list = path.reduce<unknown>(
    (at, part) => (at as Record<string | number, unknown> | undefined)?.[part],
    draft.fields,
  );
  const word: unknown = Array.isArray(list) ? list[index] : undefined;
  if (typeof word !== "string") return {};
  return { value: word, ...draft.words.get(wordKey(path, word)) };
}

/** A node of 4.2 to 4.5 in the rules of 4.6, which are muster's. */
function asAppending(
  draft: RecordDraft,
  fields: Fields,
  profiles: ReadonlyMap<string, Fields>,
  version: FormatVersion,
): Fields {
  if (version === "4.6" || version === "4.7") return fields;
  let own = fields;
  if (own.profiles === undefined && profiles.has("default")) {
    own = { profiles: ["default"], ...own };
    const why = `Warewulf ${version} gives it the profile default, because it names none; that is written out now`;
    draft.items.push({ ...draft.at, key: "profiles", outcome: "changed", why });
  }
  const adjusted = planLegacyLists(own, profiles, replacingLists(version), (list) => draft.origins.has(list));
  if (adjusted.length === 0) return own;
  const said = new Map<string, readonly string[]>();
  for (const { list, own: words, isReordered } of adjusted) {
    said.set(list, words);
    const origin = originAt(draft, [list]);
    const what = `in Warewulf ${version} these replaced those of profiles, now they are added to them; became ${words.length === 0 ? "nothing" : words.join(" ")}`;
    const why = `${what}${isReordered ? ", which comes out in another order" : " so that the node keeps what it has"}`;
    draft.items.push({ ...origin, outcome: "changed", why });
  }
  return validateFields("node", { ...own, ...Object.fromEntries(said) }, "").fields;
}

function byPlace(
  a: { readonly line: number; readonly column: number },
  b: { readonly line: number; readonly column: number },
): number {
  return a.line - b.line || a.column - b.column;
}
