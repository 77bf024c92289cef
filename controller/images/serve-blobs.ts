import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

import type { ServerWritableStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";

import { type Digest, digestHex, shortDigest } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { BlobsService, type FetchBlobRequest } from "#proto/gen/muster/v1/provisioning.ts";
import { grpcErrorFrom } from "#proto/host/grpc-errors.ts";
import { nodeOf } from "../api/grpc/authorize-calls.ts";
import { openBlobTicket, ticketRefused } from "./blob-tickets.ts";
import type { DeniedBoots } from "./denied-boots.ts";

/** What serving blobs needs: no inventory, only the files and the key of the tickets. */
export interface BlobServing {
  /** <state>/blobs */
  readonly blobRoot: string;
  readonly ticketKey: Uint8Array;
  readonly denied: Pick<DeniedBoots, "watch">;
  /** Ends the connection of a peer, as calls name it. */
  readonly cut: (peer: string) => void;
  readonly now: () => Date;
  readonly onBug: (error: unknown, method: string) => void;
}

/** What a FetchBlob message carries: 1 MiB leaves gRPC's and TLS's costs per message below those per byte. */
const CHUNK_BYTES = 1024 * 1024;
/** Field 1, wire type 2 (length-delimited) and a length of at most 4 bytes: protobuf's encoding document. */
const DATA_TAG = 0x0a;
const MAX_HEADER_BYTES = 5;
/** A client that takes its time has this long to hear why its transfer ends; then its connection ends too. */
const CUT_AFTER_MS = 500;
/** Buffers kept for the next stream; a stream uses two. */
const MAX_POOLED = 64;

/** Flow control: what may be under way on one stream. 8 MiB doubles what one stream carries on loopback. */
export const BLOB_CHANNEL_OPTIONS = {
  "grpc-node.flow_control_window": 8 * 1024 * 1024,
  // A ticket and a digest.
  "grpc.max_receive_message_length": 16 * 1024,
} as const;

/**
 * The Blobs service with serializers that pass bytes through: the handler writes the encoded
 * FetchBlobResponse itself, so that protobuf-es does not copy every megabyte twice more.
 */
export const BLOB_SERVICE_DEFINITION: ServiceDefinition = {
  fetchBlob: {
    ...BlobsService.fetchBlob,
    responseSerialize: (encoded: Buffer) => encoded,
    responseDeserialize: (encoded: Buffer) => encoded,
  },
};

/** Serves blobs to holders of tickets. */
export function serveBlobs(serving: BlobServing): UntypedServiceImplementation {
  const pool: Buffer[] = [];
  return {
    fetchBlob: (call: ServerWritableStream<FetchBlobRequest, Buffer>) => {
      sendBlob(serving, call, pool).then(
        () => call.end(),
        (error: unknown) => {
          if (!(error instanceof MusterError)) serving.onBug(error, "FetchBlob");
          if (!call.cancelled) call.emit("error", grpcErrorFrom(error));
        },
      );
    },
  };
}

/** Where the store keeps a blob: see BlobStore. */
export function blobPath(blobRoot: string, digest: Digest): string {
  const hex = digestHex(digest);
  return join(blobRoot, "sha256", hex.slice(0, 2), hex);
}

async function sendBlob(
  serving: BlobServing,
  call: ServerWritableStream<FetchBlobRequest, Buffer>,
  pool: Buffer[],
): Promise<void> {
  const { node, bootId } = nodeOf(call);
  const ticket = openBlobTicket(serving.ticketKey, call.request.ticket, serving.now());
  if (ticket.node !== node || ticket.bootId !== bootId) throw ticketRefused("it is for another boot");
  if (ticket.digest !== call.request.digest) throw ticketRefused("it is for another blob");
  const { offset } = call.request;
  if (offset > ticket.sizeBytes) {
    throw new MusterError({
      code: "blob-offset-invalid",
      what: `offset ${offset} is beyond the end of ${shortDigest(ticket.digest)} (${ticket.sizeBytes} bytes)`,
      fix: "start again from 0",
    });
  }
  const ended = new AbortController();
  using stack = new DisposableStack();
  const watch = serving.denied.watch(node, bootId, ({ why }) => {
    ended.abort(new MusterError({ code: "certificate-refused", what: why, fix: "restart the machine" }));
    setTimeout(() => {
      serving.cut(call.getPeer());
    }, CUT_AFTER_MS).unref();
  });
  stack.use(watch);
  ended.signal.throwIfAborted();
  const file = await openBlob(blobPath(serving.blobRoot, ticket.digest), ticket.digest);
  try {
    const { size } = await file.stat();
    if (size !== ticket.sizeBytes) throw sizeDiffers(ticket.digest, size, ticket.sizeBytes);
    await pump({ call, file, offset, size, digest: ticket.digest, signal: ended.signal }, pool);
    ended.signal.throwIfAborted();
  } finally {
    await file.close();
  }
}

/** Two buffers: one is read into while the other is on its way. */
async function pump(
  transfer: {
    readonly call: ServerWritableStream<FetchBlobRequest, Buffer>;
    readonly file: FileHandle;
    readonly offset: number;
    readonly size: number;
    readonly digest: Digest;
    /** Aborted: nothing more is sent. */
    readonly signal: AbortSignal;
  },
  pool: Buffer[],
): Promise<void> {
  const { call, file, offset, size, digest, signal } = transfer;
  const hasEnded = (): boolean => call.cancelled || signal.aborted;
  const buffers = [take(pool), take(pool)] as const;
  const stopped = new Promise<void>((resolve) => {
    call.once("cancelled", resolve);
    call.once("close", resolve);
    signal.addEventListener("abort", () => {
      resolve();
    });
  });
  let sent: Promise<void> = Promise.resolve();
  try {
    for (let at = offset, turn = 0; at < size && !hasEnded(); turn ^= 1) {
      const buffer = buffers[turn === 0 ? 0 : 1];
      const length = Math.min(CHUNK_BYTES, size - at);
      await readFully(file, buffer, length, at, digest);
      await Promise.race([sent, stopped]);
      if (hasEnded()) return;
      sent = write(call, encodeInPlace(buffer, length));
      at += length;
    }
    await Promise.race([sent, stopped]);
  } finally {
    // A cancelled call never answers for its last write, but grpc-js has copied what it was given.
    for (const buffer of buffers) if (pool.length < MAX_POOLED) pool.push(buffer);
  }
}

function write(call: ServerWritableStream<FetchBlobRequest, Buffer>, encoded: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    call.write(encoded, (error?: Error | null) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  });
}

