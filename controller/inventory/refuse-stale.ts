import { MusterError } from "#proto/contract/muster-error.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";
import { redactSecrets } from "../fields/keep-secrets.ts";
import { ChangeRefused, recordTitle } from "./change-refused.ts";
import type { InventoryRecord, RecordChange, RecordKind } from "./changes.ts";
import { findRecord, type InventoryFacts } from "./inventory-view.ts";

/** A record is changed, or becomes another, once in a change. */
export function refuseRepeated(changes: readonly RecordChange[]): void {
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

/** All records that are not what the author saw, at once. A record that is new to the author must not exist. */
export function refuseStale(base: InventoryFacts, changes: readonly RecordChange[]): void {
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
          ? `${recordTitle(kind, name)} was deleted meanwhile: the change was made for revision ${revision}`
          : `${recordTitle(kind, name)} was changed meanwhile: it has revision ${current.revision}, the change was made for revision ${revision}`,
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

function namesOf(changes: readonly Pick<RecordChange, "kind" | "name">[]): string {
  const ofKind = (kind: RecordKind): readonly string[] =>
    changes.filter((change) => change.kind === kind).map(({ name }) => name);
  const nodes = ofKind("node");
  return [
    ...(nodes.length === 0 ? [] : [foldNodeSet(new Set(nodes))]),
    ...ofKind("profile").map((name) => `profile ${name}`),
  ].join(", ");
}

/** A record for people: without its secrets. */
function shown(record: InventoryRecord): InventoryRecord {
  return { ...record, fields: redactSecrets(record.fields) };
}
