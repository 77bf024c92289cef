import { closestWords } from "#proto/contract/closest-words.ts";
import type { ErrorCode } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";
import type { Fields } from "../fields/fields.ts";
import type { ChangeFinding } from "./change-refused.ts";
import type { InventoryRecord, RecordChange } from "./changes.ts";
import type { InventoryFacts } from "./inventory-view.ts";

/** One part of a change, with the record before and after. */
export interface ChangeStep {
  readonly change: RecordChange;
  readonly before: InventoryRecord | undefined;
  readonly after: InventoryRecord | undefined;
}

/** Something wrong with a change, and the code of the error it makes when it is alone. */
export interface ChangeProblem extends ChangeFinding {
  readonly code: ErrorCode;
}

/** The steps with what names profiles put right after renames, and all names that lead nowhere. */
export interface PlannedReferences {
  readonly steps: readonly ChangeStep[];
  /** Records that are no part of the change and name a profile that is called something else now. */
  readonly followers: readonly ChangeStep[];
  readonly problems: readonly ChangeProblem[];
}

/** Looks at everything that records name: profiles, images, overlays. What a record named before is not looked at again. */
export function planReferences(
  base: InventoryFacts,
  asGiven: readonly ChangeStep[],
  there: { readonly images: ReadonlySet<string>; readonly overlays: ReadonlySet<string> | undefined },
): PlannedReferences {
  const profileSteps = asGiven.filter(({ change }) => change.kind === "profile");
  const renamed = new Map(
    profileSteps.flatMap(({ before, after }) =>
      before === undefined || after === undefined || before.name === after.name
        ? []
        : [[before.name, after.name] as const],
    ),
  );
  const steps = renamed.size === 0 ? asGiven : asGiven.map((step) => followed(step, renamed));
  const inChange = new Set(steps.map(({ change: { kind, name } }) => `${kind} ${name}`));
  const others = (): readonly InventoryRecord[] =>
    recordsOf(base).filter(({ kind, name }) => !inChange.has(`${kind} ${name}`));
  const followers =
    renamed.size === 0
      ? []
      : others().flatMap((record) => {
          const step = followed({ change: unchanged(record), before: record, after: record }, renamed);
          return step.after === record ? [] : [step];
        });
  const profiles = profilesAfter(base, steps);
  return {
    steps,
    followers,
    problems: [
      ...unknownProfiles(steps, profiles),
      ...profilesInUse(profileSteps, others),
      ...(profileSteps.length === 0 ? [] : cycles(profiles, profileSteps)),
      ...unknownNames(steps, there.images, ({ image }) => (image === undefined ? [] : [image]), noImage),
      ...(there.overlays === undefined ? [] : unknownNames(steps, there.overlays, overlaysOf, noOverlay)),
    ],
  };
}

function followed(step: ChangeStep, renamed: ReadonlyMap<string, string>): ChangeStep {
  const { before, after } = step;
  const list = after?.fields.profiles;
  if (after === undefined || list === undefined) return step;
  const profiles = list.map((item) => {
    const sign = item.startsWith("~") ? "~" : "";
    const name = renamed.get(item.slice(sign.length));
    return name === undefined ? item : sign + name;
  });
  if (profiles.every((item, at) => item === list[at])) return step;
  const revision = before === after ? after.revision + 1 : after.revision;
  return { ...step, after: { ...after, revision, fields: { ...after.fields, profiles } } };
}

function unchanged({ kind, name, revision, fields }: InventoryRecord): RecordChange {
  return { kind, name, revision, fields };
}

function recordsOf(base: InventoryFacts): readonly InventoryRecord[] {
  return [...base.profiles(), ...[...base.nodes()].map(({ record }) => record)];
}

/** The lists of profiles of all profiles there are after the change. */
function profilesAfter(
  base: InventoryFacts,
  steps: readonly ChangeStep[],
): ReadonlyMap<string, readonly string[]> {
  const lists = new Map([...base.profiles()].map(({ name, fields }) => [name, fields.profiles ?? []]));
  const own = steps.filter(({ change }) => change.kind === "profile");
  for (const { change } of own) lists.delete(change.name);
  for (const { after } of own) if (after !== undefined) lists.set(after.name, after.fields.profiles ?? []);
  return lists;
}

