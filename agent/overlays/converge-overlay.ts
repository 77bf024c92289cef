import { randomBytes } from "node:crypto";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { ReactionResult } from "#proto/gen/muster/v1/overlay.ts";

import { type ContentStore, type FileContent, isFull } from "./content-store.ts";
import { differenceOf } from "./describe-difference.ts";
import { gatherOverlayFacts, type OverlayFacts } from "./gather-overlay-facts.ts";
import { planDetour } from "./plan-detour.ts";
import { planOverlayUpdate } from "./plan-overlay-update.ts";
import { prepareOverlayUpdate, requireNoProblems, requireRoom } from "./prepare-overlay-update.ts";
import { completeUpdate, recoverOverlay } from "./recover-overlay.ts";
import { placeName, type RuntimeHost, rightKey } from "./runtime-host.ts";
import type { AppliedOverlay, Fingerprints, WantedOverlay, WantedPath } from "./runtime-state.ts";
import type { StateFiles } from "./state-files.ts";
import type { PlannedDrift, UpdatePlan } from "./update-plan.ts";

/** What one pass over the overlay is to bring about. */
export interface ConvergeRequest {
  /** The controller's new version; absent: what is applied is kept true. */
  readonly update?: { readonly digest: string; readonly wanted: WantedOverlay };
  /** Gets contents into the store; resolves to those that cannot be had now, each with the reason. */
  readonly fetch: (contents: readonly FileContent[]) => Promise<ReadonlyMap<string, string>>;
}

/** What a pass found and did. */
export interface ConvergeOutcome {
  /** Of the manifest that is applied as a whole; empty: none. */
  readonly digest: string;
  readonly appliedAtMs: number;
  readonly drift: readonly PlannedDrift[];
  readonly changed: readonly string[];
  readonly reactions: readonly ReactionResult[];
  /** Why what is wanted is not there. */
  readonly failure?: MusterError;
}

/** The overlay's parts, opened once. */
export interface OverlayParts {
  readonly host: RuntimeHost;
  readonly files: StateFiles;
  readonly contents: ContentStore;
}

/**
 * Makes the node what the overlay says: completes or forgets what an earlier agent began, looks, plans, prepares,
 * commits, reacts. Idempotent; when nothing differs it writes nothing. Throws a MusterError when an update cannot be
 * made, and then nothing was changed.
 */
export async function convergeOverlay(
  parts: OverlayParts,
  request: ConvergeRequest,
  signal: AbortSignal,
): Promise<ConvergeOutcome> {
  const recovered = await recoverOverlay(parts.host, parts.files, signal);
  const applied = await parts.files.readApplied();
  const update = request.update ?? { digest: applied.digest, wanted: applied.wanted };
  const detour = planDetour(applied, update.wanted.paths, parts.host.root);
  let before = { changed: recovered?.changed ?? [], reactions: recovered?.reactions ?? [] };
  if (detour !== undefined) {
    // What the second half needs is here before the first begins, and what is wanted then is written down with it:
    // an agent that is ended in between is followed by one that does the second half.
    await requireContents(parts, request, contentsOf(update.wanted));
    before = joined(before, await pass(parts, request, { ...update, digest: "", only: detour }, signal));
  }
  const outcome = await pass(parts, request, update, signal);
  return { ...outcome, ...joined(before, outcome) };
}

/** Every file against its digest, whatever fingerprints say; changes nothing. */
export async function verifyOverlay({ host, files }: OverlayParts): Promise<{
  readonly drift: readonly PlannedDrift[];
}> {
  await files.open();
  const applied = await files.readApplied();
  const facts = await gatherOverlayFacts(host, applied, applied.wanted.paths, {}, "thorough");
  const { drift } = planOverlayUpdate(
    applied,
    applied.wanted.paths,
    facts,
    planOptions(host, files, applied, true),
  );
  return { drift };
}

interface Update {
  readonly digest: string;
  readonly wanted: WantedOverlay;
  /** The part of it that is done in this pass; absent: all. */
  readonly only?: readonly WantedPath[];
}

