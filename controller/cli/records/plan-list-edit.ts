import { MusterError } from "#proto/contract/muster-error.ts";

import { fieldAt, setFieldValue } from "../../fields/edit-fields.ts";
import type { Fields } from "../../fields/fields.ts";
import { expandProfiles, type FieldsMerger, type Profiles } from "../../fields/merge-fields.ts";
import { parseYamlValue } from "./parse-yaml-value.ts";
import type { FieldEdit } from "./plan-field-edits.ts";

/** What records take from. */
export interface FieldSources {
  readonly profiles: Profiles;
  readonly merger: FieldsMerger;
}

/**
 * What an edit makes of a list of words at a path: the whole of it, or one word more or less than there is in effect. Error:
 * `argument-invalid` for a word that would be taken out again.
 */
export function planListEdit(fields: Fields, edit: FieldEdit, at: string, sources: FieldSources): Fields {
  const words = edit.texts.filter((text) => text !== "");
  const after = withWords(fields, edit, words, at, sources);
  if (edit.action === "append") refuseIdleWords(after, edit, words, at, sources);
  if (edit.action === "set") refuseIdleWords(after, edit, wordsAt(after, at), at, sources);
  return after;
}

function withWords(
  fields: Fields,
  { from, action, place }: FieldEdit,
  words: readonly string[],
  at: string,
  sources: FieldSources,
): Fields {
  if (action === "set") {
    // an option is one word whatever it looks like; an assignment is the whole list
    const [whole = ""] = words;
    const isYaml = "path" in place && whole.trimStart().startsWith("[");
    return isYaml ? setFieldValue(fields, at, parseYamlValue(whole, from)) : setFieldValue(fields, at, words);
  }
  const own = wordsAt(fields, at);
  const inherited = inheritedAt(fields, at, words, sources);
  const after = action === "append" ? appended(own, words, inherited) : removed(own, words, inherited);
  return setFieldValue(fields, at, after);
}

/** What is in the list without these words of the record's own. */
function inheritedAt(
  fields: Fields,
  at: string,
  words: readonly string[],
  { merger, profiles }: FieldSources,
): readonly string[] {
  if (at !== "profiles") return wordsAt(merger.merge(setFieldValue(fields, at, [])), at);
  const others = wordsAt(fields, at).filter((name) => !name.startsWith("~") && !words.includes(name));
  return expandProfiles(others, profiles);
}

/** "~x" of a profile takes every x out, also that of whom it is given to: saying x again changes nothing. */
function refuseIdleWords(
  fields: Fields,
  { from }: FieldEdit,
  words: readonly string[],
  at: string,
  { profiles }: FieldSources,
): void {
  const applied = expandProfiles(fields.profiles ?? [], profiles);
  for (const word of words) {
    const culprit = applied.find((name) => wordsAt(profiles.get(name) ?? {}, at).includes(`~${word}`));
    if (culprit === undefined) continue;
    throw invalid(
      `${from} ${word}: profile ${culprit} takes it out (~${word}), whoever says it`,
      `muster profile set ${culprit} ${at}-=~${word}`,
    );
  }
}

/** A word that the record has anyway is not put in twice; "~x" that kept it out is taken back. */
function appended(
  own: readonly string[],
  words: readonly string[],
  inherited: readonly string[],
): readonly string[] {
  return words.reduce<readonly string[]>((list, word) => {
    const open = list.filter((one) => one !== `~${word}`);
    return open.includes(word) || inherited.includes(word) ? open : [...open, word];
  }, own);
}

/** Out of the record's own list, and with "~x" when a profile has it. */
function removed(
  own: readonly string[],
  words: readonly string[],
  inherited: readonly string[],
): readonly string[] {
  return words.reduce<readonly string[]>((list, word) => {
    const left = list.filter((one) => one !== word);
    return !inherited.includes(word) || left.includes(`~${word}`) ? left : [...left, `~${word}`];
  }, own);
}

function wordsAt(fields: Fields, at: string): readonly string[] {
  const found = fieldAt(fields, at);
  return Array.isArray(found) ? (found as readonly string[]) : [];
}

function invalid(what: string, fix: string): MusterError {
  return new MusterError({ code: "argument-invalid", what, fix });
}
