import { type EnrollmentServer, EnrollmentService } from "#proto/gen/muster/v1/enrollment.ts";
import { type ProvisioningServer, ProvisioningService } from "#proto/gen/muster/v1/provisioning.ts";
import type { SessionServer } from "#proto/gen/muster/v1/session.ts";
import { SESSION_DEFINITION } from "../../sessions/session-definition.ts";
import { type GuardOptions, guardCalls } from "./authorize-calls.ts";
import { makeRateLimiter, type RateLimit } from "./limit-rate.ts";
import { type GrpcEndpoint, type GrpcServer, startGrpcServer } from "./start-grpc-server.ts";

/** A request is a certificate request and a few strings: 64 KiB leaves room for 512 MAC addresses. */
const MAX_ENROLMENT_BYTES = 64 * 1024;
/** A hardware report has at most 1 MiB, and what goes around it a few bytes; a failure's kernel log 64 KiB. */
const MAX_AGENT_BYTES = (1024 + 64) * 1024;

/** An agent that retries as fast as it may stays far below; a loop does not. */
const PER_MACHINE: RateLimit = { perSecond: 10, burst: 20 };
/** A certificate costs about 2 ms: a full rack row at once is served, and one core is never overrun. */
const ALL_MACHINES: RateLimit = { perSecond: 300, burst: 2000 };

/** All agents at once, when a controller is back: each opens a session, and a few renew or report. */
const ALL_CALLS: RateLimit = { perSecond: 5000, burst: 50_000 };

/**
 * Calls of nodes from one address, where so many may share it: a boot is some ten calls, and after it there is one. What
 * costs the controller is no call but what comes with it: a look at the inventory, a session that is opened and replaced.
 */
export function planCallLimit(connectionsPerAddress: number): RateLimit {
  return { perSecond: connectionsPerAddress / 4, burst: 4 * connectionsPerAddress };
}

/** Starts the Enrollment service: TLS without client certificates, so everything else about it is tight. */
export function startEnrollmentServer(
  endpoint: Omit<GrpcEndpoint, "clientAuthorityPem">,
  parts: Pick<GuardOptions, "now" | "onBug"> & {
    readonly enrollment: EnrollmentServer;
    /** Default: 10 a second per address. */
    readonly perMachine?: RateLimit;
  },
): Promise<GrpcServer> {
  const limitRate = makeRateLimiter(parts.perMachine ?? PER_MACHINE, ALL_MACHINES);
  return startGrpcServer(endpoint, {
    services: [{ definition: EnrollmentService, implementation: parts.enrollment }],
    guard: guardCalls({ now: parts.now, onBug: parts.onBug, limitRate }),
    maxRequestBytes: MAX_ENROLMENT_BYTES,
    options: { "grpc.max_concurrent_streams": 4 },
  });
}

/** Starts Provisioning and Session: mutual TLS, and only for nodes with the certificate of their latest boot. */
export function startAgentServer(
  endpoint: GrpcEndpoint & { readonly clientAuthorityPem: string },
  parts: Required<Pick<GuardOptions, "now" | "onBug" | "findIdentity" | "findDenied" | "onImpostor">> & {
    readonly provisioning: ProvisioningServer;
    readonly session: SessionServer;
    /** Of calls from one address. Default: that of 256 connections from one. */
    readonly perAddress?: RateLimit;
  },
): Promise<GrpcServer> {
  const limitRate = makeRateLimiter(parts.perAddress ?? planCallLimit(256), ALL_CALLS);
  return startGrpcServer(endpoint, {
    services: [
      { definition: ProvisioningService, implementation: parts.provisioning },
      { definition: SESSION_DEFINITION, implementation: parts.session },
    ],
    guard: guardCalls({ ...parts, limitRate }),
    maxRequestBytes: MAX_AGENT_BYTES,
  });
}
