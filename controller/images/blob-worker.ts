import cluster from "node:cluster";

import { guardCalls } from "../api/grpc/authorize-calls.ts";
import { type GrpcServer, startGrpcServer } from "../api/grpc/start-grpc-server.ts";
import { openDeniedBoots } from "./denied-boots.ts";
import { BLOB_CHANNEL_OPTIONS, BLOB_SERVICE_DEFINITION, serveBlobs } from "./serve-blobs.ts";
import type { BlobWorkerConfig, BlobWorkerMessage, BlobWorkerOrder } from "./start-blob-workers.ts";

/*
 * Entry point of a blob worker: a process that node:cluster starts for musterd.
 *
 * Its configuration, keys included, comes as a message, so that nothing secret is in its arguments, its
 * environment or a file; boots that are denied while it serves come as others. It ends when musterd does.
 */

function tell(message: BlobWorkerMessage): void {
  if (process.connected) process.send?.(message);
}

const now = (): Date => new Date();
const denied = openDeniedBoots(now);
/** Until it listens there is nothing to renew: its configuration has the certificate of the moment. */
let renew: GrpcServer["renew"] = () => undefined;

async function serve(config: BlobWorkerConfig): Promise<void> {
  const onBug = (error: unknown, method: string): void => {
    tell({
      kind: "bug",
      method,
      text: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  };
  const server = await startGrpcServer(
    {
      address: config.address,
      port: config.port,
      certPem: config.certPem,
      keyPem: config.keyPem,
      clientAuthorityPem: config.caPem,
      limits: config.limits,
      onLimited: (limited) => {
        tell({ kind: "limited", ...limited });
      },
    },
    {
      services: [
        {
          definition: BLOB_SERVICE_DEFINITION,
          implementation: serveBlobs({
            blobRoot: config.blobRoot,
            ticketKey: config.ticketKey,
            denied,
            cut: (peer) => {
              server.cut(peer);
            },
            now,
            onBug,
          }),
        },
      ],
      guard: guardCalls({ now, onBug, findDenied: denied.find }),
      maxRequestBytes: BLOB_CHANNEL_OPTIONS["grpc.max_receive_message_length"],
      options: BLOB_CHANNEL_OPTIONS,
    },
  );
  renew = server.renew;
  tell({ kind: "listening", port: server.port });
}

process.on("message", (order: BlobWorkerOrder) => {
  if (order.kind === "deny") {
    denied.deny(order.boots);
    return;
  }
  if (order.kind === "renew") {
    renew(order);
    return;
  }
  serve(order.config).catch((error: unknown) => {
    tell({ kind: "failed", text: error instanceof Error ? error.message : String(error) });
    process.exitCode = 1;
    process.disconnect();
  });
});
process.once("disconnect", () => {
  process.exit();
});
// musterd ended while this started: there is nobody to tell.
cluster.worker?.on("error", () => process.exit(1));
// Ctrl-C and systemd signal the whole group at once; musterd decides when its workers end.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);
