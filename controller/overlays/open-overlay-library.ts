import type { Digest } from "#proto/contract/digest.ts";
import { errorSentence } from "#proto/contract/muster-error.ts";
import type { Telemetry } from "../events/telemetry.ts";
import type { BlobStore } from "../images/blob-store.ts";
import { openSnapshotReader } from "./read-overlay-snapshot.ts";
import { type OverlayState, type WatchedOverlay, type WatchTimings, watchOverlay } from "./watch-overlay.ts";

/** What the library works with. */
export interface LibraryParts {
  /** `paths.overlays`. */
  readonly root: string;
  readonly blobs: Pick<BlobStore, "put" | "renew">;
  readonly telemetry: Pick<Telemetry, "recordEvent">;
  /** An overlay in use was read again; it may be what it was. */
  readonly onRead: (name: string) => void;
  readonly timings?: LibraryTimings;
}

export interface LibraryTimings extends WatchTimings {
  /** All overlays in use are read this often whether or not anything was told: NFS tells nothing. */
  readonly rescanMs: number;
}

/** An overlay in use that cannot be read as it is now. */
export interface OverlayTrouble {
  readonly overlay: string;
  readonly what: string;
  readonly fix: string | undefined;
}

/** The overlays that are in use, read once and kept up to date. Disposing ends all watches. */
export interface OverlayLibrary extends Disposable {
  /** From now on exactly these are kept. */
  use(names: ReadonlySet<string>): void;
  /** As it is known now; undefined: not in use, or not read yet. */
  find(name: string): OverlayState | undefined;
  /** Resolves when each of these that is in use has been read once, or after 10 s: a dead NFS server ends nothing. */
  opened(names: readonly string[]): Promise<void>;
  readonly troubles: () => readonly OverlayTrouble[];
  /** Blobs that overlays in use need. */
  readonly referencedBlobs: () => readonly Digest[];
}

/** The other messages of a node that asks wait meanwhile, its heartbeats too. */
const OPEN_DEADLINE_MS = 10_000;
const TIMINGS: LibraryTimings = { quietMs: 150, patienceMs: 5000, rescanMs: 60_000 };

/**
 * Opens the library. Events: `overlay-invalid` once for each new thing that is wrong with an overlay,
 * `overlay-valid` when it is right again, `overlay-unwatched` when the system has no watches left.
 */
export function openOverlayLibrary(parts: LibraryParts): OverlayLibrary {
  const timings = parts.timings ?? TIMINGS;
  const watched = new Map<string, WatchedOverlay>();
  const troubles = new Map<string, string>();
  let isBlind = false;

  const onBlind = (error: unknown): void => {
    if (isBlind) return;
    isBlind = true;
    parts.telemetry.recordEvent({
      severity: "warning",
      kind: "overlay-unwatched",
      what: `directories of overlays cannot be watched (${errorSentence(error)}); changes are seen within a minute`,
      fix: "raise fs.inotify.max_user_watches (sysctl), then restart musterd",
    });
  };
  const judge = (name: string): void => {
    const { trouble } = watched.get(name)?.state ?? {};
    const before = troubles.get(name);
    if (trouble?.message === before) return;
    if (trouble === undefined) {
      troubles.delete(name);
      parts.telemetry.recordEvent({
        severity: "info",
        kind: "overlay-valid",
        what: `overlay ${name} is right again`,
      });
      return;
    }
    troubles.set(name, trouble.message);
    parts.telemetry.recordEvent({
      severity: "error",
      kind: "overlay-invalid",
      what: `${trouble.message}; nodes keep what they have of it`,
      ...(trouble.fix === undefined ? {} : { fix: trouble.fix }),
    });
  };
  const open = (name: string): void => {
    const onRead = (): void => {
      if (watched.get(name) !== overlay) return;
      judge(name);
      parts.onRead(name);
    };
    const overlay: WatchedOverlay = watchOverlay(
      name,
      openSnapshotReader(parts.root, name, parts.blobs),
      timings,
      { onRead, onBlind },
    );
    watched.set(name, overlay);
  };
  const rescan = setInterval(() => {
    for (const overlay of watched.values()) void overlay.rescan();
  }, timings.rescanMs);
  rescan.unref();

  return {
    use: (names) => {
      for (const [name, overlay] of watched) {
        if (names.has(name)) continue;
        overlay[Symbol.dispose]();
        watched.delete(name);
        troubles.delete(name);
      }
      for (const name of names) if (!watched.has(name)) open(name);
    },
    find: (name) => watched.get(name)?.state,
    opened: async (names) => {
      const first = Promise.all(names.flatMap((name) => watched.get(name)?.opened ?? []));
      const given = Promise.withResolvers<undefined>();
      const timer = setTimeout(given.resolve, OPEN_DEADLINE_MS, undefined);
      await Promise.race([first, given.promise]).finally(() => {
        clearTimeout(timer);
      });
    },
    troubles: () =>
      [...watched.values()].flatMap(({ name, state }) => {
        const { trouble } = state ?? {};
        return trouble === undefined ? [] : [{ overlay: name, what: trouble.message, fix: trouble.fix }];
      }),
    referencedBlobs: () =>
      [...watched.values()].flatMap(({ state }) =>
        [...(state?.snapshot?.contents ?? [])].flatMap(([digest, content]) =>
          content.in === "blobs" ? [digest] : [],
        ),
      ),
    [Symbol.dispose]: () => {
      clearInterval(rescan);
      for (const overlay of watched.values()) overlay[Symbol.dispose]();
      watched.clear();
    },
  };
}
