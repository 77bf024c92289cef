import { MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import type { Fields } from "../fields/fields.ts";
import { keepSecrets } from "../fields/keep-secrets.ts";
import { PROFILE_NAME } from "../fields/parse-field-value.ts";
import { validateFields } from "../fields/validate-fields.ts";
import { ChangeRefused, MOST_FINDINGS, recordTitle } from "./change-refused.ts";
import type { InventoryRecord, RecordChange, RecordedEffect, RecordKind } from "./changes.ts";
import type { MachineId } from "./inventory.ts";
import { afterDelta, findRecord, type InventoryDelta, type InventoryFacts } from "./inventory-view.ts";
import { planDelta } from "./plan-delta.ts";
import { type ChangeProblem, type ChangeStep, planReferences } from "./plan-references.ts";
import { refuseRepeated, refuseStale } from "./refuse-stale.ts";

/** What a planner of changes must know besides the inventory itself. */
export interface CommitCircumstances {
  readonly now: Date;
  readonly images: ReadonlySet<string>;
  /** Undefined: overlays are not looked at. */
  readonly overlays: ReadonlySet<string> | undefined;
  /** What is known of the machines behind new nodes. */
  readonly machines: ReadonlyMap<string, MachineId>;
  /** The first revision of a record that does not exist: greater than any that one of its name ever had. */
  readonly firstRevision: (kind: RecordKind, name: string) => number;
}

/** A record whose row is written; `from`: the name it had, where that was another. */
export interface WrittenRecord {
  readonly record: InventoryRecord;
  readonly from?: string;
}

/** An effect on a node or profile, with its revision after it, or the last it had. */
interface PlannedEffect extends RecordedEffect {
  readonly kind: RecordKind;
  readonly revision: number;
}

/** What there is to do for a change, all of it decided. */
export interface CommitPlan {
  readonly delta: InventoryDelta;
  readonly written: readonly WrittenRecord[];
  readonly deleted: readonly InventoryRecord[];
  /** In the order of the change; records that follow a rename come after them. */
  readonly effects: readonly PlannedEffect[];
  /** What the records of the change are afterwards. */
  readonly records: readonly InventoryRecord[];
}

/**
 * Decides what a change does, or throws {@link ChangeRefused} with all that is wrong with it. Pure; it yields after each
 * piece of work, so that whoever drives it can let others have their turn: a profile of 10,000 nodes takes some 100 ms.
 */
export function* planCommit(
  base: InventoryFacts,
  changes: readonly RecordChange[],
  circumstances: CommitCircumstances,
): Generator<void, CommitPlan> {
  refuseRepeated(changes);
  refuseStale(base, changes);
  const problems: ChangeProblem[] = [];
  const asGiven = yield* planSteps(base, changes, circumstances, problems);
  const references = planReferences(base, asGiven, circumstances);
  const { steps } = references;
  problems.push(...references.problems);
  const differing = [...steps, ...references.followers].filter(isDifferent);
  // What names a profile that is not there cannot be merged.
  if (problems.some(({ code }) => code === "profile-unknown" || code === "profile-in-use")) {
    throw refused(problems);
  }
  const delta = yield* planDelta(base, differing, circumstances, problems);
  if (problems.length > 0) throw refused(problems);
  const after = afterDelta(base, delta);
  return {
    delta,
    written: differing.flatMap(({ before, after: record }) =>
      record === undefined
        ? []
        : [{ record, ...(before === undefined || before.name === record.name ? {} : { from: before.name }) }],
    ),
    deleted: differing.flatMap(({ before, after: record }) =>
      before !== undefined && record === undefined ? [before] : [],
    ),
    effects: differing.map(effectOf),
    records: steps.flatMap(({ after: record }) =>
      record === undefined ? [] : (findRecord(after, record.kind, record.name) ?? []),
    ),
  };
}

function* planSteps(
  base: InventoryFacts,
  changes: readonly RecordChange[],
  { firstRevision }: CommitCircumstances,
  problems: ChangeProblem[],
): Generator<void, readonly ChangeStep[]> {
  const steps: ChangeStep[] = [];
  for (const change of changes) {
    const before = findRecord(base, change.kind, change.name);
    const step = planStep(base, change, before, firstRevision, problems);
    if (step !== undefined) steps.push(step);
    yield;
  }
  return steps;
}

function planStep(
  base: InventoryFacts,
  change: RecordChange,
  before: InventoryRecord | undefined,
  firstRevision: CommitCircumstances["firstRevision"],
  problems: ChangeProblem[],
): ChangeStep | undefined {
  const { kind } = change;
  if (change.fields === undefined) return { change, before, after: undefined };
  const name = change.renameTo ?? change.name;
  if (change.revision === 0 || name !== change.name) {
    const problem = nameProblem(base, kind, name, change.name);
    if (problem !== undefined) {
      problems.push(problem);
      return undefined;
    }
  }
  const fields = readFields(change, before, problems);
  if (fields === undefined) return undefined;
  const isSame = before !== undefined && name === before.name && sameFields(before.fields, fields);
  if (isSame) return { change, before, after: before };
  const least = before === undefined || name !== before.name ? firstRevision(kind, name) : 1;
  return {
    change,
    before,
    after: { kind, name, fields, revision: Math.max((before?.revision ?? 0) + 1, least) },
  };
}

/** The fields of a change in canonical form, with the secrets it leaves as they are; undefined when something is wrong. */
function readFields(
  { kind, name, fields }: RecordChange,
  before: InventoryRecord | undefined,
  problems: ChangeProblem[],
): Fields | undefined {
  const kept = keepSecrets(fields ?? {}, before?.fields);
  // What is there already may stay, whatever has been learned since of what fields may hold.
  if (before !== undefined && kept.findings.length === 0 && sameFields(before.fields, kept.fields))
    return before.fields;
  const checked = validateFields(kind, kept.fields, "");
  const findings = [...kept.findings, ...checked.findings];
  for (const finding of findings) {
    problems.push({ ...finding, code: "request-invalid", at: `${recordTitle(kind, name)}: ${finding.at}` });
  }
  return findings.length > 0 ? undefined : checked.fields;
}

function nameProblem(
  base: InventoryFacts,
  kind: RecordKind,
  name: string,
  at: string,
): ChangeProblem | undefined {
  const there = findRecord(base, kind, name);
  if (there !== undefined) {
    const what = `there is a ${kind} ${name} already`;
    return {
      code: kind === "node" ? "node-exists" : "profile-exists",
      ...{ at: at === name ? "" : at, what },
      fix: `look at what is there with \`muster ${kind} show ${name}\`; \`muster ${kind} set\` changes it`,
    };
  }
  if (kind === "node") {
    try {
      parseNodeName(name);
    } catch (error) {
      if (!(error instanceof MusterError)) throw error;
      return {
        code: "name-invalid",
        at: "",
        what: error.message,
        ...(error.fix === undefined ? {} : { fix: error.fix }),
      };
    }
    return undefined;
  }
  if (PROFILE_NAME.test(name)) return undefined;
  return {
    code: "name-invalid",
    at: "",
    what: `${JSON.stringify(name.slice(0, 100))} is not the name of a profile`,
    fix: "use 1 to 63 of letters, digits, '_', '.', '-', not first '.' or '-'",
  };
}

function effectOf({ before, after }: ChangeStep): PlannedEffect {
  const named = before ?? after;
  if (named === undefined) throw new Error("a step has a record before or after");
  return {
    kind: named.kind,
    name: named.name,
    before: before?.fields,
    after: after?.fields,
    revision: after?.revision ?? named.revision,
    ...(before === undefined || after === undefined || before.name === after.name
      ? {}
      : { renamedTo: after.name }),
  };
}

function isDifferent({ before, after }: ChangeStep): boolean {
  return before !== after;
}

/** Both in canonical form, or the answer is "no" for some that are equal. */
function sameFields(a: Fields, b: Fields): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function refused(problems: readonly ChangeProblem[]): ChangeRefused {
  const codes = new Set(problems.map(({ code }) => code));
  const [code = "request-invalid"] = codes;
  return new ChangeRefused(
    codes.size === 1 ? code : "request-invalid",
    problems
      .slice(0, MOST_FINDINGS)
      .map(({ at, what, fix }) => ({ at, what, ...(fix === undefined ? {} : { fix }) })),
  );
}
