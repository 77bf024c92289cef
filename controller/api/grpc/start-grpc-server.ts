import {
  Server,
  ServerCredentials,
  type ServerInterceptor,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

import { MusterError } from "#proto/contract/muster-error.ts";

/** A listening gRPC server. Disposing lets calls end for a moment, then cuts them. */
export interface GrpcServer extends AsyncDisposable {
  readonly port: number;
}

/** Where and as whom a server listens. */
export interface GrpcEndpoint {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  readonly certPem: string;
  readonly keyPem: string;
  /** With it, every client must show a certificate this authority signed, before the first byte of a call. */
  readonly clientAuthorityPem?: string;
}

/** What a server offers and how much it takes. */
export interface GrpcOffer {
  readonly services: readonly {
    readonly definition: ServiceDefinition;
    readonly implementation: UntypedServiceImplementation;
  }[];
  readonly guard: ServerInterceptor;
  readonly maxRequestBytes: number;
  readonly options?: ServerOptions;
}

/** How long calls may go on after a server was told to stop. Sessions never end by themselves. */
const SHUTDOWN_GRACE_MS = 1000;

/** Settings every server has, with the reason for each number. */
const COMMON_OPTIONS: ServerOptions = {
  // A node that lost power takes 30 s to be noticed, not the two hours of TCP.
  "grpc.keepalive_time_ms": 20_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // An agent needs three at a time.
  "grpc.max_concurrent_streams": 32,
};

/** Starts a server with TLS. Throws `port-in-use` when it cannot listen. */
export async function startGrpcServer(endpoint: GrpcEndpoint, offer: GrpcOffer): Promise<GrpcServer> {
  const server = new Server({
    ...COMMON_OPTIONS,
    "grpc.max_receive_message_length": offer.maxRequestBytes,
    ...offer.options,
    interceptors: [offer.guard],
  });
  for (const { definition, implementation } of offer.services) server.addService(definition, implementation);
  const { clientAuthorityPem } = endpoint;
  const credentials = ServerCredentials.createSsl(
    clientAuthorityPem === undefined ? null : Buffer.from(clientAuthorityPem),
    [{ cert_chain: Buffer.from(endpoint.certPem), private_key: Buffer.from(endpoint.keyPem) }],
    clientAuthorityPem !== undefined,
  );
  const port = await listen(server, endpoint, credentials);
  return { port, [Symbol.asyncDispose]: () => shutDown(server) };
}

function listen(server: Server, endpoint: GrpcEndpoint, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${endpoint.address}:${endpoint.port}`, credentials, (error, port) => {
      if (error === null) {
        resolve(port);
        return;
      }
      reject(
        new MusterError({
          code: "port-in-use",
          what: `cannot listen on ${endpoint.address} port ${endpoint.port}: ${error.message}`,
          fix: "stop what has the port (ss -ltnp), or choose another under `ports` in muster.yaml; the address must be one of this host",
          cause: error,
        }),
      );
    });
  });
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, SHUTDOWN_GRACE_MS);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
