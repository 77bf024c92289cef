import type { ServerDuplexStream } from "@grpc/grpc-js";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { PROTOCOL_VERSION } from "#proto/contract/protocol-version.ts";
import type {
  ConnectRequest,
  ConnectResponse,
  Hello,
  RenewCertificate,
  SessionServer,
  Welcome,
} from "#proto/gen/muster/v1/session.ts";
import { grpcErrorFrom } from "#proto/host/grpc-errors.ts";
import { nodeOf, type VerifiedNode } from "../api/grpc/authorize-calls.ts";
import type { CertificateAuthority } from "../identity/certificate-authority.ts";
import type { ImpostorAttempt } from "../identity/watch-impostors.ts";
import type { DeniedBoot, Inventory } from "../inventory/inventory.ts";
import type { Fleet } from "./fleet.ts";
import { openOutbox } from "./open-outbox.ts";
import { costOf, fullPace, planPace } from "./pace-session.ts";
import { parsePrintable, parseStages } from "./parse-boot-report.ts";
import { type Liveness, watchLiveness } from "./watch-liveness.ts";

type AgentMessage = NonNullable<ConnectRequest["message"]>;
type ControllerMessage = NonNullable<ConnectResponse["message"]>;

/** A session that is open: a node that can be spoken to. */
export interface LiveSession {
  readonly node: NodeName;
  readonly bootId: string;
  readonly address: string;
  /** Nothing is sent once the session has ended. */
  readonly send: (message: ControllerMessage) => void;
  /**
   * Resolves when the connection has taken all that was sent, or the session has ended: whoever answers at length
   * waits for it, so that a node that asks and does not read fills no memory. Absent: what is sent is taken at once.
   */
  readonly drained?: () => Promise<void>;
}

/** A part of the controller that has something to do with nodes while they are up. */
export interface SessionListener {
  /** The session has been welcomed. */
  readonly opened?: (session: LiveSession, hello: Hello) => void;
  /**
   * A message of the session, other than hello, heartbeats, ready and renewals. The next one of this session waits
   * for the promise. A MusterError ends the session.
   */
  readonly received?: (session: LiveSession, message: AgentMessage) => Promise<void>;
  /** Also of a session that ended before it was welcomed, or whose place another has taken. */
  readonly closed?: (session: LiveSession) => void;
}

/** What parts of the controller add to a welcome. */
type WelcomeParts = Pick<Welcome, "hardwareDigest" | "overlaySchedule" | "agent">;

/** What sessions work with. */
export interface SessionParts {
  readonly inventory: Pick<Inventory, "findIdentity" | "recordIdentity" | "onBootsDenied">;
  readonly authority: Pick<CertificateAuthority, "issueNode">;
  readonly fleet: Pick<Fleet, "sessionOpened" | "heartbeat" | "sessionReady" | "sessionClosed">;
  readonly heartbeatSeconds: number;
  readonly certificateSeconds: number;
  /** What else a node is told at its welcome. */
  readonly composeWelcome: (node: VerifiedNode, hello: Hello) => Promise<WelcomeParts>;
  readonly listeners: readonly SessionListener[];
  readonly onImpostor: (attempt: ImpostorAttempt) => void;
  readonly now: () => Date;
  readonly onBug: (error: unknown, method: string) => void;
}

/** The Session service and its open sessions. Disposing ends its watch over boots whose identity becomes void. */
export interface SessionService extends Disposable {
  readonly server: SessionServer;
  readonly openSessions: () => number;
  /** The session of a node; undefined: it has none. */
  readonly find: (node: NodeName) => LiveSession | undefined;
  /** Ends the session of a node, if it has one. */
  readonly end: (node: NodeName, why: MusterError) => void;
  /** Whether the node lives on in the boot of its session: see {@link Liveness.isUp}. */
  readonly isUp: Liveness["isUp"];
}

type Stream = ServerDuplexStream<ConnectRequest, ConnectResponse>;

interface OpenSession {
  readonly caller: VerifiedNode & { readonly address: string };
  readonly live: LiveSession;
  readonly end: (error: MusterError) => void;
  certificateExpiresAt: Date;
}

/** A stream that does not say hello has no business here. */
const HELLO_DEADLINE_MS = 15_000;
/** A renewal costs two signatures; one agent needs a few a day. */
const RENEW_AGAIN_MS = 10_000;
const MAX_CSR_BYTES = 4096;
const MAX_WORD = 64;

/**
 * Serves the one long-lived stream of each booted node.
 *
 * A stream ends when the identity of its boot becomes void (deleted, revoked, enrolled again), when the node opens
 * another one, and when its certificate expired without being renewed: a stream must not live on rights that a new
 * call would no longer have.
 */
