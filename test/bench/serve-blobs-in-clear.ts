import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";

import { Server, ServerCredentials, ServerInterceptingCall } from "@grpc/grpc-js";

import { guardCalls } from "../../controller/api/grpc/authorize-calls.ts";
import { openDeniedBoots } from "../../controller/images/denied-boots.ts";
import {
  BLOB_CHANNEL_OPTIONS,
  BLOB_SERVICE_DEFINITION,
  serveBlobs,
} from "../../controller/images/serve-blobs.ts";

/*
 * The blob service of a worker without TLS, to see what TLS costs. Its one argument is a file with where to
 * serve from and the certificate that every caller is taken to have shown: the guard runs as in a worker.
 */

/** What is in the file. */
export interface ClearServerConfig {
  readonly blobRoot: string;
  /** Hexadecimal. */
  readonly ticketKey: string;
  readonly nodeCertificatePem: string;
}

class CallOfKnownNode extends ServerInterceptingCall {
  override getAuthContext(): ReturnType<ServerInterceptingCall["getAuthContext"]> {
    return { transportSecurityType: "clear", sslPeerCertificate: certificate.toLegacyObject() };
  }
}

const config = JSON.parse(await readFile(process.argv[2] ?? "", "utf8")) as ClearServerConfig;
const certificate = new X509Certificate(config.nodeCertificatePem);
const now = (): Date => new Date();
const onBug = (error: unknown): void => {
  process.stderr.write(`${String(error)}\n`);
};
const server = new Server({
  ...BLOB_CHANNEL_OPTIONS,
  interceptors: [(_method, call) => new CallOfKnownNode(call), guardCalls({ now, onBug })],
});
server.addService(
  BLOB_SERVICE_DEFINITION,
  serveBlobs({
    blobRoot: config.blobRoot,
    ticketKey: Buffer.from(config.ticketKey, "hex"),
    denied: openDeniedBoots(now),
    cut: () => undefined,
    now,
    onBug,
  }),
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`listening ${port}\n`);
});
