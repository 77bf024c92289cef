import { dirname } from "node:path";

import { differenceOf } from "./describe-difference.ts";
import type { OverlayFacts, PlaceFacts } from "./gather-overlay-facts.ts";
import type { PathStat } from "./node-disk.ts";
import { ancestorsOf } from "./parse-manifest.ts";
import { mountOf } from "./parse-mount-info.ts";
import { shownAs } from "./runtime-host.ts";
import type {
  AppliedOverlay,
  Attributes,
  CommitStep,
  Covered,
  OwnedPlace,
  WantedPath,
  WantedWhat,
} from "./runtime-state.ts";

/** Something to be made, complete, before the commit puts it in place. */
export interface Staging {
  readonly staged: string;
  readonly place: string;
  readonly what: Exclude<WantedWhat, { kind: "absent" }>;
  readonly attributes: Attributes;
  /** The file whose SELinux label it gets; absent: the policy says. */
  readonly labelFrom?: string;
}

/** A path that differs from what the applied overlay says. */
export interface PlannedDrift {
  readonly path: string;
  readonly what: string;
  /** Whether this plan puts it right. */
  readonly isRepaired: boolean;
}

/** All that an update does, in the order it is done. */
export interface UpdatePlan {
  /** Why the update cannot be made; nothing is done then. */
  readonly problems: readonly string[];
  /** What the image has, to be kept as `covered/name` before it is replaced. */
  readonly saves: readonly { readonly from: string; readonly name: string }[];
  readonly stagings: readonly Staging[];
  /** Copies of what was covered, beside its place on another file system. */
  readonly recoveries: readonly { readonly from: string; readonly staged: string }[];
  /** Places whose present file will be replaced or removed: to be asked whether that is allowed. */
  readonly probes: readonly string[];
  readonly steps: readonly CommitStep[];
  readonly owned: readonly OwnedPlace[];
  /** Paths on the node, for reactions and the report. */
  readonly changed: readonly string[];
  readonly drift: readonly PlannedDrift[];
}

export interface PlanOptions {
  /** Where files are made and kept: the state directory and what it is called in names. */
  readonly staging: string;
  readonly covered: string;
  /** A name that is used for nothing else, from the place. */
  readonly nameOf: (place: string) => string;
  /** Makes names in the node's own directories ones that nobody can take before: other for each plan. */
  readonly salt: string;
  /** What differs and was not changed by the controller is put right too. */
  readonly repairs: boolean;
  /** Contents nobody can give now: places that need one stay as they are. */
  readonly unavailable: ReadonlySet<string>;
  /** Of wants that were applied before: what differs from these is drift. */
  readonly isAppliedWant: (want: WantedPath) => boolean;
  /** "/" in earnest; names in reports are without it. */
  readonly root: string;
}

const IMPLICIT: Attributes = { mode: 0o755, uid: 0, gid: 0, xattrs: {} };

/** Decides what turns the disk into what is wanted. */
export function planOverlayUpdate(
  applied: AppliedOverlay,
  wanted: readonly WantedPath[],
  facts: OverlayFacts,
  options: PlanOptions,
): UpdatePlan {
  const plan = openPlan(applied, facts, options);
  const targets = withObstacles(targetsOf(wanted, facts, plan), facts, options);
  const parents = parentsOf(targets);
  // Deepest first: a directory goes after what was in it.
  for (const owned of applied.owned.toSorted((a, b) => b.place.length - a.place.length)) {
    const isMadeParent =
      parents.has(owned.place) && owned.type === "directory" && owned.covered.kind === "nothing";
    if (!targets.has(owned.place) && !isMadeParent) plan.leave(owned);
  }
  for (const [place, path] of parents) plan.parent(place, path);
  for (const { want, found } of targets.values()) plan.want(want, found);
  return plan.finish();
}

interface Target {
  readonly want: WantedPath;
  readonly found: PlaceFacts;
}

