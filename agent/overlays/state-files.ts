import { dirname } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { OverlaySchedule } from "#proto/gen/muster/v1/overlay.ts";
import { hasErrno, type NodeDisk } from "./node-disk.ts";
import { ancestorsOf } from "./parse-manifest.ts";
import {
  type AppliedOverlay,
  type Fingerprints,
  NOTHING_APPLIED,
  type UpdateJournal,
} from "./runtime-state.ts";

/**
 * The state directory of the runtime overlay. What stands in a file of it is whole: files are made under another
 * name and renamed.
 */
export interface StateFiles {
  readonly staging: string;
  readonly covered: string;
  readonly contents: string;
  /** Makes the directories, 0700. */
  open(): Promise<void>;
  readApplied(): Promise<AppliedOverlay>;
  /** The next state, complete beside its place: {@link adoptApplied} then needs no space. */
  prepareApplied(applied: AppliedOverlay): Promise<void>;
  /** What {@link prepareApplied} prepared and {@link adoptApplied} did not take over yet. */
  readNextApplied(): Promise<AppliedOverlay | undefined>;
  adoptApplied(): Promise<void>;
  readFingerprints(): Promise<Fingerprints>;
  writeFingerprints(fingerprints: Fingerprints): Promise<void>;
  readSchedule(): Promise<OverlaySchedule | undefined>;
  writeSchedule(schedule: OverlaySchedule): Promise<void>;
  readJournal(): Promise<UpdateJournal | undefined>;
  writeJournal(journal: UpdateJournal): Promise<void>;
  dropJournal(): Promise<void>;
  /** Paths outside the directory where an update makes something, written down before it does. */
  writeBesides(paths: readonly string[]): Promise<void>;
  readBesides(): Promise<readonly string[]>;
}

export function openStateFiles(disk: NodeDisk, directory: string): StateFiles {
  const at = (name: string): string => `${directory}/${name}`;
  const [staging, covered, contents] = [at("staging"), at("covered"), at("contents")];
  const read = async (name: string): Promise<unknown> => {
    const content = await disk.readFile(at(name));
    if (content === undefined) return undefined;
    try {
      return JSON.parse(content.toString("utf8")) as unknown;
    } catch (cause) {
      throw damaged(at(name), directory, cause);
    }
  };
  const write = async (name: string, value: unknown): Promise<void> => {
    const next = at(`${name}.next`);
    await removeFile(disk, next);
    await disk.writeFile(next, Buffer.from(JSON.stringify(value)));
    await disk.rename(next, at(name));
    await disk.syncDirectory(directory);
  };
  return {
    staging,
    covered,
    contents,
    open: async () => {
      for (const parent of ancestorsOf(staging).toReversed())
        await ensureDirectory(disk, parent, parent === directory ? 0o700 : 0o755);
      for (const each of [staging, covered, contents]) await ensureDirectory(disk, each, 0o700);
    },
    readApplied: async () => ((await read("applied.json")) ?? NOTHING_APPLIED) as AppliedOverlay,
    prepareApplied: async (applied) => {
      await removeFile(disk, at("applied.json.next"));
      await disk.writeFile(at("applied.json.next"), Buffer.from(JSON.stringify(applied)));
    },
    readNextApplied: async () => (await read("applied.json.next")) as AppliedOverlay | undefined,
    adoptApplied: async () => {
      if ((await disk.lstat(at("applied.json.next"))).type === "absent") return;
      await disk.rename(at("applied.json.next"), at("applied.json"));
      await disk.syncDirectory(directory);
    },
    readFingerprints: async () => ((await read("fingerprints.json")) ?? {}) as Fingerprints,
    writeFingerprints: (fingerprints) => write("fingerprints.json", fingerprints),
    readSchedule: async () => (await read("schedule.json")) as OverlaySchedule | undefined,
    writeSchedule: (schedule) => write("schedule.json", schedule),
    readJournal: async () => (await read("update.json")) as UpdateJournal | undefined,
    writeJournal: (journal) => write("update.json", journal),
    dropJournal: () => removeFile(disk, at("update.json")),
    writeBesides: async (paths) => {
      if (paths.length > 0) await write("staging/besides.json", paths);
    },
    readBesides: async () => ((await read("staging/besides.json")) ?? []) as readonly string[],
  };
}

function damaged(path: string, directory: string, cause: unknown): MusterError {
  return new MusterError({
    code: "overlay-apply-failed",
    what: `${path} is damaged`,
    fix: `restart the node; if its root outlives that, remove ${directory}: what the overlay covered before is then gone`,
    cause,
  });
}

export async function removeFile(disk: NodeDisk, path: string): Promise<void> {
  await disk.unlink(path).catch((error: unknown) => {
    if (!hasErrno(error, "ENOENT")) throw error;
  });
}

async function ensureDirectory(disk: NodeDisk, path: string, mode: number): Promise<void> {
  if ((await disk.lstat(path)).type === "directory") return;
  await disk.makeDirectory(path, mode).catch((error: unknown) => {
    if (!hasErrno(error, "EEXIST")) throw error;
  });
  await disk.chmod(path, mode);
  await disk.syncDirectory(dirname(path));
}
