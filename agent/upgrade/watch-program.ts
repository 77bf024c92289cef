import { constants, type FSWatcher, watch } from "node:fs";
import { access, readlink } from "node:fs/promises";
import { basename, dirname } from "node:path";

import { errorSentence } from "#proto/contract/muster-error.ts";

/** Package managers rename the new file into place and then look at it once more. */
const SETTLE_MS = 2000;
/** What the kernel adds to the link of an executable whose file is not there any more: proc_pid_exe(5). */
const DELETED = " (deleted)";

/**
 * Calls `onReplaced` once, when another file was put in the place of the executable that runs. `exeLink` is
 * /proc/self/exe. Watches the directory (inotify): nothing is done while nothing changes there.
 */
export function watchProgram(
  program: string,
  exeLink: string,
  parts: {
    readonly onReplaced: () => void;
    readonly log: (line: string) => void;
    readonly settleMs?: number;
  },
): Disposable {
  let timer: NodeJS.Timeout | undefined;
  const notWatched = (error: unknown): void => {
    parts.log(`a new ${program} will not be noticed: ${errorSentence(error)}`);
  };
  const look = async (): Promise<void> => {
    if (!(await isReplaced(program, exeLink))) return;
    watcher?.close();
    parts.onReplaced();
  };
  const onChange = (name: string | null): void => {
    // Without a name, when too much happened at once, anything may have been meant.
    if (name !== null && name !== basename(program)) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      look().catch((error: unknown) => {
        parts.log(`cannot tell whether ${program} was replaced: ${String(error)}`);
      });
    }, parts.settleMs ?? SETTLE_MS);
  };
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(dirname(program), { persistent: false }, (_event, name) => {
      onChange(name);
    });
    watcher.on("error", notWatched);
  } catch (error) {
    // root's inotify instances are few (128, inotify(7)), and others use them too: no reason to run no agent.
    notWatched(error);
  }
  return {
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      watcher?.close();
    },
  };
}

/** The file of the executable is gone and there is another one that can be started: a removal alone is no update. */
async function isReplaced(program: string, exeLink: string): Promise<boolean> {
  if (!(await readlink(exeLink)).endsWith(DELETED)) return false;
  return access(program, constants.X_OK).then(
    () => true,
    () => false,
  );
}
