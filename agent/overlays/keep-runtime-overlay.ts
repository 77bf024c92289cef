import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { type OverlayUpdate, RuntimeManifest } from "#proto/gen/muster/v1/overlay.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";

import type { ControllerLink } from "../session/controller-link.ts";
import type { SessionHost } from "../session/session-host.ts";
import { diskFull, isFull, openContentStore } from "./content-store.ts";
import {
  type ConvergeOutcome,
  type ConvergeRequest,
  convergeOverlay,
  type OverlayParts,
  verifyOverlay,
} from "./converge-overlay.ts";
import { openXattrTool } from "./extended-attributes.ts";
import { openContentsFetcher } from "./fetch-contents.ts";
import { keepLookTimes } from "./keep-look-times.ts";
import { type NodeDisk, openNodeDisk } from "./node-disk.ts";
import { parseManifest } from "./parse-manifest.ts";
import { describeOutcome, openReporter } from "./report-overlay.ts";
import type { RuntimeHost } from "./runtime-host.ts";
import { NOTHING_APPLIED } from "./runtime-state.ts";
import { openStateFiles } from "./state-files.ts";
import { openTurns } from "./take-turns.ts";

/** The runtime overlay of this node, kept true. */
export interface RuntimeOverlay {
  /** Asks the controller now and applies what it says; resolves when the reactions have ended. Lines for people. */
  refresh(signal: AbortSignal): Promise<readonly string[]>;
  /** Every file against its digest; changes nothing. A line for each path that is not as it should be. */
  verify(signal: AbortSignal): Promise<readonly string[]>;
  /** An update or a look is under way. */
  isBusy(): boolean;
  /** Settles when what was under way at the stop has ended. */
  readonly ended: Promise<void>;
}

/** What the overlay needs of the agent; `root` and `disk` are for tests. */
export interface OverlayDutyHost extends SessionHost {
  readonly root?: string;
  readonly disk?: NodeDisk;
}

const ANSWER_DEADLINE_MS = 30_000; /**
 * Keeps the runtime overlay true for as long as the node is up: at start it completes what an earlier agent began and
 * looks; then it looks on schedule, and whenever the controller says that something changed. Works on what it has while
 * no controller answers. One thing at a time.
 */
export function keepRuntimeOverlay(
  host: OverlayDutyHost,
  link: ControllerLink,
  stop: AbortSignal,
): RuntimeOverlay {
  const parts = openParts(host);
  const { files, contents } = parts;
  const fetcher = openContentsFetcher(host, link, contents);
  const reporter = openReporter(link);
  const turns = openTurns();
  let session = AbortSignal.abort();
  let arrived: OverlayUpdate | undefined;
  let onArrival: (() => void) | undefined;
  let asking: Promise<OverlayUpdate | undefined> | undefined;

  const takeArrived = (): OverlayUpdate | undefined => {
    const update = arrived;
    arrived = undefined;
    return update;
  };

  const ask = async (signal: AbortSignal): Promise<OverlayUpdate | undefined> => {
    // What is the matter with a record that cannot be read is told by who applies the answer.
    const { digest } = await files.readApplied().catch(() => NOTHING_APPLIED);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const done = (): void => {
      resolve(undefined);
    };
    onArrival = done;
    const timer = setTimeout(done, ANSWER_DEADLINE_MS);
    signal.addEventListener("abort", done, { once: true });
    try {
      if (!signal.aborted && link.send({ $case: "checkOverlay", value: { digest } })) await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      onArrival = undefined;
    }
    return takeArrived();
  };

  /** Undefined when no controller answers. One question at a time; nothing but looks waits for the answer. */
  const askController = (): Promise<OverlayUpdate | undefined> => {
    asking ??= ask(AbortSignal.any([stop, session])).finally(() => {
      asking = undefined;
    });
    return asking;
  };

  const converge = async (update: OverlayUpdate | undefined): Promise<ConvergeOutcome> => {
    const signal = AbortSignal.any([stop, session]);
    const fetch: ConvergeRequest["fetch"] = (lacking) => fetcher.fetch(lacking, signal);
    try {
      const wanted = update === undefined ? undefined : await readUpdate(parts, update);
      const request = { ...(wanted === undefined ? {} : { update: wanted }), fetch };
      const outcome = await convergeOverlay(parts, request, stop);
      if (outcome.changed.length > 0) host.log(`overlay: ${outcome.changed.length} paths changed`);
      if (outcome.failure !== undefined) host.log(`overlay: ${errorSentence(outcome.failure)}`);
      reporter.report(outcome, update?.digest ?? outcome.digest);
      return outcome;
    } catch (failure) {
      stop.throwIfAborted();
      const error = isFull(failure) ? diskFull(parts.files.staging, "no space left", failure) : failure;
      host.log(`overlay: ${errorSentence(error)}`);
      // A newer version is here already: what became of this one is of no interest.
      if (arrived === undefined) await keepLast(error, update?.digest, fetch);
      throw error;
    }
  };

  /** A version that cannot be had or applied is no reason not to keep true the one before. */
  const keepLast = async (
    error: unknown,
    wantedDigest: string | undefined,
    fetch: ConvergeRequest["fetch"],
  ): Promise<void> => {
    const { digest, appliedAtMs } = await files.readApplied().catch(() => NOTHING_APPLIED);
    const nothing = { digest, appliedAtMs, drift: [], changed: [], reactions: [] };
    const kept =
      wantedDigest === undefined
        ? nothing
        : await convergeOverlay(parts, { fetch }, stop).catch((): ConvergeOutcome => nothing);
    const failure =
      error instanceof MusterError
        ? error
        : new MusterError({ code: "internal", what: errorSentence(error) });
    reporter.report({ ...kept, failure }, wantedDigest ?? digest);
  };

  const look = async (): Promise<ConvergeOutcome> => {
    const update = await askController();
    stop.throwIfAborted();
    return turns.take(() => converge(update));
  };
  const unattended = (work: Promise<unknown>): void => {
    // Said and reported where it happened.
    work.catch(() => undefined);
  };

  link.onMessage("overlayUpdate", (update) => {
    arrived = update;
    if (onArrival !== undefined) {
      onArrival();
      return;
    }
    unattended(
      turns.take(async () => {
        const newest = takeArrived();
        if (newest !== undefined) await converge(newest);
      }),
    );
  });
  const times = keepLookTimes(parts, () => {
    unattended(look());
  });
  link.onWelcome(({ overlaySchedule }, ended) => {
    session = ended;
    reporter.forget();
    if (overlaySchedule !== undefined) void turns.take(() => times.set(overlaySchedule));
    unattended(look());
  });
  unattended(
    turns.take(async () => {
      await times.start();
      await converge(undefined);
    }),
  );
  const { promise: ended, resolve } = Promise.withResolvers<undefined>();
  stop.addEventListener(
    "abort",
    () => {
      times[Symbol.dispose]();
      void turns
        .take(async () => undefined)
        .then(() => {
          resolve(undefined);
        });
    },
    { once: true },
  );
  return {
    refresh: async (signal) => describeOutcome(await untilAborted(look(), signal)),
    verify: async (signal) => {
      const { drift } = await untilAborted(
        turns.take(() => verifyOverlay(parts)),
        signal,
      );
      return drift.map(({ path, what }) => `${path}: ${what}`);
    },
    isBusy: () => turns.waiting() > 0,
    ended,
  };
}

