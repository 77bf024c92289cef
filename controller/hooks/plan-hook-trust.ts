/** What the disk says of an entry of hooks.d, or of hooks.d itself; links are followed. */
export interface FileTrustFacts {
  readonly path: string;
  readonly isFile: boolean;
  readonly mode: number;
  readonly uid: number;
}

/** What becomes of an entry of hooks.d. */
export type HookTrust =
  | { readonly verdict: "run" }
  /** Not a hook: an editor's copy, a file without x bit. Listed, and no trouble. */
  | { readonly verdict: "ignore"; readonly why: string }
  /** Somebody else could say what musterd runs. */
  | { readonly verdict: "refuse"; readonly why: string; readonly fix: string };

/** Names that packages and editors leave behind are no hooks: as run-parts(8) has it, and a dot for "drain.sh". */
const HOOK_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const LEFT_BEHIND = /(\.(bak|disabled|dpkg-[a-z]+|orig|rpmnew|rpmsave|swp|tmp)|~)$/;
const WRITABLE_BY_OTHERS = 0o022;
const EXECUTABLE = 0o111;

/**
 * Whether an entry is run. It has to be owned by root or by the user that musterd runs as, and writable by nobody else,
 * and so have the directory it is really in (`home`) and hooks.d (`directory`): who may write there chooses what is run.
 */
export function planHookTrust(
  name: string,
  entry: FileTrustFacts,
  places: readonly FileTrustFacts[],
  musterdUid: number,
): HookTrust {
  if (!HOOK_NAME.test(name) || LEFT_BEHIND.test(name)) {
    return { verdict: "ignore", why: "its name is that of a copy or a hidden file" };
  }
  if (!entry.isFile) return { verdict: "ignore", why: "it is no regular file" };
  if ((entry.mode & EXECUTABLE) === 0) return { verdict: "ignore", why: "it is not executable" };
  return refuseUntrusted([entry, ...places], musterdUid) ?? { verdict: "run" };
}

function refuseUntrusted(files: readonly FileTrustFacts[], musterdUid: number): HookTrust | undefined {
  for (const { path, uid, mode } of files) {
    if (uid !== 0 && uid !== musterdUid) {
      return {
        verdict: "refuse",
        why: `${path} belongs to user ${uid}, neither root nor the user musterd runs as`,
        fix: `chown root: ${path}`,
      };
    }
    if ((mode & WRITABLE_BY_OTHERS) !== 0) {
      return {
        verdict: "refuse",
        why: `${path} may be written by others than its owner (mode ${(mode & 0o7777).toString(8)})`,
        fix: `chmod go-w ${path}`,
      };
    }
  }
  return undefined;
}
