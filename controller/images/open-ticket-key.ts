import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";

import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

const KEY_BYTES = 32;

/**
 * The key that blob tickets are sealed with, kept in a file (mode 0600) and made on first use: a boot that was
 * streaming when musterd was killed goes on with the ticket it has. A file of another length is replaced;
 * agents then ask for a new plan.
 */
export async function openTicketKey(path: string): Promise<Buffer> {
  const kept = await readFile(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
  if (kept?.length === KEY_BYTES) return kept;
  const fresh = randomBytes(KEY_BYTES);
  await writeFileAtomically(path, fresh, 0o600);
  return fresh;
}