function openParts(host: OverlayDutyHost): OverlayParts & { readonly host: RuntimeHost } {
  const { paths, now, log } = host;
  // Nothing is written through links: where /var or a directory in it is one, the state is where that leads.
  const directory = resolveExisting(paths.overlayState);
  const disk =
    host.disk ?? openNodeDisk(openXattrTool(paths, runCommandUnchecked), paths.mountInfo, directory);
  const files = openStateFiles(disk, directory);
  return {
    host: { root: host.root ?? "/", paths, disk, now, log, run: runCommandUnchecked },
    files,
    contents: openContentStore(disk, files.contents),
  };
}

function resolveExisting(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path === "/" ? path : join(resolveExisting(dirname(path)), basename(path));
  }
}

/** What the controller said, checked; undefined: what is applied is right. Contents that came with it are stored. */
async function readUpdate(
  { files, contents }: OverlayParts,
  { digest, manifest, contents: sent, trouble }: OverlayUpdate,
): Promise<ConvergeRequest["update"]> {
  if (trouble !== "") {
    throw new MusterError({
      code: "overlay-invalid",
      what: `the controller cannot say what the runtime overlay is: ${trouble.slice(0, 1000)}`,
      fix: "correct the overlay on the controller; the node keeps what it has",
    });
  }
  const applied = await files.readApplied();
  if (digest === applied.digest) return undefined;
  const found = `sha256:${createHash("sha256").update(manifest).digest("hex")}`;
  // "Still right", of what was applied when the question was asked: a version that came since is the newer word.
  if (manifest.length === 0 && found !== digest) return undefined;
  if (found !== digest) {
    throw new MusterError({
      code: "blob-corrupt",
      what: `the manifest of the runtime overlay has the digest ${found}, not ${digest} as the controller said`,
    });
  }
  const wanted = parseManifest(RuntimeManifest.decode(manifest));
  const digests = new Set(wanted.paths.flatMap(({ what }) => (what.kind === "file" ? [what.digest] : [])));
  for (const { digest: of, data } of sent) {
    if (!digests.has(of)) continue;
    await contents.store(of, data).catch((error: unknown) => {
      // A help, and what does not fit is asked for again, by those who say how much there has to be.
      if (!(error instanceof MusterError && error.code === "disk-full")) throw error;
    });
  }
  return { digest, wanted };
}

/** The work goes on; only the wait for it ends. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(signal.reason as Error);
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    promise.catch(() => undefined);
    work.catch(() => undefined);
  }
}
