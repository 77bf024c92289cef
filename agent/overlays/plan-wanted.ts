import { dirname } from "node:path";

import { differenceOf } from "./describe-difference.ts";
import type { PlaceFacts } from "./gather-overlay-facts.ts";
import { mustBeWritable, type PlanDraft, shownIn, stagedFor, willReplace } from "./overlay-plan-draft.ts";
import type { Attributes, Covered, WantedPath } from "./runtime-state.ts";

const IMPLICIT: Attributes = { mode: 0o755, uid: 0, gid: 0, xattrs: {} };

/** A path that is to be on the node: put where it is missing or differs; what it covers is kept. */
export function planWanted(plan: PlanDraft, wanted: WantedPath, found: PlaceFacts): void {
  const { place } = found;
  const { what } = wanted;
  const before = plan.ownedBefore.get(place);
  mustNotBeOurs(plan, wanted, place);
  const difference = differenceOf(wanted, found);
  const needsContent = difference !== undefined && what.kind === "file" && found.digest !== what.digest;
  const isDrift =
    difference !== undefined &&
    (before !== undefined || found.obstacle !== undefined) &&
    plan.options.isAppliedWant(wanted);
  // What somebody made of an unchanged path is no reason to refuse everything else.
  const isBlocked = isDrift && obstacleTo(plan, wanted, found) !== undefined;
  const isLeft =
    isBlocked ||
    (needsContent && plan.options.unavailable.has(what.digest)) ||
    (isDrift && !plan.options.repairs);
  if (isDrift) plan.drift.push({ path: wanted.path, what: difference, isRepaired: !isLeft });
  if (isLeft) {
    if (before !== undefined) plan.owned.push(before);
    return;
  }
  plan.owned.push({
    path: wanted.path,
    place,
    type: what.kind,
    covered: before?.covered ?? cover(plan, found, wanted),
  });
  // What the image has may already be what is wanted. It is replaced all the same: what it was is kept, and what
  // is there is ours. A directory that is right is left alone, unless its content has to go.
  const isRight =
    difference === undefined && !(found.type === "directory" && wanted.clears && before === undefined);
  const isOurs = before !== undefined || found.type === "absent" || found.type === "directory";
  if (!(isRight && isOurs)) planPutting(plan, wanted, found);
}

function planPutting(plan: PlanDraft, want: WantedPath, found: PlaceFacts): void {
  const { place } = found;
  const { what, attributes } = want;
  const before = plan.ownedBefore.get(place);
  mustBeWritable(plan, place);
  plan.changed.push(want.path);
  if (what.kind === "directory" && found.type === "directory" && !(want.clears && before === undefined)) {
    plan.puts.push({ kind: "set-directory", place, attributes });
    return;
  }
  const obstacle = obstacleTo(plan, want, found);
  if (obstacle !== undefined) plan.problems.push(`${want.path}: ${obstacle}`);
  willReplace(plan, place, found);
  if (what.kind === "absent") {
    plan.puts.push({ kind: "remove", place });
    return;
  }
  const staged = stagedFor(plan, place);
  const labelFrom = found.type === what.kind ? { labelFrom: place } : {};
  plan.stagings.push({ staged, place, what, attributes, ...labelFrom });
  plan.puts.push({ kind: "put", place, staged, clears: want.clears });
}

/** Why a wanted path cannot be put where it belongs: something is there, or on the way, that is not the overlay's. */
function obstacleTo(plan: PlanDraft, want: WantedPath, found: PlaceFacts): string | undefined {
  if (found.obstacle !== undefined) return found.obstacle;
  const before = plan.ownedBefore.get(found.place);
  if (want.clears || found.type === "absent") return undefined;
  const isOurs = before !== undefined && before.covered.kind !== "directory";
  if (found.type === "directory" && want.what.kind !== "directory") {
    if (!isOurs) return "a directory is there; delete it in the overlay first if it has to go";
    const stranger = plan.facts.strangers.get(found.place);
    return stranger === undefined ? undefined : `a directory is there, and holds ${shownIn(plan, stranger)}`;
  }
  return found.type !== "directory" && want.what.kind === "directory" && !isOurs
    ? "something is there that is no directory; delete it in the overlay first if it has to go"
    : undefined;
}

/** What has to be kept of what is at a place that was not the overlay's until now. */
function cover(plan: PlanDraft, found: PlaceFacts, { what, clears, attributes }: WantedPath): Covered {
  if (found.type === "absent") return { kind: "nothing" };
  if (found.type === "directory" && what.kind === "directory" && !clears) {
    const { mode, uid, gid } = found;
    const kept = Object.keys(attributes.xattrs).flatMap((name) => {
      const hex = found.xattrs?.[name];
      return hex === undefined ? [] : [[name, hex] as const];
    });
    return { kind: "directory", attributes: { mode, uid, gid, xattrs: Object.fromEntries(kept) } };
  }
  const name = plan.options.nameOf(found.place);
  plan.saves.push({ from: found.place, name });
  return { kind: "saved", name, type: found.type };
}

function mustNotBeOurs(plan: PlanDraft, { path, what, clears }: WantedPath, place: string): void {
  const state = dirname(plan.options.staging);
  const isReplaced = what.kind !== "directory" || clears;
  if (isAtOrBelow(place, state) || (isReplaced && isAtOrBelow(state, place))) {
    plan.problems.push(`${path}: the agent itself needs ${shownIn(plan, state)}`);
  }
}

function isAtOrBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

/**
 * Directories on the way are made, 0755 root, and are the overlay's. `neededBy`: a path below it; undefined: only such that
 * cannot be put now.
 */
export function planParent(plan: PlanDraft, place: string, neededBy: string | undefined): void {
  const found = plan.facts.ancestors.get(place);
  if (found === undefined) return;
  if (found.type === "directory" || neededBy === undefined) {
    const before = plan.ownedBefore.get(place);
    if (before?.type === "directory" && before.covered.kind === "nothing")
      plan.owned.push({ ...before, path: shownIn(plan, place) });
    return;
  }
  if (found.type !== "absent") {
    plan.problems.push(`${neededBy}: ${shownIn(plan, place)} is no directory`);
    return;
  }
  mustBeWritable(plan, place);
  const staged = stagedFor(plan, place);
  plan.stagings.push({ staged, place, what: { kind: "directory" }, attributes: IMPLICIT });
  plan.puts.push({ kind: "put", place, staged, clears: false });
  plan.owned.push({ path: shownIn(plan, place), place, type: "directory", covered: { kind: "nothing" } });
}
