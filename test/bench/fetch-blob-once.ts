import { readFile } from "node:fs/promises";

import { Client, credentials } from "@grpc/grpc-js";

import { BlobsService } from "#proto/gen/muster/v1/provisioning.ts";

import { parseBlobChunk } from "../../agent/boot/parse-blob-chunk.ts";
import { BLOB_OPTIONS } from "../../agent/identity/controller-channel.ts";

/*
 * Fetches one blob as the agent does and throws it away: a client in a process of its own, so that its CPU time
 * is not the server's. Its one argument is a file that says what and from where. Prints {@link FetchResult}.
 */

/** What is in the file. */
export interface FetchConfig {
  readonly port: number;
  readonly digest: string;
  /** Hexadecimal. */
  readonly ticket: string;
  /** Absent: in clear. */
  readonly tls?: { readonly authorityPem: string; readonly keyPem: string; readonly certificatePem: string };
}

/** When the fetch began and ended, milliseconds since 1970. */
export interface FetchResult {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly bytes: number;
}

const { port, digest, ticket, tls } = JSON.parse(
  await readFile(process.argv[2] ?? "", "utf8"),
) as FetchConfig;
const channel =
  tls === undefined
    ? credentials.createInsecure()
    : credentials.createSsl(
        Buffer.from(tls.authorityPem),
        Buffer.from(tls.keyPem),
        Buffer.from(tls.certificatePem),
      );
const client = new Client(`127.0.0.1:${port}`, channel, BLOB_OPTIONS);
const now = (): number => performance.timeOrigin + performance.now();
const startedMs = now();
const { path, requestSerialize } = BlobsService.fetchBlob;
const request = { digest, offset: 0, ticket: Buffer.from(ticket, "hex") };
let bytes = 0;
for await (const chunk of client.makeServerStreamRequest(path, requestSerialize, parseBlobChunk, request)) {
  bytes += (chunk as Buffer).length;
}
const result: FetchResult = { startedMs, endedMs: now(), bytes };
process.stdout.write(JSON.stringify(result));
client.close();
