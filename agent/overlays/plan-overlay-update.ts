import type { OverlayFacts, PlaceFacts } from "./gather-overlay-facts.ts";
import { finishDraft, openDraft, type PlanDraft } from "./overlay-plan-draft.ts";
import { ancestorsOf } from "./parse-manifest.ts";
import { planLeaving } from "./plan-leaving.ts";
import { planParent, planWanted } from "./plan-wanted.ts";
import { shownAs } from "./runtime-host.ts";
import type { AppliedOverlay, WantedPath } from "./runtime-state.ts";
import type { PlanOptions, UpdatePlan } from "./update-plan.ts";

/** Decides what turns the disk into what is wanted. */
export function planOverlayUpdate(
  applied: AppliedOverlay,
  wanted: readonly WantedPath[],
  facts: OverlayFacts,
  options: PlanOptions,
): UpdatePlan {
  const plan = openDraft(applied, facts, options);
  const targets = withObstacles(targetsOf(wanted, facts, plan), facts, options);
  const parents = parentsOf(targets);
  // Deepest first: a directory goes after what was in it.
  for (const owned of applied.owned.toSorted((a, b) => b.place.length - a.place.length)) {
    const isMadeParent =
      parents.has(owned.place) && owned.type === "directory" && owned.covered.kind === "nothing";
    if (!targets.has(owned.place) && !isMadeParent) planLeaving(plan, owned);
  }
  for (const [place, path] of parents) planParent(plan, place, path);
  for (const { want, found } of targets.values()) planWanted(plan, want, found);
  return finishDraft(plan);
}

interface Target {
  readonly want: WantedPath;
  readonly found: PlaceFacts;
}

/** By place; two things that are to be at one place are a problem, unless both are the same directory. */
function targetsOf(
  wanted: readonly WantedPath[],
  facts: OverlayFacts,
  plan: PlanDraft,
): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const want of wanted) {
    const found = facts.wanted.get(want.path);
    if (found === undefined) throw new Error(`no facts for ${want.path}`);
    const other = targets.get(found.place);
    const bothDirectories = other?.want.what.kind === "directory" && want.what.kind === "directory";
    if (other !== undefined && !bothDirectories) {
      plan.problems.push(`${other.want.path} and ${want.path} are the same place (${found.place})`);
    }
    targets.set(found.place, { want, found });
  }
  return targets;
}

/** What somebody put in the way of a path that was applied concerns that path alone. */
function withObstacles(
  targets: ReadonlyMap<string, Target>,
  facts: OverlayFacts,
  { isAppliedWant, root }: PlanOptions,
): ReadonlyMap<string, Target> {
  const isInTheWay = (place: string): boolean =>
    !targets.has(place) && !["directory", "absent"].includes(facts.ancestors.get(place)?.type ?? "directory");
  const judged = [...targets].map(([place, target]): [string, Target] => {
    const { want, found } = target;
    const inTheWay = isAppliedWant(want) ? ancestorsOf(place).find(isInTheWay) : undefined;
    if (found.obstacle !== undefined || inTheWay === undefined) return [place, target];
    return [place, { want, found: { ...found, obstacle: `${shownAs(root, inTheWay)} is no directory` } }];
  });
  return new Map(judged);
}

/** The directories on the way to what is wanted that are not wanted themselves, each with a path that needs it, if that can be put. */
function parentsOf(targets: ReadonlyMap<string, Target>): ReadonlyMap<string, string | undefined> {
  const parents = new Map<string, string | undefined>();
  for (const { want, found } of targets.values()) {
    if (want.what.kind === "absent") continue;
    for (const place of ancestorsOf(found.place)) {
      if (targets.has(place)) continue;
      parents.set(place, found.obstacle === undefined ? want.path : parents.get(place));
    }
  }
  return parents;
}