async function readFully(
  file: FileHandle,
  buffer: Buffer,
  length: number,
  position: number,
  digest: Digest,
): Promise<void> {
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(buffer, MAX_HEADER_BYTES + done, length - done, position + done);
    if (bytesRead === 0) throw sizeDiffers(digest, position + done, position + length);
    done += bytesRead;
  }
}

/** The message FetchBlobResponse { data } around `length` bytes that stand at MAX_HEADER_BYTES in the buffer. */
function encodeInPlace(buffer: Buffer, length: number): Buffer {
  const header: number[] = [DATA_TAG];
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) header.push((rest & 0x7f) | 0x80);
  header.push(rest);
  const start = MAX_HEADER_BYTES - header.length;
  buffer.set(header, start);
  return buffer.subarray(start, MAX_HEADER_BYTES + length);
}

function take(pool: Buffer[]): Buffer {
  return pool.pop() ?? Buffer.allocUnsafeSlow(MAX_HEADER_BYTES + CHUNK_BYTES);
}

async function openBlob(path: string, digest: Digest): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    throw new MusterError({
      code: "blob-missing",
      what: `the controller does not have blob ${shortDigest(digest)}`,
      fix: "import the image again (muster image import); the same tree gives the same blob",
    });
  }
}

function sizeDiffers(digest: Digest, is: number, promised: number): MusterError {
  return new MusterError({
    code: "blob-corrupt",
    what: `blob ${shortDigest(digest)} has ${is} bytes in the store, not ${promised}`,
    fix: "import the image again (muster image import); `muster doctor` checks the disk",
  });
}
