import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";

import { MusterError } from "#proto/contract/muster-error.ts";

/** 200 bytes for each of 80,000 nodes; nobody's list of machines is longer. */
const MAX_BYTES = 16 * 1024 * 1024;

/** The text of a file, or of `input` for "-". `config-unreadable`: missing, too large, not UTF-8. */
export async function readImportFile(path: string, input: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of path === "-" ? input : createReadStream(path)) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size > MAX_BYTES) throw unreadable(path, "it has more than 16 MiB", "split it");
    }
  } catch (error) {
    if (error instanceof MusterError) throw error;
    throw unreadable(path, "cannot be read", "give a file that you may read, or - for standard input", error);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    throw unreadable(path, "it is not UTF-8", "convert it: iconv -f LATIN1 -t UTF-8", error);
  }
}

function unreadable(path: string, what: string, fix: string, cause?: unknown): MusterError {
  return new MusterError({ code: "config-unreadable", what: `${path}: ${what}`, fix, cause });
}
