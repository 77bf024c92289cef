import type { NodeName } from "#proto/contract/node-name.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";
import { effectiveNode } from "../fields/effective-node.ts";
import type { Fields } from "../fields/fields.ts";
import { type FieldsMerger, openMerger } from "../fields/merge-fields.ts";
import { validateEffective } from "../fields/validate-effective.ts";
import type { ChangeFinding } from "./change-refused.ts";
import type { InventoryRecord } from "./changes.ts";
import type { MachineId } from "./inventory.ts";
import {
  afterDelta,
  claimsOf,
  type InventoryDelta,
  type InventoryFacts,
  type NodeEntry,
} from "./inventory-view.ts";
import { planClaims } from "./plan-claims.ts";
import type { ChangeProblem, ChangeStep } from "./plan-references.ts";

/** Merges every node that the change may make another, and looks for what two of them claim. */
export function* planDelta(
  base: InventoryFacts,
  steps: readonly ChangeStep[],
  circumstances: { readonly now: Date; readonly machines: ReadonlyMap<string, MachineId> },
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

export function profileFields(facts: Pick<InventoryFacts, "profiles">): ReadonlyMap<string, Fields> {
  return new Map([...facts.profiles()].map(({ name, fields }) => [name, fields]));
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
