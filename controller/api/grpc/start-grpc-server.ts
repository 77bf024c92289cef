import { createServer, type Server as NetServer } from "node:net";

import {
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerOptions,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

import { MusterError } from "#proto/contract/muster-error.ts";
import {
  type Admission,
  type ConnectionLimits,
  type LimitedAddress,
  openAdmission,
  planConnectionLimits,
} from "../admit-connections.ts";

/** A listening gRPC server. Disposing lets calls end for a moment, then cuts them. */
export interface GrpcServer extends AsyncDisposable {
  readonly port: number;
  /** Ends the connection of a peer ("address:port", as calls name it) with all its calls. */
  readonly cut: (peer: string) => void;
  /** Serves connections made from now on with this certificate; those there are go on. */
  readonly renew: (certificate: { readonly certPem: string; readonly keyPem: string }) => void;
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
  /** Default: those of 256 connections from one address. */
  readonly limits?: ConnectionLimits;
  /** An address was refused a connection; at most once a minute for each. */
  readonly onLimited?: (limited: LimitedAddress) => void;
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
  // Nobody keeps a connection without a call on it; an agent that boots has one every few seconds.
  "grpc.max_connection_idle_ms": 120_000,
  // An agent needs three at a time.
  "grpc.max_concurrent_streams": 32,
};

/**
 * Starts a server with TLS, behind limits on connections that cost an attacker more than us: they are accepted by a
 * plain socket and handed to gRPC only when admitted. Throws `port-in-use` when it cannot listen.
 */
export async function startGrpcServer(endpoint: GrpcEndpoint, offer: GrpcOffer): Promise<GrpcServer> {
  const admission = openAdmission(
    endpoint.limits ?? planConnectionLimits(256),
    () => performance.now(),
    endpoint.onLimited ?? (() => undefined),
  );
  const server = new Server({
    ...COMMON_OPTIONS,
    "grpc.max_receive_message_length": offer.maxRequestBytes,
    ...offer.options,
    interceptors: [noteCalls(admission), offer.guard],
  });
  for (const { definition, implementation } of offer.services) server.addService(definition, implementation);
  const { clientAuthorityPem } = endpoint;
  const makeInjector = ({ certPem, keyPem }: Pick<GrpcEndpoint, "certPem" | "keyPem">) =>
    server.createConnectionInjector(
      ServerCredentials.createSsl(
        clientAuthorityPem === undefined ? null : Buffer.from(clientAuthorityPem),
        [{ cert_chain: Buffer.from(certPem), private_key: Buffer.from(keyPem) }],
        clientAuthorityPem !== undefined,
      ),
    );
  let injector = makeInjector(endpoint);
  const front = createServer({ noDelay: true }, (socket) => {
    if (admission.admit(socket)) injector.injectConnection(socket);
  });
  const port = await listen(front, endpoint);
  return {
    port,
    cut: (peer) => {
      admission.cut(peer);
    },
    renew: (certificate) => {
      injector = makeInjector(certificate);
    },
    [Symbol.asyncDispose]: async () => {
      front.close();
      await shutDown(server);
      admission[Symbol.dispose]();
    },
  };
}

function noteCalls(admission: Admission): ServerInterceptor {
  return (_method, call) => {
    admission.called(call.getPeer());
    return new ServerInterceptingCall(call);
  };
}

function listen(front: NetServer, { address, port }: GrpcEndpoint): Promise<number> {
  return new Promise((resolve, reject) => {
    front.once("error", (error) => {
      reject(
        new MusterError({
          code: "port-in-use",
          what: `cannot listen on ${address} port ${port}: ${error.message}`,
          fix: "stop what has the port (ss -ltnp), or choose another under `ports` in muster.yaml; the address must be one of this host",
          cause: error,
        }),
      );
    });
    front.listen({ port, host: address, backlog: 4096 }, () => {
      const bound = front.address();
      resolve(typeof bound === "object" && bound !== null ? bound.port : port);
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