export function serveSession(parts: SessionParts): SessionService {
  const sessions = new Map<NodeName, OpenSession>();
  const liveness = watchLiveness(parts.heartbeatSeconds * 1000, () => performance.now());
  const unsubscribe = parts.inventory.onBootsDenied((boots) => {
    for (const denied of boots) {
      const session = sessions.get(denied.node);
      if (session?.caller.bootId !== denied.bootId) continue;
      session.end(identityVoid(denied));
      liveness.barred(denied.node);
    }
  });
  return {
    server: {
      connect: (stream) => {
        runSession(parts, sessions, liveness, stream);
      },
    },
    openSessions: () => sessions.size,
    find: (node) => sessions.get(node)?.live,
    end: (node, why) => {
      sessions.get(node)?.end(why);
    },
    isUp: (node) => liveness.isUp(node),
    [Symbol.dispose]: unsubscribe,
  };
}

function runSession(
  parts: SessionParts,
  sessions: Map<NodeName, OpenSession>,
  liveness: Liveness,
  stream: Stream,
): void {
  const caller = nodeOf(stream);
  let session: OpenSession | undefined;
  let renewedAt = -Infinity;
  let ended = false;
  let isReady = false;
  let isGoodbye = false;
  const hasEnded = (): boolean => ended;
  const outbox = openOutbox((response, taken) => void stream.write(response, taken));
  const close = (): void => {
    if (ended) return;
    ended = true;
    outbox.close();
    clearTimeout(helloTimer);
    if (session === undefined) return;
    // Otherwise another session has taken its place: the node has not gone.
    if (sessions.get(caller.node) === session) {
      sessions.delete(caller.node);
      liveness.closed(caller.node, isGoodbye);
      parts.fleet.sessionClosed(caller.node, caller.bootId, parts.now());
    }
    tellClosed(parts, session.live);
  };
  const fail = (error: unknown): void => {
    if (ended) return;
    if (!(error instanceof MusterError)) parts.onBug(error, "Connect");
    close();
    stream.emit("error", grpcErrorFrom(error));
  };
  const helloTimer = setTimeout(() => {
    fail(invalid("no hello within 15 s"));
  }, HELLO_DEADLINE_MS);

  const handle = async ({ message }: ConnectRequest): Promise<void> => {
    if (message?.$case === "hello") {
      if (session !== undefined) throw invalid("a second hello on one stream");
      clearTimeout(helloTimer);
      await refuseSecondClaimant(parts, sessions, liveness, caller);
      // The stream may have ended meanwhile; the compiler believes that it cannot.
      if (hasEnded()) return;
      const { node, bootId, address, certificateExpiresAt } = caller;
      const { send, drained } = outbox;
      const live = { node, bootId, address, send, drained };
      session = { caller, live, end: fail, certificateExpiresAt };
      open(parts, sessions, session, message.value);
      liveness.opened(node, bootId, () => {
        send(welcome(parts, NOTHING_MORE));
      });
      // Revoked after the guard let the call in: now that the session is listed, nothing can slip through.
      await requireIdentity(parts, caller);
      const more = await parts.composeWelcome(caller, message.value);
      // Nobody would tell the listeners of its end a second time.
      if (hasEnded()) return;
      send(welcome(parts, more));
      for (const { opened } of parts.listeners) opened?.(live, message.value);
      return;
    }
    if (session === undefined) throw invalid("the first message was no hello");
    if (session.certificateExpiresAt < parts.now()) {
      throw new MusterError({
        code: "certificate-refused",
        what: `the certificate of ${caller.node} expired and was not renewed`,
        fix: "power-cycle the node: each boot gets a new certificate",
      });
    }
    parts.fleet.heartbeat(caller.node, caller.bootId, parts.now());
    liveness.heard(caller.node);
    // Undefined: a message of a newer agent. Ignoring it is what lets releases differ by one.
    if (message === undefined) return;
    switch (message.$case) {
      case "heartbeat":
        return;
      case "ready": {
        // Each greeting is answered by it; news is only the first.
        if (isReady) return;
        isReady = true;
        const { uptimeMs, stages } = message.value;
        const boot = { bootId: caller.bootId, uptimeMs, stages: parseStages(stages) };
        parts.fleet.sessionReady(caller.node, boot, parts.now());
        return;
      }
      case "renewCertificate": {
        const nowMs = parts.now().getTime();
        if (nowMs - renewedAt < RENEW_AGAIN_MS) throw tooOften(caller.node);
        renewedAt = nowMs;
        const renewed = await renew(parts, caller, message.value);
        session.certificateExpiresAt = renewed.expiresAt;
        outbox.send({ $case: "renewedCertificate", value: { certificate: renewed.certificateDer } });
        return;
      }
      default:
        for (const { received } of parts.listeners) await received?.(session.live, message);
    }
  };
  let pace = fullPace(performance.now());
  // One message at a time, in order; the stream is not read further while one is handled, or when there are too many.
  stream.on("data", (request: ConnectRequest) => {
    if (ended) return;
    stream.pause();
    handle(request).then(() => {
      const planned = planPace(pace, costOf(request), performance.now());
      pace = planned.pace;
      if (planned.waitMs === 0) stream.resume();
      else setTimeout(() => stream.resume(), planned.waitMs).unref();
    }, fail);
  });
  stream.on("end", () => {
    isGoodbye = true;
    close();
    stream.end();
  });
  stream.on("cancelled", close);
  stream.on("error", close);
}

