import { MusterError } from "#proto/contract/muster-error.ts";
import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";
import { effectiveNode } from "../fields/effective-node.ts";
import type { Fields } from "../fields/fields.ts";
import { keepSecrets, redactSecrets } from "../fields/keep-secrets.ts";
import { type FieldsMerger, openMerger } from "../fields/merge-fields.ts";
import { PROFILE_NAME } from "../fields/parse-field-value.ts";
import { validateEffective } from "../fields/validate-effective.ts";
import { validateFields } from "../fields/validate-fields.ts";
import { type ChangeFinding, ChangeRefused } from "./change-refused.ts";
import type { InventoryRecord, RecordChange, RecordedEffect, RecordKind } from "./changes.ts";
import type { MachineId } from "./inventory.ts";
import {
  afterDelta,
  type Claim,
  claimKey,
  claimsOf,
  type InventoryDelta,
  type InventoryFacts,
  type NodeEntry,
} from "./inventory-view.ts";
import { type ChangeProblem, type ChangeStep, planReferences } from "./plan-references.ts";

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

/** More help nobody. */
const MOST_FINDINGS = 1000;

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

function findRecord(facts: InventoryFacts, kind: RecordKind, name: string): InventoryRecord | undefined {
  return kind === "node" ? facts.findNode(name)?.record : facts.findProfile(name);
}

