import { readFile, rm } from "node:fs/promises";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import type { Contents } from "#proto/gen/muster/v1/overlay.ts";
import type { Blob } from "#proto/gen/muster/v1/provisioning.ts";

import { fetchBlob } from "../boot/fetch-blob.ts";
import { readIdentity } from "../identity/store-identity.ts";
import type { NodeRecord } from "../node-record.ts";
import type { ControllerLink } from "../session/controller-link.ts";
import type { SessionHost } from "../session/session-host.ts";
import { type ContentStore, diskFull, type FileContent } from "./content-store.ts";

/** Gets contents from the controller into the store. */
export interface ContentsFetcher {
  /** Resolves to what could not be had, each with the reason. Throws only for what no other try would change. */
  fetch(contents: readonly FileContent[], signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
}

/** As many digests as one question has: 70 bytes each, far below what a message may have. */
const DIGESTS_PER_MESSAGE = 1000;
const ANSWER_DEADLINE_MS = 30_000;
/** For one file from the blob servers, breaks and resumes included. */
const BLOB_DEADLINE_MS = 15 * 60_000;

export function openContentsFetcher(
  host: SessionHost,
  link: ControllerLink,
  store: ContentStore,
): ContentsFetcher {
  let waiting: ((answer: Contents) => void) | undefined;
  link.onMessage("contents", (answer) => waiting?.(answer));

  /** Undefined when no answer comes: no session, its end, or silence. */
  const ask = async (digests: string[], signal: AbortSignal): Promise<Contents | undefined> => {
    const answered = new Promise<Contents | undefined>((resolve) => {
      const timer = setTimeout(() => {
        resolve(undefined);
      }, ANSWER_DEADLINE_MS);
      const onAbort = (): void => {
        clearTimeout(timer);
        resolve(undefined);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      waiting = (answer) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        resolve(answer);
      };
      if (signal.aborted || !link.send({ $case: "fetchContents", value: { digests } })) onAbort();
    });
    return answered.finally(() => {
      waiting = undefined;
    });
  };

  const fetchLarge = async (blob: Blob, signal: AbortSignal): Promise<string | undefined> => {
    const { path, done } = store.openLarge(blob.digest);
    try {
      const { blobAddresses } = JSON.parse(await readFile(host.paths.node, "utf8")) as NodeRecord;
      const identity = await readIdentity(host.paths.identity);
      if (identity === undefined) return "this node has no identity";
      const line = (text: string): void => {
        host.log(`overlay: ${text}`);
      };
      await fetchBlob(
        { ...host, console: { line }, run: () => Promise.reject(new Error("a fetch runs no program")) },
        {
          blob,
          addresses: blobAddresses,
          identity,
          path,
          deadlineUptimeMs: host.uptimeMs() + BLOB_DEADLINE_MS,
          onProgress: () => undefined,
        },
        signal,
      );
      await done();
      return undefined;
    } catch (error) {
      await rm(path, { force: true });
      if (error instanceof MusterError && error.code === "memory-insufficient")
        throw diskFull(path, `${blob.sizeBytes} bytes are needed`, error);
      return errorSentence(error);
    }
  };

  return {
    fetch: async (contents, signal) => {
      const remaining = new Map(contents.map((each) => [each.digest, each]));
      const reasons = new Map<string, string>();
      while (remaining.size > 0) {
        const digests = [...remaining.keys()].slice(0, DIGESTS_PER_MESSAGE);
        const before = remaining.size;
        const answer = await ask(digests, signal);
        if (answer === undefined) break;
        for (const { digest, data } of answer.contents) {
          if (remaining.delete(digest)) await store.store(digest, data);
        }
        for (const digest of answer.missing) {
          if (remaining.delete(digest)) reasons.set(digest, "the controller has another version by now");
        }
        for (const blob of answer.blobs) {
          if (!remaining.delete(blob.digest)) continue;
          const reason = await fetchLarge(blob, signal);
          if (reason !== undefined) reasons.set(blob.digest, reason);
        }
        // An answer without any of what was asked for would be asked for again for ever.
        if (remaining.size === before) break;
      }
      for (const digest of remaining.keys()) reasons.set(digest, "no controller answers");
      return reasons;
    },
  };
}
