import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";

import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

/**
 * A random secret that outlives the process: made once in a file of mode 0600, read afterwards.
 * A file of another length is a truncated one and is replaced.
 */
export async function keepSecretFile(
  path: string,
  bytes: number,
  randomBytes: (size: number) => Buffer,
): Promise<Buffer> {
  const kept = await readFile(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
  if (kept?.length === bytes) return kept;
  const secret = randomBytes(bytes);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomically(path, secret, 0o600);
  return secret;
}
