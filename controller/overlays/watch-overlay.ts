import { type FSWatcher, statSync, watch } from "node:fs";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { OverlaySnapshot, SnapshotReader } from "./read-overlay-snapshot.ts";

/** An overlay as it is, or as it last was when it could be read. */
export interface OverlayState {
  /** The last good one; undefined: it never could be read. */
  readonly snapshot: OverlaySnapshot | undefined;
  /** Why the tree as it is now cannot be used. */
  readonly trouble: MusterError | undefined;
}

/** How patient a watch is. */
export interface WatchTimings {
  /** Nothing may have happened for this long before the tree is read: whoever copies into it is not done. */
  readonly quietMs: number;
  /** A tree that is never quiet is read after this long all the same. */
  readonly patienceMs: number;
}

/** A watch over one overlay. Disposing ends it. */
export interface WatchedOverlay extends Disposable {
  readonly name: string;
  /** Undefined before the first reading has ended. */
  readonly state: OverlayState | undefined;
  /** Resolves when the first reading has ended. */
  readonly opened: Promise<void>;
  /** Reads it now, for file systems that tell of no changes; resolves when that is done. */
  rescan(): Promise<void>;
}

/**
 * Watches the directories of one overlay and reads it when they have been quiet. What is read while something
 * happens in the tree is thrown away and read again, so that no half-copied tree is taken for an overlay.
 * `onRead` is told of each reading, changed or not; `onBlind` once when directories cannot be watched.
 */
export function watchOverlay(
  name: string,
  reader: SnapshotReader,
  timings: WatchTimings,
  tell: { readonly onRead: () => void; readonly onBlind: (error: unknown) => void },
): WatchedOverlay {
  const directories = openDirectoryWatches(() => {
    happened();
  }, tell.onBlind);
  let state: OverlayState | undefined;
  let events = 0;
  let unrestSince: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  let isDisposed = false;

  const arm = (): void => {
    clearTimeout(timer);
    const leftMs = (unrestSince ?? 0) + timings.patienceMs - performance.now();
    timer = setTimeout(() => void readNow(), Math.max(0, Math.min(timings.quietMs, leftMs)));
  };
  const happened = (): void => {
    if (isDisposed) return;
    events += 1;
    unrestSince ??= performance.now();
    arm();
  };
  const readNow = (): Promise<void> => {
    clearTimeout(timer);
    reading ??= readOnce().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  const readOnce = async (): Promise<void> => {
    const before = events;
    directories.begin();
    const result = await reader.read(directories.add).then(
      (snapshot): OverlayState => ({ snapshot, trouble: undefined }),
      (error: unknown): OverlayState => ({ snapshot: state?.snapshot, trouble: troubleOf(name, error) }),
    );
    directories.end();
    if (isDisposed) return;
    const isPatient = unrestSince !== undefined && performance.now() - unrestSince < timings.patienceMs;
    if (events !== before && isPatient) {
      arm();
      return;
    }
    if (events === before) unrestSince = undefined;
    else {
      unrestSince = performance.now();
      arm();
    }
    state = result;
    tell.onRead();
  };
  const openIt = async (): Promise<void> => {
    // The first reading is not put off by what happens meanwhile: nodes wait for it.
    await readNow();
    if (state === undefined && !isDisposed) {
      unrestSince = -Infinity;
      await readNow();
    }
  };
  const opened = openIt();
  return {
    name,
    opened,
    get state() {
      return state;
    },
    // While something happens in the tree, the end of that is waited for.
    rescan: async () => (unrestSince === undefined ? readNow() : undefined),
    [Symbol.dispose]: () => {
      isDisposed = true;
      clearTimeout(timer);
      directories[Symbol.dispose]();
    },
  };
}

interface DirectoryWatches extends Disposable {
  begin(): void;
  /** Watches a directory, unless it is watched. */
  readonly add: (path: string) => void;
  /** Ends the watches over directories not added since `begin`. */
  end(): void;
}

function openDirectoryWatches(onEvent: () => void, onBlind: (error: unknown) => void): DirectoryWatches {
  const watches = new Map<string, { readonly inode: bigint; readonly watcher: FSWatcher }>();
  let seen = new Set<string>();
  let isBlind = false;
  const lost = (error: unknown): void => {
    // One that went away meanwhile, or may not be read: the reading says so, and its parent tells of changes.
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (["ENOENT", "ENOTDIR", "EACCES", "EPERM"].includes(code)) return;
    if (!isBlind) onBlind(error);
    isBlind = true;
  };
  const close = (path: string): void => {
    watches.get(path)?.watcher.close();
    watches.delete(path);
  };
  return {
    begin: () => {
      seen = new Set();
    },
    add: (path) => {
      seen.add(path);
      try {
        // Another directory under the same name: the old watch looks at the one that was there.
        const inode = statSync(path, { bigint: true }).ino;
        if (watches.get(path)?.inode === inode) return;
        close(path);
        const watcher = watch(path, { persistent: false }, onEvent);
        watcher.on("error", (error) => {
          close(path);
          lost(error);
        });
        watches.set(path, { inode, watcher });
      } catch (error) {
        lost(error);
      }
    },
    end: () => {
      for (const path of watches.keys()) if (!seen.has(path)) close(path);
    },
    [Symbol.dispose]: () => {
      for (const path of [...watches.keys()]) close(path);
    },
  };
}

function troubleOf(name: string, error: unknown): MusterError {
  if (error instanceof MusterError) return error;
  return new MusterError({
    code: "overlay-invalid",
    what: `overlay ${name} cannot be read: ${errorSentence(error)}`,
    fix: "look at what is said there; it is read again within a minute",
    cause: error,
  });
}
