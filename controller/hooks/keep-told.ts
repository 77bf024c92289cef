import { readFile } from "node:fs/promises";

import type { NodeName } from "#proto/contract/node-name.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

/** The nodes that hooks think are up, each with its boot, as a musterd before this one left them. */
export async function readTold(path: string): Promise<ReadonlyMap<NodeName, string>> {
  try {
    const { up } = JSON.parse(await readFile(path, "utf8")) as { up: Record<string, string> };
    return new Map(Object.entries(up) as [NodeName, string][]);
  } catch {
    // None yet, or spoilt by a disk: then hooks are told of every node that is up, which they have to bear anyway.
    return new Map();
  }
}

/** Keeps them for the next musterd. */
export async function storeTold(path: string, up: ReadonlyMap<NodeName, string>): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify({ up: Object.fromEntries(up) })}\n`, 0o600);
}
