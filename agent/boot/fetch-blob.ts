import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";

import { Client, type ClientReadableStream } from "@grpc/grpc-js";

import { digestHex, parseDigest, shortDigest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { planRetryDelayMs } from "#proto/contract/plan-retry.ts";
import { type Blob, BlobsService, type FetchBlobRequest } from "#proto/gen/muster/v1/provisioning.ts";
import { musterErrorFromGrpc } from "#proto/host/grpc-errors.ts";

import { BLOB_OPTIONS, nodeCredentials } from "../identity/controller-channel.ts";
import type { NodeIdentity } from "../identity/store-identity.ts";
import type { BootHost } from "./boot-host.ts";
import { parseBlobChunk } from "./parse-blob-chunk.ts";
import { planFetchAnswer } from "./plan-fetch-answer.ts";

/** A fetch: what, from where, until when. */
export interface BlobFetch {
  readonly blob: Blob;
  /** host:port, in the order to try; after a broken stream the next one goes on. */
  readonly addresses: readonly string[];
  readonly identity: NodeIdentity;
  /** The file to write. It is there after success only, whole and verified. */
  readonly path: string;
  /** Given up when {@link BootHost.uptimeMs} passes this. */
  readonly deadlineUptimeMs: number;
  /** Bytes of this blob so far, as they come. */
  readonly onProgress: (bytes: number) => void;
}

/** No byte for this long: the connection is taken for dead and another address is tried. */
const SILENCE_MS = 15_000;
/** Once can be a bad cable; twice is the address, or what stands behind it. */
const MOST_WRONG = 2;
const RETRY = { firstMs: 500, maxMs: 10_000 };

/**
 * Fetches a blob into a file, hashing as it comes. A broken stream resumes at its offset, from the next
 * address. Wrong bytes are fetched once more from the start; an address that had a part in wrong bytes twice is left
 * out, and when none remains the fetch fails with `blob-corrupt`; the deadline ends
 * in `fetch-gave-up`; `blob-missing` when every controller says so; `ticket-refused` when the ticket is.
 */
export async function fetchBlob(host: BootHost, fetch: BlobFetch, signal: AbortSignal): Promise<void> {
  if (await holdsBlob(fetch.path, fetch.blob)) return;
  const wrongFrom = new Map<string, number>();
  for (;;) {
    const addresses = fetch.addresses.filter((address) => (wrongFrom.get(address) ?? 0) < MOST_WRONG);
    const { digest, sources } = await fetchOnce(host, { ...fetch, addresses }, signal);
    if (digest === fetch.blob.digest) return;
    await rm(fetch.path, { force: true });
    for (const source of sources) wrongFrom.set(source, (wrongFrom.get(source) ?? 0) + 1);
    const mayRetry = fetch.addresses.some((address) => (wrongFrom.get(address) ?? 0) < MOST_WRONG);
    if (!mayRetry || sources.size === 0) throw corrupt(fetch.blob, digest);
    host.console.line(
      `blob ${shortDigest(parseDigest(fetch.blob.digest))} arrived with wrong bytes; fetching it again`,
    );
  }
}

/** The file name of a blob: the 64 hex digits of its digest. Throws for a digest that is none: it becomes a path. */
export function blobFileName(blob: Blob): string {
  return digestHex(parseDigest(blob.digest));
}

/** An agent that was started again finds what the one before fetched. */
async function holdsBlob(path: string, blob: Blob): Promise<boolean> {
  const facts = await stat(path).catch(() => undefined);
  if (facts?.size !== blob.sizeBytes) return false;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return `sha256:${hash.digest("hex")}` === blob.digest;
}

/** State of one pass over the blob: bytes written are bytes hashed. */
interface Pass {
  readonly file: FileHandle;
  readonly hash: Hash;
  /** Addresses that bytes came from. */
  readonly sources: Set<string>;
  offset: number;
}

async function fetchOnce(
  host: BootHost,
  fetch: BlobFetch,
  signal: AbortSignal,
): Promise<{ readonly digest: string; readonly sources: ReadonlySet<string> }> {
  const pass: Pass = {
    file: await open(fetch.path, "w", 0o600),
    hash: createHash("sha256"),
    sources: new Set(),
    offset: 0,
  };
  let whole = false;
  try {
    await fetchAll(host, fetch, pass, signal);
    whole = true;
    return { digest: `sha256:${pass.hash.digest("hex")}`, sources: pass.sources };
  } finally {
    await pass.file.close();
    // A file that is there is whole: nothing half-fetched may be mounted or keep memory.
    if (!whole) await rm(fetch.path, { force: true });
  }
}

/** Goes round the addresses until the blob has its promised size. */
async function fetchAll(host: BootHost, fetch: BlobFetch, pass: Pass, signal: AbortSignal): Promise<void> {
  const { blob, addresses } = fetch;
  const notHere = new Set<string>();
  for (let turn = 0, fruitless = 0; pass.offset < blob.sizeBytes; turn++) {
    const address = addresses[turn % addresses.length];
    if (address === undefined) throw gaveUp(blob, pass, new Error("the boot plan names no blob server"));
    const before = pass.offset;
    const failure = await streamFrom(address, fetch, pass, signal);
    if (failure === undefined) return;
    const answer = planFetchAnswer(failure);
    if (answer === "refused") throw failure;
    if (answer === "not-here") notHere.add(address);
    if (notHere.size === addresses.length) throw failure;
    fruitless = pass.offset > before ? 0 : fruitless + 1;
    if (pass.offset > before) notHere.clear();
    const delayMs = planRetryDelayMs(RETRY, Math.floor(fruitless / addresses.length), host.random());
    if (host.uptimeMs() + delayMs > fetch.deadlineUptimeMs) throw gaveUp(blob, pass, failure);
    host.console.line(
      `${address}: ${failure.message}; resuming at ${Math.floor(pass.offset / 1e6)} of ${Math.ceil(blob.sizeBytes / 1e6)} MB`,
    );
    await host.sleep(delayMs, signal);
  }
}

/** One stream; undefined when it delivered the rest, else why it broke. */
async function streamFrom(
  address: string,
  fetch: BlobFetch,
  pass: Pass,
  signal: AbortSignal,
): Promise<MusterError | undefined> {
  signal.throwIfAborted();
  const client = new Client(address, nodeCredentials(fetch.identity), BLOB_OPTIONS);
  const call = openStream(client, {
    digest: fetch.blob.digest,
    offset: pass.offset,
    ticket: fetch.blob.ticket,
  });
  const onAbort = (): void => {
    call.cancel();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  const silence = setTimeout(onAbort, SILENCE_MS);
  try {
    for await (const chunk of call as AsyncIterable<Buffer>) {
      silence.refresh();
      if (pass.offset + chunk.length > fetch.blob.sizeBytes) {
        return oversized(address, fetch.blob);
      }
      await writeAll(pass.file, chunk);
      pass.hash.update(chunk);
      pass.offset += chunk.length;
      pass.sources.add(address);
      fetch.onProgress(pass.offset);
    }
    return pass.offset === fetch.blob.sizeBytes ? undefined : endedEarly(address);
  } catch (error) {
    signal.throwIfAborted();
    if (isOutOfMemory(error)) throw noSpace(fetch.blob, error);
    return musterErrorFromGrpc(error);
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", onAbort);
    call.cancel();
    client.close();
  }
}

/** A full tmpfs takes part of a write and says ENOSPC only to the next one. */
async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    done += (await file.write(chunk, done)).bytesWritten;
  }
}