/** A record and what it is merged with its profiles. */
export function entryOf(
  record: InventoryRecord,
  merged: Fields,
  known: { readonly machine: MachineId; readonly createdAt: Date; readonly updatedAt: Date },
): NodeEntry {
  const name = record.name as NodeName;
  const { machine, createdAt, updatedAt } = known;
  return {
    record,
    claims: claimsOf(name, merged),
    node: { ...effectiveNode(merged), name, revision: record.revision, machine, createdAt, updatedAt },
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
    problems.push({ ...finding, code: "request-invalid", at: `${title(kind, name)}: ${finding.at}` });
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

/** Merges every node that the change may make another, and looks for what two of them claim. */
function* planDelta(
  base: InventoryFacts,
  steps: readonly ChangeStep[],
  circumstances: CommitCircumstances,
  problems: ChangeProblem[],
): Generator<void, InventoryDelta> {
  const profiles = new Map<string, InventoryRecord | undefined>();
  const written = new Map<string, { readonly before: NodeEntry | undefined; readonly step: ChangeStep }>();
  const nodes = new Map<string, NodeEntry | undefined>();
  for (const step of steps) {
    const { kind, name } = step.change;
    if (kind === "profile") {
      profiles.set(name, undefined);
      if (step.after !== undefined) profiles.set(step.after.name, step.after);
      continue;
    }
    nodes.set(name, undefined);
    if (step.after !== undefined) written.set(step.after.name, { before: base.findNode(name), step });
  }
  const merger = openMerger(profileFields(afterDelta(base, { profiles, nodes, claims: new Map() })));
  const check = openEffectiveCheck(base);
  for (const [name, { before, step }] of written) {
    if (step.after === undefined) continue;
    const machine = before?.node.machine ?? circumstances.machines.get(name) ?? {};
    const createdAt = before?.node.createdAt ?? circumstances.now;
    const merged = merger.merge(step.after.fields);
    check.look(name, merged, before?.record);
    nodes.set(name, entryOf(step.after, merged, { machine, createdAt, updatedAt: circumstances.now }));
    yield;
  }
  if (profiles.size > 0) {
    const affected = affectedBy(base, profiles);
    for (const { record, node } of base.nodes()) {
      if (nodes.has(record.name) || !usesAny(record.fields, affected)) continue;
      const merged = merger.merge(record.fields);
      check.look(record.name, merged, record);
      nodes.set(record.name, entryOf(record, merged, node));
      yield;
    }
  }
  problems.push(...check.problems());
  return { profiles, nodes, claims: yield* planClaims(base, nodes, problems) };
}

/** Looks for what is wrong with nodes as they will be; what was wrong with one before is no reason to refuse the change. */
function openEffectiveCheck(base: InventoryFacts): {
  readonly look: (name: string, merged: Fields, before: InventoryRecord | undefined) => void;
  readonly problems: () => readonly ChangeProblem[];
} {
  const found = new Map<string, { readonly finding: ChangeFinding; readonly names: string[] }>();
  let mergerBefore: FieldsMerger | undefined;
  const keyOf = ({ at, what }: ChangeFinding): string => `${at}: ${what}`;
  return {
    look: (name, merged, before) => {
      const findings = validateEffective(merged);
      if (findings.length === 0) return;
      mergerBefore ??= openMerger(profileFields(base));
      const known = new Set(
        before === undefined ? [] : validateEffective(mergerBefore.merge(before.fields)).map(keyOf),
      );
      for (const finding of findings) {
        const key = keyOf(finding);
        if (known.has(key)) continue;
        const same = found.get(key);
        if (same === undefined) found.set(key, { finding, names: [name] });
        else same.names.push(name);
      }
    },
    problems: () =>
      [...found.values()].map(({ finding, names }) => ({
        ...finding,
        code: "request-invalid",
        at: `${foldNodeSet(names)}: ${finding.at}`,
      })),
  };
}

function* planClaims(
  base: InventoryFacts,
  nodes: ReadonlyMap<string, NodeEntry | undefined>,
  problems: ChangeProblem[],
): Generator<void, ReadonlyMap<string, Claim | undefined>> {
  const claims = new Map<string, Claim | undefined>();
  for (const name of nodes.keys()) {
    for (const claim of base.findNode(name)?.claims ?? []) {
      const key = claimKey(claim);
      if (base.findClaim(key)?.owner === name) claims.set(key, undefined);
    }
    yield;
  }
  for (const entry of nodes.values()) {
    for (const claim of entry?.claims ?? []) {
      const key = claimKey(claim);
      const other = claims.has(key) ? claims.get(key) : base.findClaim(key);
      if (other === undefined) claims.set(key, claim);
      else if (problems.length < MOST_FINDINGS) problems.push(claimProblem(claim, other));
    }
    yield;
  }
  return claims;
}

function claimProblem({ field, value, owner, where }: Claim, other: Claim): ChangeProblem {
  return {
    code: field === "mac" ? "mac-in-use" : "address-in-use",
    at: `${owner} ${where}`,
    what: `${value} already belongs to ${other.owner} ${other.where}`,
    fix: `take it from ${other.owner} first (\`muster node show ${other.owner}\`), or give ${owner} another one`,
  };
}

/** The profiles whose meaning a change of some of them changes: themselves, and what includes them. */
function affectedBy(base: InventoryFacts, changed: ReadonlyMap<string, unknown>): ReadonlySet<string> {
  const affected = new Set(changed.keys());
  const others = [...base.profiles()];
  for (let grew = true; grew; ) {
    const before = affected.size;
    for (const { name, fields } of others) if (usesAny(fields, affected)) affected.add(name);
    grew = affected.size > before;
  }
  return affected;
}

function usesAny(fields: Fields, names: ReadonlySet<string>): boolean {
  return fields.profiles?.some((name) => names.has(name)) ?? false;
}

export function profileFields(facts: Pick<InventoryFacts, "profiles">): ReadonlyMap<string, Fields> {
  return new Map([...facts.profiles()].map(({ name, fields }) => [name, fields]));
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

function refuseRepeated(changes: readonly RecordChange[]): void {
  const seen = new Set<string>();
  const repeated = changes.filter(({ kind, name }) => seen.size === seen.add(`${kind} ${name}`).size);
  // Two that become one.
  const targets = new Set<string>();
  for (const change of changes) {
    if (change.renameTo === undefined || change.renameTo === change.name) continue;
    const key = `${change.kind} ${change.renameTo}`;
    if (seen.has(key) || targets.has(key)) repeated.push({ ...change, name: change.renameTo });
    targets.add(key);
  }
  if (repeated.length === 0) return;
  throw new MusterError({
    code: "argument-invalid",
    what: `named more than once in one change: ${namesOf(repeated)}`,
    fix: "name each node or profile once",
  });
}

function namesOf(changes: readonly Pick<RecordChange, "kind" | "name">[]): string {
  const ofKind = (kind: RecordKind): readonly string[] =>
    changes.filter((change) => change.kind === kind).map(({ name }) => name);
  const nodes = ofKind("node");
  return [
    ...(nodes.length === 0 ? [] : [foldNodeSet(new Set(nodes))]),
    ...ofKind("profile").map((name) => `profile ${name}`),
  ].join(", ");
}

/** All records that are not what the author saw, at once. A record that is new to the author must not exist. */
function refuseStale(base: InventoryFacts, changes: readonly RecordChange[]): void {
  const stale = changes.flatMap((change) => {
    const current = findRecord(base, change.kind, change.name);
    // The second of two that add the same is told so by node-exists.
    const isAdded = change.revision === 0 && change.fields !== undefined;
    if (isAdded || (current?.revision ?? 0) === change.revision) return [];
    return [{ change, current }];
  });
  if (stale.length === 0) return;
  throw new ChangeRefused(
    "revision-stale",
    stale.map(({ change: { kind, name, revision }, current }) => ({
      at: "",
      what:
        current === undefined
          ? `${title(kind, name)} was deleted meanwhile: the change was made for revision ${revision}`
          : `${title(kind, name)} was changed meanwhile: it has revision ${current.revision}, the change was made for revision ${revision}`,
      fix: `look at it again (\`muster ${kind} show ${name}\`) and repeat the change if it still applies`,
    })),
    {
      current: stale.map(({ current }) => (current === undefined ? null : shown(current))),
      yours: stale.map(({ change }) => ({
        ...change,
        fields: change.fields === undefined ? null : redactSecrets(change.fields),
      })),
    },
  );
}

function title(kind: RecordKind, name: string): string {
  return kind === "node" ? name : `profile ${name}`;
}

/** A record for people: without its secrets. */
function shown(record: InventoryRecord): InventoryRecord {
  return { ...record, fields: redactSecrets(record.fields) };
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