async function pass(
  parts: OverlayParts,
  request: ConvergeRequest,
  update: Update,
  signal: AbortSignal,
): Promise<ConvergeOutcome> {
  const { host, files, contents } = parts;
  const paths = update.only ?? update.wanted.paths;
  const applied = await files.readApplied();
  const fingerprints = await files.readFingerprints();
  const facts = await gatherOverlayFacts(host, applied, paths, fingerprints, "cheap");
  const repairs =
    update.wanted.policy === "repair" || update.digest !== applied.digest || applied.digest === "";
  const options = planOptions(host, files, applied, repairs);
  let plan = planOverlayUpdate(applied, paths, facts, options);
  requireNoProblems(plan);
  const lacking = await listLacking(contents, plan, facts);
  const unavailable = await fetchLacking(parts, request, lacking);
  signal.throwIfAborted();
  if (unavailable.size > 0) {
    if (request.update !== undefined) throw lacksContents(unavailable);
    plan = planOverlayUpdate(applied, paths, facts, {
      ...options,
      unavailable: new Set(unavailable.keys()),
    });
  }
  const isHalf = update.only !== undefined;
  const changed = [...new Set([...(applied.unreacted ?? []), ...plan.changed])];
  const isChange = plan.steps.length > 0 || changed.length > 0;
  const isNew = update.digest !== applied.digest;
  const next: AppliedOverlay = {
    format: 1,
    digest: update.digest,
    appliedAtMs: isChange || isNew ? host.now() : applied.appliedAtMs,
    wanted: update.wanted,
    owned: plan.owned,
    ...(isHalf && changed.length > 0 ? { unreacted: changed } : {}),
  };
  if (!isChange) {
    if (JSON.stringify(next) !== JSON.stringify(applied)) {
      await files.prepareApplied(next);
      await files.adoptApplied();
    }
    await recordFingerprints(parts, update.wanted, facts, fingerprints, new Map());
    if (isNew && !isHalf) await contents.prune(contentsOf(update.wanted));
    return {
      digest: next.digest,
      appliedAtMs: next.appliedAtMs,
      drift: plan.drift,
      changed: [],
      reactions: [],
    };
  }
  await prepareOverlayUpdate(host, files, contents, plan);
  await files.prepareApplied(next);
  const made = new Map(
    await Promise.all(
      plan.stagings.map(
        async ({ staged, place }) => [place, (await host.disk.lstat(staged)).fingerprint] as const,
      ),
    ),
  );
  signal.throwIfAborted();
  const reactions = isHalf ? [] : update.wanted.reactions;
  const journal = {
    format: 1,
    digest: update.digest,
    steps: plan.steps,
    changed,
    reactions,
    attempts: 0,
  } as const;
  await files.writeJournal(journal);
  const completed = await completeUpdate(host, files, journal, signal);
  await recordFingerprints(parts, update.wanted, facts, fingerprints, made);
  if (!isHalf) await contents.prune(contentsOf(update.wanted));
  const isWhole = completed.failures.length === 0;
  return {
    digest: isWhole ? next.digest : "",
    appliedAtMs: next.appliedAtMs,
    drift: plan.drift,
    changed: completed.changed,
    reactions: completed.reactions,
    ...(isWhole ? {} : { failure: notWhole(completed.failures) }),
  };
}

function planOptions(
  host: RuntimeHost,
  files: StateFiles,
  applied: AppliedOverlay,
  repairs: boolean,
): Parameters<typeof planOverlayUpdate>[3] {
  const before = new Set(applied.wanted.paths.map((want) => `${rightKey(want)}${want.path}`));
  return {
    staging: files.staging,
    covered: files.covered,
    nameOf: placeName,
    salt: randomBytes(6).toString("hex"),
    repairs,
    unavailable: new Set(),
    isAppliedWant: (want) => before.has(`${rightKey(want)}${want.path}`),
    root: host.root,
  };
}