function openStream(client: Client, request: FetchBlobRequest): ClientReadableStream<Buffer> {
  const { path, requestSerialize } = BlobsService.fetchBlob;
  return client.makeServerStreamRequest(path, requestSerialize, parseBlobChunk, request);
}

function endedEarly(address: string): MusterError {
  return new MusterError({
    code: "controller-unreachable",
    what: `${address} ended the stream before the blob was complete`,
  });
}

function oversized(address: string, blob: Blob): MusterError {
  return new MusterError({
    code: "blob-corrupt",
    what: `${address} sent more than the ${blob.sizeBytes} bytes that blob ${blob.digest} has`,
    fix: "check the store on the controller with `muster doctor`, or import the image again",
  });
}

function corrupt(blob: Blob, received: string): MusterError {
  return new MusterError({
    code: "blob-corrupt",
    what: `blob ${blob.digest} arrived twice with other content (${received})`,
    fix: "the copy on the controller is damaged: import the image again, and check the disk there",
  });
}

function gaveUp(blob: Blob, pass: Pass, cause: Error): MusterError {
  return new MusterError({
    code: "fetch-gave-up",
    what: `gave up fetching blob ${blob.digest} at ${pass.offset} of ${blob.sizeBytes} bytes`,
    fix: "check that musterd runs and its blob port can be reached from the node",
    cause,
  });
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "ENOMEM");
}

function noSpace(blob: Blob, cause: unknown): MusterError {
  return new MusterError({
    code: "memory-insufficient",
    what: `no memory for blob ${blob.digest} of ${blob.sizeBytes} bytes`,
    fix: "use a smaller image or give the node more memory",
    cause,
  });
}
