import { readdir, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { InventoryState, RecordKind } from "../inventory/changes.ts";
import { RECORD_DIRECTORIES } from "./read-inventory-texts.ts";
import { HEADER, renderRecordFile } from "./render-inventory.ts";
import { makeDirectory } from "./write-export-file.ts";

/** What writing a directory came to. */
export interface WrittenDirectory {
  readonly written: number;
  readonly unchanged: number;
  /** Files of records that are no more. */
  readonly removed: number;
  /** Files named like records that are no more, but not written by muster: they are left. */
  readonly foreign: readonly string[];
}

export interface DirectoryOptions {
  /** Of the files: 0600 where secrets are in them. */
  readonly mode: number;
  /** Only these kinds are written, and removed. */
  readonly kinds: readonly RecordKind[];
  /** Whether files of records that are not in the state are removed. */
  readonly prune: boolean;
  readonly progress?: (done: number, all: number) => void;
}

const AT_ONCE = 32;

/**
 * Writes `profiles/NAME.yaml` and `nodes/NAME.yaml`. Files that have the right bytes are not touched, so that `git status` is quiet.
 * A file of a record that is no more is removed when its first line is muster's; any other is left and named in the result.
 */
export async function writeInventoryDirectory(
  directory: string,
  state: InventoryState,
  options: DirectoryOptions,
): Promise<WrittenDirectory> {
  const result = { written: 0, unchanged: 0, removed: 0, foreign: [] as string[] };
  const all = state.nodes.length + state.profiles.length;
  for (const [name, kind] of Object.entries(RECORD_DIRECTORIES)) {
    if (!options.kinds.includes(kind)) continue;
    const path = join(directory, name);
    await makeDirectory(path);
    const records = kind === "node" ? state.nodes : state.profiles;
    for (let at = 0; at < records.length; at += AT_ONCE) {
      const outcomes = await Promise.all(
        records
          .slice(at, at + AT_ONCE)
          .map((record) =>
            writeRecord(
              join(path, `${record.name}.yaml`),
              renderRecordFile(kind, record.name, record.fields),
              options.mode,
            ),
          ),
      );
      for (const isWritten of outcomes) result[isWritten ? "written" : "unchanged"] += 1;
      options.progress?.(result.written + result.unchanged, all);
    }
    if (options.prune) await removeOthers(path, new Set(records.map((record) => record.name)), result);
  }
  return result;
}

/** Whole or not at all, but not forced to disk: 10,000 times that takes minutes, and the next export writes what is missing. */
async function writeRecord(path: string, text: string, mode: number): Promise<boolean> {
  const before = await readFile(path, "utf8").catch(() => undefined);
  if (before === text) return false;
  const temporary = `${path}.tmp`;
  try {
    // one that is left of an export that was killed may have other rights
    await unlink(temporary).catch(() => undefined);
    await writeFile(temporary, text, { mode, flag: "wx" });
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  return true;
}

async function removeOthers(
  path: string,
  names: ReadonlySet<string>,
  result: { removed: number; readonly foreign: string[] },
): Promise<void> {
  for (const file of (await readdir(path)).sort()) {
    if (!file.endsWith(".yaml") || file.startsWith(".") || names.has(file.slice(0, -".yaml".length)))
      continue;
    const isOurs = (await readFile(join(path, file), "utf8").catch(() => "")).startsWith(HEADER);
    if (!isOurs) result.foreign.push(join(path, file));
    else {
      await unlink(join(path, file));
      result.removed += 1;
    }
  }
}
