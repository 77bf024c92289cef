import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";

import { hasErrno, type NodeDisk, removeTree } from "./node-disk.ts";
import type { CommitStep } from "./runtime-state.ts";

/** A step that could not be done. */
export interface StepFailure {
  readonly place: string;
  readonly why: string;
}

/**
 * Puts in place what was prepared: renames, and nothing that needs space or can end half-way. Every step may have
 * been done before. A step that fails though everything was looked at before (somebody made the file immutable in
 * the meantime) does not keep the others from being done: half an update is worse, and the next look tries again.
 */
export async function commitOverlayUpdate(
  disk: NodeDisk,
  steps: readonly CommitStep[],
): Promise<readonly StepFailure[]> {
  const failures: StepFailure[] = [];
  for (const step of steps) {
    try {
      await commitStep(disk, step);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      failures.push({ place: step.place, why: errorSentence(error) });
    }
  }
  return failures;
}

/** Whatever a system call or a program said to a step is said of this step; anything else is a bug. */
function isRefusal(error: unknown): boolean {
  if (error instanceof MusterError) return true;
  return error instanceof Error && "code" in error && !String(error.code).startsWith("ERR_");
}

async function commitStep(disk: NodeDisk, step: CommitStep): Promise<void> {
  const { place } = step;
  switch (step.kind) {
    case "remove":
      return removeTree(disk, place);
    case "restore":
      return moveTo(disk, step.from, place, false);
    case "put":
      return moveTo(disk, step.staged, place, step.clears);
    case "leave-directory":
      return disk.rmdir(place).catch((error: unknown) => {
        // Somebody put something into it, which is theirs.
        if (!hasErrno(error, "ENOENT", "ENOTEMPTY", "EEXIST", "ENOTDIR")) throw error;
      });
    case "set-directory":
      return setDirectory(disk, step);
    default:
      return step satisfies never;
  }
}

/** `from` is used up by this; when it is gone, this was done before. */
async function moveTo(disk: NodeDisk, from: string, place: string, clears: boolean): Promise<void> {
  const { type } = await disk.lstat(from);
  if (type === "absent") return;
  const there = await disk.lstat(place);
  if (there.type === "directory") {
    if (clears) await removeTree(disk, place);
    else if (type !== "directory") await disk.rmdir(place);
  } else if (type === "directory" && there.type !== "absent") {
    await disk.unlink(place);
  }
  await disk.rename(from, place);
  // Two names of one file: rename(2) then does nothing and says it did.
  if ((await disk.lstat(from)).type !== "absent") await removeTree(disk, from);
}

async function setDirectory(
  disk: NodeDisk,
  { place, attributes }: Extract<CommitStep, { kind: "set-directory" }>,
): Promise<void> {
  const { type, uid, gid, mode } = await disk.lstat(place);
  if (type !== "directory") return;
  if (uid !== attributes.uid || gid !== attributes.gid)
    await disk.lchown(place, attributes.uid, attributes.gid);
  if (mode !== attributes.mode) await disk.chmod(place, attributes.mode);
  await disk.setXattrs(new Map([[place, attributes.xattrs]]));
}
