import { createHash, X509Certificate } from "node:crypto";

import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { grpcErrorFrom } from "#proto/host/grpc-errors.ts";
import { parseNodeCertificate } from "../../identity/parse-node-certificate.ts";
import { parseSourceAddress } from "../../identity/parse-source-address.ts";
import type { ImpostorAttempt } from "../../identity/watch-impostors.ts";
import type { DeniedBoot, NodeIdentity } from "../../inventory/inventory.ts";
import type { RateLimiter } from "./limit-rate.ts";
import { METHOD_POLICIES, type MethodPolicy } from "./method-policy.ts";

/** The node behind a call, verified. */
export interface VerifiedNode {
  readonly node: NodeName;
  readonly bootId: string;
  readonly certificateExpiresAt: Date;
}

/** Who makes a call. `node` is there for every method whose policy is not "anyone". */
export interface Caller {
  readonly address: string;
  readonly node?: VerifiedNode;
}

/** What the guard asks the inventory. */
export interface GuardOptions {
  /** The latest identity of a node that exists; undefined for any other. Absent in worker processes. */
  readonly findIdentity?: (node: NodeName) => Promise<NodeIdentity | undefined>;
  /** Whether the identity of a boot is void, and why. Without it, whoever has no identity is told so. */
  readonly findDenied?: (
    node: NodeName,
    bootId: string,
  ) => Promise<Pick<DeniedBoot, "why"> | undefined> | Pick<DeniedBoot, "why"> | undefined;
  /** A certificate of ours that is not the node's any more: two machines have been given its name. */
  readonly onImpostor?: (attempt: ImpostorAttempt) => void;
  readonly limitRate?: RateLimiter;
  readonly now: () => Date;
  /** An error that is no MusterError: a bug. */
  readonly onBug: (error: unknown, method: string) => void;
}

/** Keyed by the metadata object that grpc-js hands to interceptor and handler alike: no client can forge it. */
const callers = new WeakMap<Metadata, Caller>();

/** The verified caller of a call that passed the guard. */
export function callerOf(call: { readonly metadata: Metadata }): Caller {
  const caller = callers.get(call.metadata);
  if (caller === undefined) throw new Error("the guard runs before every handler");
  return caller;
}

/** The node behind a call of a method that only nodes may call. */
export function nodeOf(call: { readonly metadata: Metadata }): VerifiedNode & { readonly address: string } {
  const { node, address } = callerOf(call);
  if (node === undefined) throw new Error("the method's policy does not ask for a node");
  return { ...node, address };
}

/**
 * The one interceptor every server has: nothing is handled, and no message read, before the caller is known
 * to be allowed to call the method. What is not in the table is refused.
 */
export function guardCalls(options: GuardOptions): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, forward) => {
            identifyCaller(method.path, call, options).then(
              (caller) => {
                callers.set(metadata, caller);
                forward(metadata);
              },
              (error: unknown) => {
                if (!(error instanceof MusterError)) options.onBug(error, method.path);
                const { code, details, metadata: trailers } = grpcErrorFrom(error);
                call.sendStatus({ code, details, metadata: trailers });
              },
            );
          },
        });
      },
    });
}

async function identifyCaller(
  path: string,
  call: ServerInterceptingCallInterface,
  options: GuardOptions,
): Promise<Caller> {
  const address = parseSourceAddress(call.getConnectionInfo().remoteAddress);
  if (options.limitRate?.(address, options.now().getTime()) === false) {
    throw new MusterError({
      code: "too-many-requests",
      what: `${address} asks too often`,
      fix: "nothing: the agent waits and tries again; if it lasts, look for a machine that restarts in a loop",
    });
  }
  const policy = METHOD_POLICIES.get(path);
  switch (policy) {
    case "anyone":
      return { address };
    case "current-node":
    case "ticket-holder":
      return { address, node: await verifyNode(policy, call, options) };
    case undefined:
      throw new MusterError({ code: "permission-denied", what: `${path} may not be called` });
  }
}

async function verifyNode(
  policy: MethodPolicy,
  call: ServerInterceptingCallInterface,
  options: GuardOptions,
): Promise<VerifiedNode> {
  // Present only when TLS verified the certificate against our authority.
  const certificate = call.getAuthContext().sslPeerCertificate;
  const certified = certificate === undefined ? undefined : parseNodeCertificate(certificate);
  if (certificate === undefined || certified === undefined) {
    throw certificateRefused("it is missing or is not a node's");
  }
  const certificateExpiresAt = new Date(certificate.valid_to);
  // TLS looked when the connection was made; the connection may be older than what is left of the certificate.
  if (!(certificateExpiresAt > options.now())) throw certificateRefused("it has expired");
  const { node, bootId } = certified;
  if (policy === "current-node") {
    if (options.findIdentity === undefined) throw new Error("a server of nodes' methods needs the inventory");
    const identity = await options.findIdentity(node);
    const isAnother = identity !== undefined && identity.bootId !== bootId;
    if (isAnother || (identity !== undefined && identity.keyHash !== keyHashOf(certificate.raw))) {
      const address = parseSourceAddress(call.getConnectionInfo().remoteAddress);
      const presented = isAnother
        ? `the certificate of its earlier boot ${bootId}`
        : "a certificate of its boot for another key";
      options.onImpostor?.({ node, address, presented });
      throw certificateRefused(`node ${node} has enrolled again since (boot ${identity.bootId})`);
    }
    // An identity that is there is of a boot that is not denied: the inventory sees to it.
    if (identity !== undefined) return { ...certified, certificateExpiresAt };
  }
  const denied = await options.findDenied?.(node, bootId);
  if (denied !== undefined) throw certificateRefused(denied.why);
  if (policy === "current-node") throw certificateRefused(`node ${node} is not in the inventory`);
  return { ...certified, certificateExpiresAt };
}

/** As identities keep it: SHA-256 of the public key (SPKI, DER), hex. */
function keyHashOf(certificateDer: Uint8Array): string {
  const key = new X509Certificate(certificateDer).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("hex");
}

function certificateRefused(why: string): MusterError {
  return new MusterError({
    code: "certificate-refused",
    what: `the client certificate was refused: ${why}`,
    fix: "power-cycle the node: each boot gets a new certificate",
  });
}
