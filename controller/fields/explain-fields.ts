import { type FieldPath, renderFieldPath } from "./field-path.ts";
import { findField, isPlain, type Plain } from "./field-tree.ts";
import type { FieldsRecord, Json } from "./fields.ts";
import { listLeaves } from "./list-leaves.ts";
import { expandProfiles, fieldsOf, inheritable, mergeRaw, type Profiles } from "./merge-fields.ts";

/** Where an effective value comes from. */
export interface ExplainedField {
  /** Elements of lists have entries of their own: "kernelArguments[1]". */
  readonly path: string;
  /** "~x", with the path of the list: somebody took x out of it, and nothing is there. */
  readonly value: Json;
  /**
   * "profile base", or "node" for what the node itself says and "itself" for what the profile itself does; of a list in resources
   * all that added to it: "profile base, node".
   */
  readonly from: string;
  /** What said something else, in the order in which profiles apply; for "~x": who said x. */
  readonly overrode: readonly { readonly from: string; readonly value: Json }[];
}

interface Source {
  readonly from: string;
  readonly fields: Plain;
}

/**
 * Every effective field of a record with its source, in the order in which fields are written. The record's name is for the
 * error: `profile-unknown`.
 */
export function explainFields(record: FieldsRecord, profiles: Profiles): readonly ExplainedField[] {
  const { kind, name, fields: own } = record;
  const self = kind === "node" ? "node" : "itself";
  const sources: readonly Source[] = [
    ...expandProfiles(own.profiles ?? [], profiles).map((profile) => ({
      from: `profile ${profile}`,
      fields: inheritable(fieldsOf(profile, profiles, name)),
    })),
    { from: self, fields: own as Plain },
  ];
  return listLeaves(mergeRaw(sources.map(({ fields }) => fields))).flatMap(({ path, value }) => {
    const node = findField(path)?.node;
    return node?.kind === "leaf" && node.row.type.kind === "list"
      ? explainList(path, sources, node.row.notInherited === true)
      : [explainValue(path, value, sources, self)];
  });
}

function explainValue(
  path: FieldPath,
  value: Json,
  sources: readonly Source[],
  self: string,
): ExplainedField {
  const said = sources.flatMap(({ from, fields }) => {
    const there = saidAt(fields, path);
    return there === undefined ? [] : [{ from, value: there }];
  });
  // Lists in resources append: each of them is in it, none is overridden.
  const isJoined = said.length > 1 && said.every((one) => Array.isArray(one.value));
  return {
    path: renderFieldPath(path),
    value,
    from: isJoined ? said.map(({ from }) => from).join(", ") : (said.at(-1)?.from ?? self),
    overrode: isJoined ? [] : said.slice(0, -1),
  };
}

/** What stays of a list element by element, then what was taken out of it, by whom. */
function explainList(
  path: FieldPath,
  sources: readonly Source[],
  isAsWritten: boolean,
): readonly ExplainedField[] {
  const said = sources.flatMap(({ from, fields }) =>
    ((saidAt(fields, path) ?? []) as readonly string[]).map((value) => ({ from, value })),
  );
  const marks = isAsWritten ? [] : said.filter(({ value }) => value.startsWith("~"));
  const out = new Set(marks.map(({ value }) => value.slice(1)));
  const left = isAsWritten ? said : said.filter(({ value }) => !value.startsWith("~") && !out.has(value));
  return [
    ...left.map(({ from, value }, index) => ({
      path: renderFieldPath([...path, index]),
      value,
      from,
      overrode: [],
    })),
    ...marks.map(({ from, value: mark }) => ({
      path: renderFieldPath(path),
      value: mark,
      from,
      overrode: said.filter(({ value }) => value === mark.slice(1)),
    })),
  ];
}

/** The value at a path, or what stands where the path would go on. */
function saidAt(fields: Plain, path: FieldPath): Json | undefined {
  let at: Json | undefined = fields as Json;
  for (const key of path) {
    if (!isPlain(at)) return at;
    at = Object.hasOwn(at, key) ? at[key] : undefined;
  }
  return at;
}
