import { createPrivateKey, X509Certificate } from "node:crypto";

import type { ClientDuplexStream } from "@grpc/grpc-js";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { StageTiming } from "#proto/gen/muster/v1/machine.ts";
import {
  type ConnectRequest,
  type ConnectResponse,
  type Hello,
  SessionClient,
} from "#proto/gen/muster/v1/session.ts";
import { musterErrorFromGrpc } from "#proto/host/grpc-errors.ts";

import { nodeCredentials, SESSION_OPTIONS } from "../identity/controller-channel.ts";
import { makeCertificateRequest } from "../identity/make-certificate-request.ts";
import { acceptCertificate, type NodeIdentity, storeCertificate } from "../identity/store-identity.ts";
import type { AgentMessage, SessionEnd } from "./controller-link.ts";
import { planHeartbeatDelayMs, planRenewalDelayMs } from "./plan-session-timing.ts";
import type { SessionHost } from "./session-host.ts";

/** From the connection attempt to the controller's Welcome. */
const WELCOME_DEADLINE_MS = 20_000;
/** A renewal that was asked for and not answered is asked for again after this long. */
const RENEWAL_RETRY_MS = 60_000;

/** What a session is opened with. */
export interface SessionOpening {
  readonly address: string;
  readonly identity: NodeIdentity;
  readonly hello: Hello;
  /** Called when the controller has said welcome: what Ready carries. */
  readonly onWelcome: () => Promise<StageTiming[]>;
  /** Told of the session once it is welcome, and of every message after that. */
  readonly sessions: SessionEnd;
}

/**
 * Holds one session until it ends: hello, welcome, ready, then heartbeats and renewals of the certificate.
 * Returns when the signal aborts; otherwise throws why the stream ended. Between two heartbeats nothing runs.
 */
export async function holdSession(
  host: SessionHost,
  opening: SessionOpening,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const client = new SessionClient(opening.address, nodeCredentials(opening.identity), SESSION_OPTIONS);
  const stream = client.connect();
  const answer = { late: false };
  const welcomeTimer = setTimeout(() => {
    answer.late = true;
    stream.cancel();
  }, WELCOME_DEADLINE_MS);
  const onAbort = (): void => {
    // Half-closes, so that the controller sees an orderly end; the cancel below is for one that does not answer.
    stream.end();
    setTimeout(() => {
      stream.cancel();
    }, 1000).unref();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  using duties = openDuties(host, opening.identity, stream);
  using stack = new DisposableStack();
  let isOpen = false;
  try {
    stream.write({ message: { $case: "hello", value: opening.hello } });
    for await (const response of stream as AsyncIterable<ConnectResponse>) {
      if (response.message?.$case === "welcome") {
        clearTimeout(welcomeTimer);
        const stages = await opening.onWelcome();
        const uptimeMs = Math.round(host.uptimeMs());
        stream.write({ message: { $case: "ready", value: { stages, uptimeMs } } });
        duties.begin(response.message.value.heartbeatSeconds);
        // The controller greets anew to see whether the node answers: that is no new session.
        if (isOpen) continue;
        isOpen = true;
        const write = (message: AgentMessage): void => void stream.write({ message });
        stack.use(opening.sessions.open(write, response.message.value));
        continue;
      }
      if (response.message?.$case === "renewedCertificate") {
        await duties.renewed(response.message.value.certificate);
      }
      if (response.message !== undefined) opening.sessions.receive(response.message);
    }
    if (signal.aborted) return;
    throw new MusterError({ code: "controller-unreachable", what: "the controller ended the session" });
  } catch (error) {
    if (signal.aborted) return;
    throw answer.late
      ? new MusterError({ code: "deadline-exceeded", what: "the controller said no welcome" })
      : musterErrorFromGrpc(error);
  } finally {
    clearTimeout(welcomeTimer);
    signal.removeEventListener("abort", onAbort);
    stream.cancel();
    client.close();
  }
}

/** What a session does by itself: two timers. */
function openDuties(
  host: SessionHost,
  identity: NodeIdentity,
  stream: ClientDuplexStream<ConnectRequest, ConnectResponse>,
): Disposable & {
  readonly begin: (heartbeatSeconds: number) => void;
  readonly renewed: (certificate: Uint8Array) => Promise<void>;
} {
  let heartbeat: NodeJS.Timeout | undefined;
  let renewal: NodeJS.Timeout | undefined;
  const key = createPrivateKey(identity.keyPem);
  const beat = (everySeconds: number): void => {
    heartbeat = setTimeout(
      () => {
        const uptimeSeconds = Math.round(host.uptimeMs() / 1000);
        stream.write({ message: { $case: "heartbeat", value: { uptimeSeconds } } });
        beat(everySeconds);
      },
      planHeartbeatDelayMs(everySeconds, host.random()),
    );
  };
  const planRenewal = (validity: { readonly validFrom: Date; readonly validTo: Date }): void => {
    clearTimeout(renewal);
    renewal = setTimeout(
      () => {
        if (planRenewalDelayMs(validity, host.now()) === 0) {
          const certificateRequest = makeCertificateRequest(key, identity.nodeName);
          stream.write({ message: { $case: "renewCertificate", value: { certificateRequest } } });
          renewal = setTimeout(() => {
            planRenewal(validity);
          }, RENEWAL_RETRY_MS);
        } else planRenewal(validity);
      },
      planRenewalDelayMs(validity, host.now()),
    );
  };
  return {
    begin: (heartbeatSeconds) => {
      const { validFromDate: validFrom, validToDate: validTo } = new X509Certificate(identity.certificatePem);
      clearTimeout(heartbeat);
      beat(heartbeatSeconds);
      planRenewal({ validFrom, validTo });
    },
    renewed: async (certificate) => {
      const accepted = acceptCertificate(certificate, key, identity.authorityPem);
      await storeCertificate(host.paths.identity, accepted.pem);
      host.log(`certificate renewed, valid until ${accepted.validTo.toISOString()}`);
      planRenewal(accepted);
    },
    [Symbol.dispose]: () => {
      clearTimeout(heartbeat);
      clearTimeout(renewal);
    },
  };
}