/** By place; two things that are to be at one place are a problem, unless both are the same directory. */
function targetsOf(
  wanted: readonly WantedPath[],
  facts: OverlayFacts,
  plan: PlanBuilder,
): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const want of wanted) {
    const found = facts.wanted.get(want.path);
    if (found === undefined) throw new Error(`no facts for ${want.path}`);
    const other = targets.get(found.place);
    const bothDirectories = other?.want.what.kind === "directory" && want.what.kind === "directory";
    if (other !== undefined && !bothDirectories) {
      plan.problem(`${other.want.path} and ${want.path} are the same place (${found.place})`);
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

interface PlanBuilder {
  problem(text: string): void;
  leave(owned: OwnedPlace): void;
  /** `neededBy`: a path below it; undefined: only such that cannot be put now. */
  parent(place: string, neededBy: string | undefined): void;
  want(want: WantedPath, found: PlaceFacts): void;
  finish(): UpdatePlan;
}

function openPlan(applied: AppliedOverlay, facts: OverlayFacts, options: PlanOptions): PlanBuilder {
  const problems: string[] = [];
  const saves: { from: string; name: string }[] = [];
  const stagings: Staging[] = [];
  const recoveries: { from: string; staged: string }[] = [];
  const probes: string[] = [];
  const leaves: CommitStep[] = [];
  const puts: CommitStep[] = [];
  const owned: OwnedPlace[] = [];
  const changed: string[] = [];
  const drift: PlannedDrift[] = [];
  const ownedBefore = new Map(applied.owned.map((each) => [each.place, each]));
  const home = mountOf(facts.mounts, options.staging);
  const shown = (place: string): string => shownAs(options.root, place);

  /** A rename cannot leave its mount: what goes to another one is made there, in the nearest directory that stays. */
  const stagedFor = (place: string): string => {
    const mount = mountOf(facts.mounts, place);
    const name = options.nameOf(place);
    if (mount.point === home.point) return `${options.staging}/${name}`;
    const beside = ancestorsOf(place).find((each) => {
      const before = ownedBefore.get(each);
      const stays = before === undefined || before.covered.kind === "directory";
      const isHere = mountOf(facts.mounts, each).point === mount.point;
      return stays && isHere && facts.ancestors.get(each)?.type === "directory";
    });
    return `${beside ?? mount.point}/.muster-${options.salt}${name}`;
  };
  const mustBeWritable = (place: string): void => {
    const mount = mountOf(facts.mounts, place);
    if (mount.isReadOnly) problems.push(`${shown(place)}: ${shown(mount.point)} is mounted read-only`);
  };
  const mustNotBeMounted = (place: string): void => {
    const mounted = facts.mounts.find(({ point }) => point === place || point.startsWith(`${place}/`));
    if (mounted !== undefined)
      problems.push(`${shown(place)}: something is mounted on ${shown(mounted.point)}`);
  };
  const mustNotBeOurs = ({ path, what, clears }: WantedPath, place: string): void => {
    const state = dirname(options.staging);
    const isReplaced = what.kind !== "directory" || clears;
    if (isAtOrBelow(place, state) || (isReplaced && isAtOrBelow(state, place))) {
      problems.push(`${path}: the agent itself needs ${shown(state)}`);
    }
  };
  const willReplace = (place: string, { type }: PathStat): void => {
    mustNotBeMounted(place);
    if (type !== "absent" && type !== "directory") probes.push(place);
  };

  /** What has to be kept of what is at a place that was not the overlay's until now. */
  const cover = (found: PlaceFacts, { what, clears, attributes }: WantedPath): Covered => {
    if (found.type === "absent") return { kind: "nothing" };
    if (found.type === "directory" && what.kind === "directory" && !clears) {
      const { mode, uid, gid } = found;
      const kept = Object.keys(attributes.xattrs).flatMap((name) => {
        const hex = found.xattrs?.[name];
        return hex === undefined ? [] : [[name, hex] as const];
      });
      return { kind: "directory", attributes: { mode, uid, gid, xattrs: Object.fromEntries(kept) } };
    }
    const name = options.nameOf(found.place);
    saves.push({ from: found.place, name });
    return { kind: "saved", name, type: found.type };
  };

  const restore = ({ place, path }: OwnedPlace, name: string, found: PathStat): void => {
    // Somebody removed the directory it was in: there is nothing for it to come back to.
    if ((facts.ancestors.get(dirname(place))?.type ?? "directory") !== "directory") return;
    const stranger = found.type === "directory" ? facts.strangers.get(place) : undefined;
    if (stranger !== undefined) {
      problems.push(
        `${path} has to give way to what the image has there, but holds ${shown(stranger)}; move that away`,
      );
    }
    const from = `${options.covered}/${name}`;
    const staged = stagedFor(place);
    const isHere = staged.startsWith(`${options.staging}/`);
    if (!isHere) recoveries.push({ from, staged });
    willReplace(place, found);
    leaves.push({ kind: "restore", place, from: isHere ? from : staged });
  };

  /** What an overlay no longer has: what it covered comes back. */
  const leave = (before: OwnedPlace): void => {
    const { place, covered, type, path } = before;
    const found = facts.owned.get(place);
    if (found === undefined) throw new Error(`no facts for ${place}`);
    mustBeWritable(place);
    switch (covered.kind) {
      case "directory":
        changed.push(path);
        if (found.type === "directory")
          leaves.push({ kind: "set-directory", place, attributes: covered.attributes });
        return;
      case "saved":
        changed.push(path);
        restore(before, covered.name, found);
        return;
      case "nothing":
        if (type === "absent" || found.type === "absent") return;
        changed.push(path);
        // Where the overlay had a file and a directory is now, that is somebody else's.
        if (found.type === "directory") {
          if (type === "directory") leaves.push({ kind: "leave-directory", place });
          return;
        }
        willReplace(place, found);
        leaves.push({ kind: "remove", place });
        return;
      default:
        return covered satisfies never;
    }
  };

  /** Directories on the way are made, 0755 root, and are the overlay's. */
  const parent = (place: string, neededBy: string | undefined): void => {
    const found = facts.ancestors.get(place);
    if (found === undefined) return;
    if (found.type === "directory" || neededBy === undefined) {
      const before = ownedBefore.get(place);
      if (before?.type === "directory" && before.covered.kind === "nothing")
        owned.push({ ...before, path: shown(place) });
      return;
    }
    if (found.type !== "absent") {
      problems.push(`${neededBy}: ${shown(place)} is no directory`);
      return;
    }
    mustBeWritable(place);
    const staged = stagedFor(place);
    stagings.push({ staged, place, what: { kind: "directory" }, attributes: IMPLICIT });
    puts.push({ kind: "put", place, staged, clears: false });
    owned.push({ path: shown(place), place, type: "directory", covered: { kind: "nothing" } });
  };

  /** Why a wanted path cannot be put where it belongs: something is there, or on the way, that is not the overlay's. */
  const obstacleTo = (want: WantedPath, found: PlaceFacts): string | undefined => {
    if (found.obstacle !== undefined) return found.obstacle;
    const before = ownedBefore.get(found.place);
    if (want.clears || found.type === "absent") return undefined;
    const isOurs = before !== undefined && before.covered.kind !== "directory";
    if (found.type === "directory" && want.what.kind !== "directory") {
      if (!isOurs) return "a directory is there; delete it in the overlay first if it has to go";
      const stranger = facts.strangers.get(found.place);
      return stranger === undefined ? undefined : `a directory is there, and holds ${shown(stranger)}`;
    }
    return found.type !== "directory" && want.what.kind === "directory" && !isOurs
      ? "something is there that is no directory; delete it in the overlay first if it has to go"
      : undefined;
  };

  const put = (want: WantedPath, found: PlaceFacts): void => {
    const { place } = found;
    const { what, attributes } = want;
    const before = ownedBefore.get(place);
    mustBeWritable(place);
    changed.push(want.path);
    if (what.kind === "directory" && found.type === "directory" && !(want.clears && before === undefined)) {
      puts.push({ kind: "set-directory", place, attributes });
      return;
    }
    const obstacle = obstacleTo(want, found);
    if (obstacle !== undefined) problems.push(`${want.path}: ${obstacle}`);
    willReplace(place, found);
    if (what.kind === "absent") {
      puts.push({ kind: "remove", place });
      return;
    }
    const staged = stagedFor(place);
    const labelFrom = found.type === what.kind ? { labelFrom: place } : {};
    stagings.push({ staged, place, what, attributes, ...labelFrom });
    puts.push({ kind: "put", place, staged, clears: want.clears });
  };

  const want = (wanted: WantedPath, found: PlaceFacts): void => {
    const { place } = found;
    const { what } = wanted;
    const before = ownedBefore.get(place);
    mustNotBeOurs(wanted, place);
    const difference = differenceOf(wanted, found);
    const needsContent = difference !== undefined && what.kind === "file" && found.digest !== what.digest;
    const isDrift =
      difference !== undefined &&
      (before !== undefined || found.obstacle !== undefined) &&
      options.isAppliedWant(wanted);
    // What somebody made of an unchanged path is no reason to refuse everything else.
    const isBlocked = isDrift && obstacleTo(wanted, found) !== undefined;
    const isLeft =
      isBlocked || (needsContent && options.unavailable.has(what.digest)) || (isDrift && !options.repairs);
    if (isDrift) drift.push({ path: wanted.path, what: difference, isRepaired: !isLeft });
    if (isLeft) {
      if (before !== undefined) owned.push(before);
      return;
    }
    owned.push({
      path: wanted.path,
      place,
      type: what.kind,
      covered: before?.covered ?? cover(found, wanted),
    });
    // What the image has may already be what is wanted. It is replaced all the same: what it was is kept, and what
    // is there is ours. A directory that is right is left alone, unless its content has to go.
    const isRight =
      difference === undefined && !(found.type === "directory" && wanted.clears && before === undefined);
    const isOurs = before !== undefined || found.type === "absent" || found.type === "directory";
    if (!(isRight && isOurs)) put(wanted, found);
  };

  return {
    problem: (text) => problems.push(text),
    leave,
    parent,
    want,
    finish: () => ({
      problems: [...new Set(problems)],
      saves,
      stagings,
      recoveries,
      probes,
      // Parents first: a place is shorter than what is below it.
      steps: [...leaves, ...puts.toSorted((a, b) => a.place.length - b.place.length)],
      owned: owned.toSorted((a, b) => (a.place < b.place ? -1 : 1)),
      changed,
      drift,
    }),
  };
}

function isAtOrBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
