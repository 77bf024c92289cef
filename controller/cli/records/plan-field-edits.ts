import { MusterError } from "#proto/contract/muster-error.ts";

import { type FieldPath, parseFieldPath } from "../../fields/field-path.ts";
import { FIELD_TABLE, type FieldRow } from "../../fields/field-table.ts";
import { findField } from "../../fields/field-tree.ts";
import { type EditAction, type GivenOption, type Selectors, SELECTORS_OF } from "./field-options.ts";

/** One thing to do with one field. */
export interface FieldEdit {
  /** As the operator wrote it: "--mtu", "devices.eno1.mtu". */
  readonly from: string;
  /** Undefined for a path no field has: setting it says which are near. */
  readonly row: FieldRow | undefined;
  readonly action: EditAction;
  /** Words of a list, in order; of everything else the last counts. */
  readonly texts: readonly string[];
  readonly place: EditPlace;
}

/** Where: a path, or what the selectors say, which may differ from node to node. */
export type EditPlace = { readonly path: FieldPath } | { readonly after: Selectors };

/** What commander read, and `PATH=VALUE` words. */
export interface GivenEdits {
  readonly given: readonly GivenOption[];
  readonly selectors: readonly { readonly option: string; readonly name: string }[];
  readonly assignments: readonly string[];
}

/**
 * The edits that options and assignments amount to, those of profiles first: what a node takes from its profiles decides where
 * the others go. Options of a list that stand several times are one edit. Errors: `argument-invalid`.
 */
export function planFieldEdits({ given, selectors, assignments }: GivenEdits): readonly FieldEdit[] {
  const all = [...editsOfOptions(given, selectors), ...assignments.map(parseAssignment)];
  const isOfProfiles = ({ row }: FieldEdit): boolean => row?.path === "profiles";
  return [...all.filter(isOfProfiles), ...all.filter((edit) => !isOfProfiles(edit))];
}

/** "devices.eno1.mtu=9000", "overlays+=motd", "overlays-=motd", "tags.rack=": an empty value unsets. */
function parseAssignment(word: string): FieldEdit {
  const [, from, sign, text] = /^((?:"(?:[^"\\]|\\.)*"|[^"=])+?)([+-]?)=(.*)$/s.exec(word) ?? [];
  if (from === undefined || text === undefined) {
    throw invalid(
      `${JSON.stringify(word)} sets nothing`,
      "write PATH=VALUE, for example devices.eno1.mtu=9000; an empty value unsets",
    );
  }
  const path = parseFieldPath(from);
  const node = findField(path)?.node;
  const row = node?.kind === "leaf" ? node.row : undefined;
  const action: EditAction = sign === "+" ? "append" : sign === "-" ? "remove" : "set";
  if (action !== "set" && row !== undefined && row.type.kind !== "list" && row.type.kind !== "tags") {
    throw invalid(`${word}: ${from} is no list`, `write ${from}=VALUE`);
  }
  return { from, row, action, texts: [text], place: { path } };
}

function editsOfOptions(
  given: readonly GivenOption[],
  selectors: GivenEdits["selectors"],
): readonly FieldEdit[] {
  const grouped = Map.groupBy(given, ({ option, after }) => JSON.stringify([option, after]));
  for (const { option, name } of selectors) refuseIdleSelector(option, name, given, selectors);
  return [...grouped.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const row = FIELD_TABLE.find(({ path }) => path === first.path);
    return {
      from: first.option,
      row,
      action: first.action,
      texts: group.map(({ text }) => text),
      place: { after: completed(first, selectors) },
    };
  });
}

/** A selector that stands once is also about the options before it; of several, each has its own after it. */
function completed({ option, path, after }: GivenOption, selectors: GivenEdits["selectors"]): Selectors {
  const [head = ""] = path.split(".");
  let complete = after;
  for (const selector of SELECTORS_OF[head] ?? []) {
    if (complete[selector] !== undefined) continue;
    const flag = optionOf(selector);
    const all = new Set(selectors.filter((one) => one.option === flag).map(({ name }) => name));
    if (all.size > 1) {
      throw invalid(`${option} stands before the first ${flag}`, `put it behind the ${flag} it is about`);
    }
    const [only] = all;
    if (only !== undefined) complete = { ...complete, [selector]: only };
  }
  return complete;
}

/** Otherwise `--mtu 9000 --device eno1 --device ib0` would leave ib0 as it is, and say nothing. */
function refuseIdleSelector(
  option: string,
  name: string,
  given: readonly GivenOption[],
  selectors: GivenEdits["selectors"],
): void {
  const isAbout = (path: string): boolean =>
    (SELECTORS_OF[path.split(".")[0] ?? ""] ?? []).some((selector) => optionOf(selector) === option);
  const isOnly = new Set(selectors.filter((one) => one.option === option).map((one) => one.name)).size === 1;
  const isUsed = given.some(
    ({ path, after }) => isAbout(path) && (isOnly || Object.values(after).includes(name)),
  );
  if (isUsed) return;
  throw invalid(
    `${option} ${name} says what the options after it are about, and none follows`,
    "put what is to be set behind it, or use PATH=VALUE",
  );
}

/** "--file-system" of "fileSystem". */
export function optionOf(selector: keyof Selectors): string {
  return `--${selector.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function invalid(what: string, fix: string): MusterError {
  return new MusterError({ code: "argument-invalid", what, fix });
}
