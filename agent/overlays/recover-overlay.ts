import type { ReactionResult } from "#proto/gen/muster/v1/overlay.ts";

import { commitOverlayUpdate, type StepFailure } from "./commit-overlay-update.ts";
import { isFull } from "./content-store.ts";
import { planReactions } from "./plan-reactions.ts";
import { forgetPreparation } from "./prepare-overlay-update.ts";
import { runReactions } from "./run-reactions.ts";
import type { RuntimeHost } from "./runtime-host.ts";
import type { AppliedOverlay, UpdateJournal } from "./runtime-state.ts";
import type { StateFiles } from "./state-files.ts";

/** What an update came to. */
export interface CompletedUpdate {
  readonly changed: readonly string[];
  readonly failures: readonly StepFailure[];
  readonly reactions: readonly ReactionResult[];
}

/**
 * After an agent that did not end an update: with a journal the update is completed, reactions included; without one
 * it is forgotten, and nothing of it was ever in place. Does nothing when there was none.
 */
export async function recoverOverlay(
  host: RuntimeHost,
  files: StateFiles,
  signal: AbortSignal,
): Promise<CompletedUpdate | undefined> {
  await files.open();
  const journal = await files.readJournal();
  if (journal === undefined) {
    await forget(host, files);
    return undefined;
  }
  host.log(`completing an update of ${journal.changed.length} paths that was interrupted`);
  return completeUpdate(host, files, journal, signal);
}

/** From the journal to the end of the reactions. The journal is the last thing to go. */
export async function completeUpdate(
  host: RuntimeHost,
  files: StateFiles,
  journal: UpdateJournal,
  signal: AbortSignal,
): Promise<CompletedUpdate> {
  const failures = await commitOverlayUpdate(host.disk, journal.steps);
  const unchanged = failures.length > 0 ? await keepWhatStays(files, failures) : new Set();
  await files.adoptApplied();
  const changed = journal.changed.filter((path) => !unchanged.has(path));
  const reactions = await react(host, files, { ...journal, changed }, signal);
  await files.dropJournal();
  await forget(host, files);
  return { changed, failures, reactions };
}

/** A reaction that ends the agent (it restarts its unit, or takes its memory) must not end every agent after it. */
const MOST_ATTEMPTS = 3;

async function react(
  host: RuntimeHost,
  files: StateFiles,
  journal: UpdateJournal,
  signal: AbortSignal,
): Promise<readonly ReactionResult[]> {
  const reactions = planReactions(journal.reactions, journal.changed);
  if (reactions.length === 0) return [];
  if (journal.attempts >= MOST_ATTEMPTS) {
    const failure = `the agent ended ${journal.attempts} times while its reactions ran; they are not tried again`;
    return reactions.map(({ command }) => ({ command, failure, outputTail: "", durationMs: 0 }));
  }
  await files.writeJournal({ ...journal, attempts: journal.attempts + 1 }).catch((error: unknown) => {
    // On a full disk the count is not worth leaving a service without its new configuration.
    if (!isFull(error)) throw error;
  });
  return runReactions(host, reactions, signal);
}

async function forget(host: RuntimeHost, files: StateFiles): Promise<void> {
  const { owned } = await files.readApplied();
  const kept = owned.flatMap(({ covered }) => (covered.kind === "saved" ? [covered.name] : []));
  await forgetPreparation(host, files, new Set(kept));
}

/**
 * Where a step failed things are as they were, and so is what is known of them; the whole is not applied. Returns the
 * paths that are as they were.
 */
async function keepWhatStays(
  files: StateFiles,
  failures: readonly StepFailure[],
): Promise<ReadonlySet<string>> {
  const next = await files.readNextApplied();
  const before = await files.readApplied();
  const failed = new Set(failures.map(({ place }) => place));
  const all = [...(next?.owned ?? []), ...before.owned];
  const paths = new Set(all.flatMap(({ path, place }) => (failed.has(place) ? [path] : [])));
  if (next === undefined) return paths;
  const owned = [
    ...next.owned.filter(({ place }) => !failed.has(place)),
    ...before.owned.filter(({ place }) => failed.has(place)),
  ];
  await files.prepareApplied({ ...next, digest: "", owned } satisfies AppliedOverlay);
  return paths;
}