function open(
  parts: SessionParts,
  sessions: Map<NodeName, OpenSession>,
  session: OpenSession,
  hello: Hello,
): void {
  const { caller } = session;
  if (hello.bootId !== caller.bootId) {
    throw new MusterError({
      code: "permission-denied",
      what: `the certificate of ${caller.node} is for another boot than its hello`,
      fix: "power-cycle the node",
    });
  }
  const earlier = sessions.get(caller.node);
  sessions.set(caller.node, session);
  earlier?.end(
    new MusterError({ code: "certificate-refused", what: `${caller.node} opened another session` }),
  );
  parts.fleet.sessionOpened(
    caller.node,
    {
      bootId: caller.bootId,
      address: caller.address,
      agentVersion: parsePrintable(hello.agentVersion, MAX_WORD),
      image: parsePrintable(hello.imageName, MAX_WORD),
      imageVersion: hello.imageVersion,
    },
    parts.now(),
  );
}

/** Called where nobody catches anything: a listener that fails harms neither the others nor musterd. */
function tellClosed({ listeners, onBug }: SessionParts, session: LiveSession): void {
  for (const { closed } of listeners) {
    try {
      closed?.(session);
    } catch (error) {
      onBug(error, "Connect");
    }
  }
}

/** A new certificate for the same node and the same boot; refused when the node has enrolled again since. */
async function renew(
  parts: SessionParts,
  caller: VerifiedNode,
  request: RenewCertificate,
): Promise<Awaited<ReturnType<CertificateAuthority["issueNode"]>>> {
  if (request.certificateRequest.length > MAX_CSR_BYTES) throw invalid("a certificate request of over 4 KiB");
  await requireIdentity(parts, caller);
  const issued = await parts.authority.issueNode({
    csrDer: request.certificateRequest,
    node: caller.node,
    bootId: caller.bootId,
    lifetimeSeconds: parts.certificateSeconds,
  });
  await parts.inventory.recordIdentity({
    node: caller.node,
    bootId: caller.bootId,
    keyHash: issued.keyHash,
    certificateSerial: issued.serial,
    issuedAt: parts.now(),
    expiresAt: issued.expiresAt,
  });
  return issued;
}

async function requireIdentity(parts: SessionParts, caller: VerifiedNode): Promise<void> {
  const identity = await parts.inventory.findIdentity(caller.node);
  if (identity?.bootId === caller.bootId) return;
  throw new MusterError({
    code: "certificate-refused",
    what: `${caller.node} was deleted or revoked, or has enrolled again since`,
    fix: "power-cycle the node: each boot gets a new certificate",
  });
}

/**
 * The key and certificate of a node can be copied by root of it. Whoever comes with them from elsewhere while the
 * node is up is not the node; one that changed its address does not answer at the old one.
 */
async function refuseSecondClaimant(
  parts: SessionParts,
  sessions: ReadonlyMap<NodeName, OpenSession>,
  liveness: Liveness,
  caller: VerifiedNode & { readonly address: string },
): Promise<void> {
  const { node, address } = caller;
  const earlier = sessions.get(node);
  if (earlier === undefined || earlier.caller.address === address || !(await liveness.isUp(node))) return;
  parts.onImpostor({ node, address, presented: "the certificate of its present boot" });
  throw new MusterError({
    code: "permission-denied",
    what: `node ${node} has a session from ${earlier.caller.address} and answers there`,
    fix: `find out who copied its key, then: muster node revoke ${node}`,
  });
}

function identityVoid({ why }: DeniedBoot): MusterError {
  return new MusterError({
    code: "certificate-refused",
    what: why,
    fix: "power-cycle the node, if it is to come back: each boot gets a new identity",
  });
}

/** A greeting that only wants an answer. */
const NOTHING_MORE: WelcomeParts = { hardwareDigest: "", overlaySchedule: undefined, agent: undefined };

function welcome(parts: SessionParts, more: WelcomeParts): ControllerMessage {
  const { heartbeatSeconds } = parts;
  return { $case: "welcome", value: { protocolVersion: PROTOCOL_VERSION, heartbeatSeconds, ...more } };
}

function tooOften(node: NodeName): MusterError {
  return new MusterError({ code: "too-many-requests", what: `${node} renews its certificate too often` });
}

function invalid(what: string): MusterError {
  return new MusterError({ code: "request-invalid", what: `session refused: ${what}` });
}