/** Contents that neither the store nor the files themselves have. */
async function listLacking(
  contents: ContentStore,
  plan: UpdatePlan,
  facts: OverlayFacts,
): Promise<readonly FileContent[]> {
  const atHand = new Map([...facts.wanted.values()].map(({ place, digest }) => [place, digest]));
  const lacking = new Map<string, FileContent>();
  for (const { what, place } of plan.stagings) {
    if (what.kind !== "file" || atHand.get(place) === what.digest || lacking.has(what.digest)) continue;
    if (!(await contents.has(what.digest))) lacking.set(what.digest, what);
  }
  return [...lacking.values()];
}

async function requireContents(
  parts: OverlayParts,
  request: ConvergeRequest,
  wanted: readonly FileContent[],
): Promise<void> {
  const lacking: FileContent[] = [];
  for (const each of wanted) if (!(await parts.contents.has(each.digest))) lacking.push(each);
  const unavailable = await fetchLacking(parts, request, lacking);
  if (unavailable.size > 0) throw lacksContents(unavailable);
}

async function fetchLacking(
  { host, files }: OverlayParts,
  request: ConvergeRequest,
  lacking: readonly FileContent[],
): Promise<ReadonlyMap<string, string>> {
  if (lacking.length === 0) return new Map();
  const bytes = lacking.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  await requireRoom(host, files.contents, bytes);
  return request.fetch(lacking);
}

function contentsOf(wanted: WantedOverlay): readonly FileContent[] {
  return wanted.paths.flatMap(({ what }) => (what.kind === "file" ? [what] : []));
}

/**
 * What is right now is recognised by its fingerprint from here on. A file that is not the one that was staged, or was
 * changed since it was looked at, gets none, and is read at the next look.
 */
async function recordFingerprints(
  { host, files }: OverlayParts,
  wanted: WantedOverlay,
  facts: OverlayFacts,
  before: Fingerprints,
  made: ReadonlyMap<string, string>,
): Promise<void> {
  const owned = new Map((await files.readApplied()).owned.map((each) => [each.place, each]));
  const next: Record<string, Fingerprints[string]> = {};
  for (const want of wanted.paths) {
    const found = facts.wanted.get(want.path);
    if (found === undefined || !owned.has(found.place)) continue;
    const key = rightKey(want);
    const staged = made.get(found.place);
    if (staged !== undefined) {
      const now = await host.disk.lstat(found.place);
      if (isSameFile(staged, now.fingerprint)) next[found.place] = { key, fingerprint: now.fingerprint };
    } else if (differenceOf(want, found) === undefined) {
      next[found.place] = { key, fingerprint: found.fingerprint };
    }
  }
  if (JSON.stringify(next) === JSON.stringify(before)) return;
  await files.writeFingerprints(next).catch((error: unknown) => {
    // They only spare reading: an update that is in place has not failed for want of them.
    if (!isFull(error)) throw error;
  });
}

/** All but the device, which overlayfs may change, and ctime, which a rename changes. */
function isSameFile(staged: string, placed: string): boolean {
  const relevant = (fingerprint: string): string => fingerprint.split(":").slice(1, 4).join(":");
  return relevant(staged) === relevant(placed);
}

function joined(
  a: Pick<ConvergeOutcome, "changed" | "reactions">,
  b: Pick<ConvergeOutcome, "changed" | "reactions">,
): Pick<ConvergeOutcome, "changed" | "reactions"> {
  return { changed: [...new Set([...a.changed, ...b.changed])], reactions: [...a.reactions, ...b.reactions] };
}

function lacksContents(unavailable: ReadonlyMap<string, string>): MusterError {
  const [reason = ""] = unavailable.values();
  return new MusterError({
    code: "fetch-gave-up",
    what: `${unavailable.size} files of the runtime overlay cannot be had now: ${reason}; nothing was changed`,
    fix: "the node tries again when it has a session, and at its next look",
  });
}

function notWhole(failures: readonly { readonly place: string; readonly why: string }[]): MusterError {
  const [first] = failures;
  return new MusterError({
    code: "overlay-apply-failed",
    what: `${failures.length} paths of the runtime overlay could not be changed, the first is ${first?.place ?? ""}: ${first?.why ?? ""}`,
    fix: "remove what is in the way on the node; it tries again at its next look",
  });
}
