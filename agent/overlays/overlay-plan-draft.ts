import type { OverlayFacts } from "./gather-overlay-facts.ts";
import type { PathStat } from "./node-disk.ts";
import { ancestorsOf } from "./parse-manifest.ts";
import { type Mount, mountOf } from "./parse-mount-info.ts";
import { shownAs } from "./runtime-host.ts";
import type { AppliedOverlay, CommitStep, OwnedPlace } from "./runtime-state.ts";
import type { PlannedDrift, PlanOptions, Staging, UpdatePlan } from "./update-plan.ts";

/** A plan in the making: what it follows from, and the parts of it that are known so far. */
export interface PlanDraft {
  readonly facts: OverlayFacts;
  readonly options: PlanOptions;
  /** By place. */
  readonly ownedBefore: ReadonlyMap<string, OwnedPlace>;
  /** Where files are made. */
  readonly home: Mount;
  readonly problems: string[];
  readonly saves: { readonly from: string; readonly name: string }[];
  readonly stagings: Staging[];
  readonly recoveries: { readonly from: string; readonly staged: string }[];
  readonly probes: string[];
  /** What goes, before anything is put. */
  readonly leaves: CommitStep[];
  readonly puts: CommitStep[];
  readonly owned: OwnedPlace[];
  readonly changed: string[];
  readonly drift: PlannedDrift[];
}

/** A draft of nothing yet. */
export function openDraft(applied: AppliedOverlay, facts: OverlayFacts, options: PlanOptions): PlanDraft {
  return {
    facts,
    options,
    ownedBefore: new Map(applied.owned.map((each) => [each.place, each])),
    home: mountOf(facts.mounts, options.staging),
    problems: [],
    saves: [],
    stagings: [],
    recoveries: [],
    probes: [],
    leaves: [],
    puts: [],
    owned: [],
    changed: [],
    drift: [],
  };
}

/** The plan, in the order it has to be done. */
export function finishDraft(plan: PlanDraft): UpdatePlan {
  return {
    problems: [...new Set(plan.problems)],
    saves: plan.saves,
    stagings: plan.stagings,
    recoveries: plan.recoveries,
    probes: plan.probes,
    // Parents first: a place is shorter than what is below it.
    steps: [...plan.leaves, ...plan.puts.toSorted((a, b) => a.place.length - b.place.length)],
    owned: plan.owned.toSorted((a, b) => (a.place < b.place ? -1 : 1)),
    changed: plan.changed,
    drift: plan.drift,
  };
}

/** A place as it is named to people. */
export function shownIn({ options }: PlanDraft, place: string): string {
  return shownAs(options.root, place);
}

/** A rename cannot leave its mount: what goes to another one is made there, in the nearest directory that stays. */
export function stagedFor(plan: PlanDraft, place: string): string {
  const mount = mountOf(plan.facts.mounts, place);
  const name = plan.options.nameOf(place);
  if (mount.point === plan.home.point) return `${plan.options.staging}/${name}`;
  const beside = ancestorsOf(place).find((each) => {
    const before = plan.ownedBefore.get(each);
    const stays = before === undefined || before.covered.kind === "directory";
    const isHere = mountOf(plan.facts.mounts, each).point === mount.point;
    return stays && isHere && plan.facts.ancestors.get(each)?.type === "directory";
  });
  return `${beside ?? mount.point}/.muster-${plan.options.salt}${name}`;
}

/** A problem where it is not. */
export function mustBeWritable(plan: PlanDraft, place: string): void {
  const mount = mountOf(plan.facts.mounts, place);
  if (mount.isReadOnly)
    plan.problems.push(`${shownIn(plan, place)}: ${shownIn(plan, mount.point)} is mounted read-only`);
}

function mustNotBeMounted(plan: PlanDraft, place: string): void {
  const mounted = plan.facts.mounts.find(({ point }) => point === place || point.startsWith(`${place}/`));
  if (mounted !== undefined)
    plan.problems.push(`${shownIn(plan, place)}: something is mounted on ${shownIn(plan, mounted.point)}`);
}

/** What is there is asked whether it may be replaced, before anything is. */
export function willReplace(plan: PlanDraft, place: string, { type }: PathStat): void {
  mustNotBeMounted(plan, place);
  if (type !== "absent" && type !== "directory") plan.probes.push(place);
}
