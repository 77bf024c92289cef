import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { type Digest, parseDigest } from "#proto/contract/digest.ts";
import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { BlobStore } from "../images/blob-store.ts";
import type { BlobReference } from "../inventory/inventory.ts";

/** The agent of this release, as nodes that are up fetch it. */
export interface StoredAgent {
  readonly version: string;
  /** Name of the build, as in Hello.agent_digest. */
  readonly build: Digest;
  /** Of the executable. */
  readonly sizeBytes: number;
  /** The executable, compressed; in the blob store. */
  readonly blob: BlobReference;
}

/**
 * Puts the agent that lies among the artifacts of this release (agent.json, agent.zst) into the blob store; what is
 * there already is not read again. Undefined when the artifacts have none, as those a site built itself.
 * `config-invalid` when agent.json is none.
 */
export async function storeAgentRelease(
  artifacts: string,
  blobs: Pick<BlobStore, "put" | "sizeOf">,
): Promise<StoredAgent | undefined> {
  const path = join(artifacts, "agent.json");
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const agent = parseAgentRelease(path, text);
  if ((await blobs.sizeOf(agent.blob.digest)) !== agent.blob.sizeBytes) {
    await blobs.put(createReadStream(join(artifacts, "agent.zst")), agent.blob.digest);
  }
  return agent;
}

function parseAgentRelease(path: string, text: string): StoredAgent {
  try {
    const { version, build, sizeBytes, blob } = JSON.parse(text) as StoredAgent;
    if (typeof version !== "string" || !isSize(sizeBytes) || !isSize(blob.sizeBytes)) {
      throw new Error("version and sizes are missing");
    }
    const digest = parseDigest(blob.digest);
    return { version, build: parseDigest(build), sizeBytes, blob: { digest, sizeBytes: blob.sizeBytes } };
  } catch (cause) {
    throw new MusterError({
      code: "config-invalid",
      what: `${path} does not say what agent this release has: ${errorSentence(cause)}`,
      fix: "install the release again, or correct paths.artifacts in muster.yaml",
    });
  }
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