function unknownProfiles(
  steps: readonly ChangeStep[],
  profiles: ReadonlyMap<string, unknown>,
): readonly ChangeProblem[] {
  const users = new Map<string, InventoryRecord[]>();
  for (const { after } of steps) {
    for (const item of after?.fields.profiles ?? []) {
      const name = bare(item);
      if (after === undefined || profiles.has(name)) continue;
      const named = users.get(name);
      if (named === undefined) users.set(name, [after]);
      else named.push(after);
    }
  }
  return [...users].map(([name, records]) => {
    const close = closestWords(name, profiles.keys());
    return {
      code: "profile-unknown" as const,
      at: titlesOf(records),
      what: `there is no profile ${JSON.stringify(name)}`,
      fix:
        close.length > 0
          ? `did you mean ${close.join(" or ")}?`
          : `\`muster profile add ${name}\` makes it; \`muster profile list\` shows those there are`,
    };
  });
}

function profilesInUse(
  profileSteps: readonly ChangeStep[],
  others: () => readonly InventoryRecord[],
): readonly ChangeProblem[] {
  const deleted = new Set(
    profileSteps.flatMap(({ before, after }) =>
      after === undefined && before !== undefined ? [before.name] : [],
    ),
  );
  if (deleted.size === 0) return [];
  const users = new Map<string, InventoryRecord[]>();
  for (const record of others()) {
    for (const name of new Set((record.fields.profiles ?? []).map(bare))) {
      if (deleted.has(name)) users.set(name, [...(users.get(name) ?? []), record]);
    }
  }
  return [...users].map(([name, records]) => ({
    code: "profile-in-use" as const,
    at: "",
    what: `profile ${name} is used by ${titlesOf(records)}`,
    fix: "take it from their lists of profiles first, or in the same change",
  }));
}

/** Each cycle once, as the way around it. */
function cycles(
  profiles: ReadonlyMap<string, readonly string[]>,
  profileSteps: readonly ChangeStep[],
): readonly ChangeProblem[] {
  const problems: ChangeProblem[] = [];
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    const at = path.indexOf(name);
    if (at >= 0) {
      problems.push({
        code: "profile-cycle",
        at: `profile ${name}`,
        what: `it includes itself: ${[...path.slice(at), name].join(" -> ")}`,
        fix: "take one of them out of the list of the one before it",
      });
      return;
    }
    if (done.has(name)) return;
    for (const next of profiles.get(name) ?? []) {
      if (!next.startsWith("~")) visit(next, [...path, name]);
    }
    done.add(name);
  };
  for (const { after } of profileSteps) if (after !== undefined) visit(after.name, []);
  return problems;
}

function unknownNames(
  steps: readonly ChangeStep[],
  there: ReadonlySet<string>,
  namesIn: (fields: Fields) => readonly string[],
  problem: (name: string, at: string, there: ReadonlySet<string>) => ChangeProblem,
): readonly ChangeProblem[] {
  const users = new Map<string, InventoryRecord[]>();
  for (const { before, after } of steps) {
    if (after === undefined) continue;
    for (const name of namesIn(after.fields)) {
      if (there.has(name) || (before !== undefined && namesIn(before.fields).includes(name))) continue;
      const named = users.get(name);
      if (named === undefined) users.set(name, [after]);
      else named.push(after);
    }
  }
  return [...users].map(([name, records]) => problem(name, titlesOf(records), there));
}

function noImage(name: string, at: string, there: ReadonlySet<string>): ChangeProblem {
  return {
    code: "image-unknown",
    at,
    what: `there is no image ${JSON.stringify(name)}`,
    fix:
      there.size === 0
        ? "import one first: `muster image import DIR --name NAME`"
        : `there are: ${[...there].join(", ")}; \`muster image import\` adds another`,
  };
}

function noOverlay(name: string, at: string, there: ReadonlySet<string>): ChangeProblem {
  return {
    code: "overlay-unknown",
    at,
    what: `there is no overlay ${JSON.stringify(name)}`,
    fix:
      there.size === 0
        ? "there is none yet: make NAME/rootfs below paths.overlays (docs/overlays.md)"
        : `there are: ${[...there].join(", ")}`,
  };
}

function overlaysOf({ overlays = [], runtimeOverlays = [] }: Fields): readonly string[] {
  return [...new Set([...overlays, ...runtimeOverlays])].filter((name) => !name.startsWith("~"));
}

function bare(item: string): string {
  return item.startsWith("~") ? item.slice(1) : item;
}

/** "profile gpu, c[001-004]". */
function titlesOf(records: readonly InventoryRecord[]): string {
  const nodes = records.filter(({ kind }) => kind === "node").map(({ name }) => name);
  return [
    ...records.filter(({ kind }) => kind === "profile").map(({ name }) => `profile ${name}`),
    ...(nodes.length === 0 ? [] : [foldNodeSet(nodes)]),
  ].join(", ");
}
