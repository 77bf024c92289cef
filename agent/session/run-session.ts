import { X509Certificate } from "node:crypto";

import { errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { planRetryDelayMs } from "#proto/contract/plan-retry.ts";
import { PROTOCOL_VERSION } from "#proto/contract/protocol-version.ts";

import { gatherMachine } from "../boot/gather-machine.ts";
import { openStageClock } from "../boot/stage-clock.ts";
import { readIdentity } from "../identity/store-identity.ts";
import { readNodeRecord, storeStages } from "../node-record.ts";
import type { SessionEnd } from "./controller-link.ts";
import { enrolAgain } from "./enrol-again.ts";
import { holdSession } from "./hold-session.ts";
import { RECONNECT } from "./plan-session-timing.ts";
import type { SessionHost } from "./session-host.ts";

/** A session that lasted this long was a good one: the next failure starts with a short wait again. */
const GOOD_SESSION_MS = 60_000;
/** Failed sessions in a row: with RECONNECT's waits the fourth comes some ten seconds after the first. */
const ASK_ENROLMENT_EVERY = 4;

/**
 * Keeps a session open with one of the controllers for as long as the node is up: reconnects for ever, with a
 * wait that grows and jitters, going round the addresses. A certificate that expired while no controller answered is
 * replaced through the enrolment port, for the same key: no outage of the controller costs a restart. Returns when the signal aborts. Throws only when
 * /run/muster holds no record or no identity: the node was not booted by muster.
 */
export async function runSession(
  host: SessionHost,
  sessions: SessionEnd,
  signal: AbortSignal,
): Promise<void> {
  const { node, stages: bootStages } = await readNodeRecord(host.paths);
  const machine = await gatherMachine(host.paths, node.bootMac);
  const stages = openStageClock(host.uptimeMs, bootStages);
  const switchedMs = bootStages.find(({ stage }) => stage === "switch")?.endedMs ?? 0;
  /** Once per boot, also when the agent is started again: what counts is the first time the node was ready. */
  const endUserspace = async (): Promise<ReturnType<typeof stages.list>> => {
    if (!stages.list().some(({ stage }) => stage === "userspace")) {
      stages.record("userspace", switchedMs, Math.round(host.uptimeMs()), "");
      await storeStages(host.paths, stages.list());
    }
    return stages.list();
  };
  /** A fresh certificate is used at once, but a controller that does not accept it either is not asked in a tight loop. */
  let wasRenewed = false;
  for (let turn = 0, failures = 0; !signal.aborted; turn++) {
    // Read anew each time: the certificate may have been renewed.
    const identity = await readIdentity(host.paths.identity);
    if (identity === undefined) throw new Error(`${host.paths.identity} holds no identity`);
    const address = identity.agentAddresses[turn % identity.agentAddresses.length];
    if (address === undefined) throw new Error(`${host.paths.identity} names no controller`);
    const startedMs = host.uptimeMs();
    try {
      await holdSession(
        host,
        {
          address,
          identity,
          hello: {
            protocolVersion: PROTOCOL_VERSION,
            agentVersion: host.agentVersion,
            bootId: node.bootId,
            imageName: node.image,
            imageVersion: node.imageVersion,
            machine,
            agentDigest: host.agentDigest,
          },
          sessions,
          onWelcome: async () => {
            host.log(`session with ${address} open`);
            return endUserspace();
          },
        },
        signal,
      );
    } catch (error) {
      if (host.uptimeMs() - startedMs > GOOD_SESSION_MS) [failures, wasRenewed] = [0, false];
      const delayMs = planRetryDelayMs(RECONNECT, failures++, host.random());
      host.log(`${address}: ${errorSentence(error)}; trying again in ${(delayMs / 1000).toFixed(1)} s`);
      if (mayNeedCertificate(error, identity.certificatePem, host.now(), failures)) {
        const isRenewed = await enrolAgain(host, node, machine, identity, signal).then(
          () => true,
          (refusal: unknown) => {
            host.log(`no new certificate: ${errorSentence(refusal)}`);
            return false;
          },
        );
        if (isRenewed && !wasRenewed) {
          wasRenewed = true;
          continue;
        }
      }
      // Aborted while waiting: the loop's condition ends it.
      await host.sleep(delayMs, signal).catch(() => undefined);
    }
  }
}

/**
 * Whether a new certificate may help: it has expired by this node's clock, or the controller did not accept it. To a
 * controller whose clock is ahead of ours it expired earlier, and it then ends the TLS handshake, which looks as if no
 * controller were there; so now and then the enrolment port is asked, in case it answers.
 */
function mayNeedCertificate(
  error: unknown,
  certificatePem: string,
  nowMs: number,
  failures: number,
): boolean {
  if (new X509Certificate(certificatePem).validToDate.getTime() <= nowMs) return true;
  if (error instanceof MusterError && error.code === "certificate-refused") return true;
  return failures % ASK_ENROLMENT_EVERY === 0;
}
