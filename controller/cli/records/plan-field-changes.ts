import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";

import { fieldAt, setField, setFieldValue, unsetField } from "../../fields/edit-fields.ts";
import { renderFieldPath } from "../../fields/field-path.ts";
import { isPlain } from "../../fields/field-tree.ts";
import type { Fields, Json } from "../../fields/fields.ts";
import { expandProfiles, openMerger, type Profiles } from "../../fields/merge-fields.ts";
import type { InventoryRecord, RecordChange } from "../../inventory/changes.ts";
import { parseYamlValue } from "./parse-yaml-value.ts";
import { countAddress } from "./plan-counted-address.ts";
import { planEditPath } from "./plan-edit-path.ts";
import type { FieldEdit } from "./plan-field-edits.ts";
import { type FieldSources, planListEdit } from "./plan-list-edit.ts";

/**
 * What the edits make of records, in the order given: of fields that are one machine's own each record gets its own (a MAC from
 * the list, the next address). Records that stay as they are, are left out. Error: `argument-invalid`, with everything that is
 * wrong with the edits.
 */
export function planFieldChanges(
  records: readonly InventoryRecord[],
  edits: readonly FieldEdit[],
  profiles: Profiles,
): readonly RecordChange[] {
  const spread = edits.map((edit) => spreadTexts(edit, records.length));
  const merger = openMerger(profiles);
  return records.flatMap((record, index) => {
    const own = edits.map((edit, at) => ({ ...edit, texts: spread[at]?.[index] ?? edit.texts }));
    const fields = withEdits(record.fields, own, { merger, profiles });
    return isSame(record, fields) ? [] : [changeOf(record, fields)];
  });
}

/** What is left of records without what is at the paths. `argument-invalid` for a path that none of them has set. */
export function planUnset(
  records: readonly InventoryRecord[],
  paths: readonly string[],
  profiles: Profiles,
): readonly RecordChange[] {
  for (const path of paths) refuseUnsetPath(records, path, profiles);
  return records.flatMap((record) => {
    const fields = paths.reduce(unsetField, record.fields);
    return isSame(record, fields) ? [] : [changeOf(record, fields)];
  });
}

function withEdits(fields: Fields, edits: readonly FieldEdit[], sources: FieldSources): Fields {
  const errors: MusterError[] = [];
  let edited = fields;
  for (const edit of edits) {
    try {
      edited = withEdit(edited, edit, sources);
    } catch (error) {
      if (!(error instanceof MusterError) || error.code !== "argument-invalid") throw error;
      errors.push(error);
    }
  }
  const [first, ...more] = errors;
  if (first === undefined) return edited;
  if (more.length === 0) throw first;
  throw new MusterError({
    code: "argument-invalid",
    what: `${errors.length} of these cannot be:${errors.map(({ message, fix }) => `\n  ${message}${fix === undefined ? "" : ` (${fix})`}`).join("")}`,
    fix: "correct them; nothing was changed",
  });
}

function withEdit(fields: Fields, edit: FieldEdit, sources: FieldSources): Fields {
  const path = planEditPath(edit, () => sources.merger.merge(fields));
  const at = renderFieldPath(path);
  const text = edit.texts.at(-1) ?? "";
  const isEmpty = edit.row?.type.kind === "list" ? edit.texts.every((word) => word === "") : text === "";
  if (edit.row === undefined || isEmpty) {
    // also says of a path that no field has which one is meant
    return edit.action === "set" || edit.row === undefined ? setField(fields, at, text) : fields;
  }
  const isWhole = path.length === edit.row.path.split(".").length;
  switch (edit.row.type.kind) {
    case "list":
      return planListEdit(fields, edit, at, sources);
    case "tags":
      return isWhole ? withTags(fields, edit, at) : setField(fields, at, text);
    case "tree":
      return setFieldValue(fields, at, parseYamlValue(text, edit.from));
    default:
      return setField(fields, at, text);
  }
}

function withTags(fields: Fields, { from, action, texts, place }: FieldEdit, at: string): Fields {
  const [text = ""] = texts;
  if ("path" in place && action === "set") return setFieldValue(fields, at, parseYamlValue(text, from));
  const before = fieldAt(fields, at);
  const tags = new Map<string, Json | undefined>(isPlain(before) ? Object.entries(before) : []);
  for (const word of texts) {
    if (action === "remove") {
      tags.delete(word);
      continue;
    }
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
    if (key === undefined || value === undefined) {
      throw invalid(
        `${from} ${word} has no value`,
        `write key=value; ${from.replace(/tag$/, "untag")} KEY removes one`,
      );
    }
    tags.set(key, value);
  }
  return setFieldValue(fields, at, Object.fromEntries(tags) as Json);
}

/** The texts of each of `count` records; undefined when all get the same. */
function spreadTexts(edit: FieldEdit, count: number): readonly (readonly string[])[] | undefined {
  const text = edit.texts.at(-1) ?? "";
  const type = edit.row?.type.kind;
  if (edit.row?.unique !== true || text === "") return undefined;
  if (type === "mac") return spreadMacs(text, count).map((mac) => [mac]);
  if (count === 1) return undefined;
  const counted = Array.from({ length: count }, (_, index) => countAddress(text, index));
  if (counted.every((address) => address !== undefined)) return counted.map((address) => [address]);
  if (counted[0] !== undefined)
    throw invalid(`there are no ${count} addresses from ${text} on`, "start lower");
  // a word that is no address: an error of an address, and of an asset key that several nodes cannot share
  if (type === "ipv4") throw invalid(`${edit.from} ${text} is not an IPv4 address`, "for example 10.77.0.11");
  if (type === "ipv6")
    throw invalid(`${edit.from} ${text} is not an IPv6 address`, "for example fd00:77::11");
  throw invalid(`${count} nodes cannot have the same ${edit.from.replace(/^--/, "")}`, "give each its own");
}

function spreadMacs(text: string, count: number): readonly string[] {
  const macs = text.split(",");
  if (macs.length === count) return macs;
  throw invalid(
    count === 1
      ? `1 node cannot have ${macs.length} MAC addresses`
      : `${count} nodes cannot have ${macs.length} MAC addresses`,
    "give one each, with commas between",
  );
}

function refuseUnsetPath(records: readonly InventoryRecord[], path: string, profiles: Profiles): void {
  const [first] = records;
  if (first === undefined) return;
  // first to say of a path that no field has which one is meant
  unsetField(first.fields, path);
  if (records.some(({ fields }) => fieldAt(fields, path) !== undefined)) return;
  const names = foldNodeSet(records.map(({ name }) => name));
  const what = `${names} has no ${path} of its own`;
  const from = expandProfiles(first.fields.profiles ?? [], profiles).findLast(
    (name) => fieldAt(profiles.get(name) ?? {}, path) !== undefined,
  );
  throw from === undefined
    ? invalid(what, `muster ${first.kind} show ${names} has what is set`)
    : invalid(
        `${what}: it comes from profile ${from}`,
        `muster profile unset ${from} ${path}, or muster ${first.kind} set ${names} ${path}=VALUE`,
      );
}

function isSame({ revision, fields }: InventoryRecord, after: Fields): boolean {
  return revision > 0 && JSON.stringify(fields) === JSON.stringify(after);
}

function changeOf({ kind, name, revision }: InventoryRecord, fields: Fields): RecordChange {
  return { kind, name, revision, fields };
}

function invalid(what: string, fix: string): MusterError {
  return new MusterError({ code: "argument-invalid", what, fix });
}
