import { closeSync, constants, openSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname } from "node:path";

/** O_PATH of open(2), for which Node has no name: what it opens need not be readable, and nothing happens to it. */
const O_PATH = 0o10000000;
const DIRECTORY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Does `work` with a name for `path` that no symbolic link leads elsewhere, not even one that is put there meanwhile: each
 * directory on the way is opened in the one before, as openat2(2) does with RESOLVE_NO_SYMLINKS, and the name goes
 * through the last of them. So users who own a directory of the way cannot have root write where they may not.
 * Fails with ENOTDIR where a link stands. `isNear`: the file system answers at once.
 */
export async function inPinnedParent<T>(
  path: string,
  isNear: boolean,
  work: (pinned: string) => Promise<T>,
): Promise<T> {
  const parent = isNear ? walk(dirname(path)) : await walkFar(dirname(path));
  const pinned = `/proc/self/fd/${parent.fd}/${basename(path)}`;
  try {
    return await work(pinned);
  } catch (error) {
    throw renamed(error, pinned, path);
  } finally {
    await parent.close();
  }
}

/** As {@link inPinnedParent}; the name is that of the very file, which must not be a link. */
export async function withPinnedFile<T>(
  path: string,
  isNear: boolean,
  work: (pinned: string) => Promise<T>,
): Promise<T> {
  return inPinnedParent(path, isNear, async (inParent) => {
    await using file = await open(inParent, O_PATH | constants.O_NOFOLLOW);
    const pinned = `/proc/self/fd/${file.fd}`;
    // Awaited here: the file is open for as long as the work takes.
    try {
      return await work(pinned);
    } catch (error) {
      throw renamed(error, pinned, path);
    }
  });
}

interface Opened {
  readonly fd: number;
  close(): Promise<void>;
}

function walk(directory: string): Opened {
  let fd = openSync("/", DIRECTORY);
  for (const name of namesOf(directory)) {
    const above = fd;
    try {
      fd = openSync(`/proc/self/fd/${above}/${name}`, DIRECTORY);
    } catch (error) {
      throw renamed(error, `/proc/self/fd/${above}/${name}`, directory);
    } finally {
      closeSync(above);
    }
  }
  return {
    fd,
    close: async () => {
      closeSync(fd);
    },
  };
}

async function walkFar(directory: string): Promise<Opened> {
  let found: FileHandle = await open("/", DIRECTORY);
  for (const name of namesOf(directory)) {
    const above = found;
    try {
      found = await open(`/proc/self/fd/${above.fd}/${name}`, DIRECTORY);
    } catch (error) {
      throw renamed(error, `/proc/self/fd/${above.fd}/${name}`, directory);
    } finally {
      await above.close();
    }
  }
  return found;
}

function namesOf(directory: string): readonly string[] {
  return directory.split("/").filter((name) => name !== "");
}

/** People know the path by its own name. */
function renamed(error: unknown, pinned: string, path: string): unknown {
  if (error instanceof Error) error.message = error.message.replaceAll(pinned, path);
  return error;
}
