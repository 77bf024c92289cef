import { mkdir } from "node:fs/promises";

import { X509Certificate } from "node:crypto";

import { errorMeaning, errorSentence, MusterError } from "#proto/contract/muster-error.ts";
import { PROTOCOL_VERSION } from "#proto/contract/protocol-version.ts";
import type { EnrolAccepted } from "#proto/gen/muster/v1/enrollment.ts";

import { makeCertificateRequest } from "../identity/make-certificate-request.ts";
import {
  acceptCertificate,
  keyPem,
  openBootKey,
  readIdentity,
  storeIdentity,
} from "../identity/store-identity.ts";
import type { BootHost } from "./boot-host.ts";
import { type BootState, required } from "./boot-state.ts";
import { diagnoseNetwork, type NetworkProblem } from "./diagnose-network.ts";
import { enrol } from "./enrol.ts";
import { keepLease } from "./keep-lease.ts";
import { gatherMachine } from "./gather-machine.ts";
import { verifyController } from "./verify-controller.ts";

/** How often a machine that waits says so on its console. */
const REMIND_MS = 60_000;

/** Finds a controller that is the one of the boot script; afterwards its authority is the only one trusted. */
export async function connectStep(host: BootHost, state: BootState, signal: AbortSignal): Promise<string> {
  const own = required(state.network, "network").address;
  const problems: NetworkProblem[] = [];
  for (const address of state.args.controllers) {
    const check = await verifyController(address, state.args.authorityFingerprint, own, signal);
    if (check.kind === "verified") {
      state.authorityPem = check.authorityPem;
      state.controller = address;
      host.console.line(`controller ${address} verified`);
      return address;
    }
    problems.push(check.problem);
  }
  // An impostor beside a controller that is down: the one that is down may come back.
  const worst = problems.find(({ kind }) => kind !== "certificate-mismatch") ?? problems[0];
  for (const problem of problems) {
    if (problem !== worst) host.console.line(diagnoseNetwork(problem).message);
  }
  throw diagnoseNetwork(required(worst, "controller addresses"));
}

/**
 * Gets this boot's identity: a certificate for the key made in RAM, from the first controller that gives one.
 * An agent that was started again takes what the one before left.
 */
export async function enrolStep(host: BootHost, state: BootState, signal: AbortSignal): Promise<string> {
  const existing = state.identity ?? (await readIdentity(host.paths.identity));
  if (
    existing !== undefined &&
    isSameAuthority(existing.authorityPem, required(state.authorityPem, "authority"))
  ) {
    state.identity = existing;
    return existing.nodeName;
  }
  await mkdir(host.paths.run, { recursive: true });
  const key = await openBootKey(host.paths.identity);
  const accepted = await enrolInTurn(host, state, makeCertificateRequest(key, state.bootId), signal);
  const authorityPem = required(state.authorityPem, "authority");
  const identity = {
    nodeName: accepted.nodeName,
    keyPem: keyPem(key),
    certificatePem: acceptCertificate(accepted.certificate, key, authorityPem).pem,
    authorityPem,
    agentAddresses: accepted.agentAddresses,
  };
  if (identity.agentAddresses.length === 0) throw new Error("the controller named no address for its agents");
  await storeIdentity(host.paths.identity, identity);
  state.identity = identity;
  host.console.line(`enrolled as ${identity.nodeName}`);
  return identity.nodeName;
}

/** The controller that answered first, then the others; a refusal ends it, a broken stream does not. */
async function enrolInTurn(
  host: BootHost,
  state: BootState,
  certificateRequest: Buffer,
  signal: AbortSignal,
): Promise<EnrolAccepted> {
  const network = required(state.network, "network");
  const machine = await gatherMachine(host.paths, network.mac);
  const first = required(state.controller, "controller");
  const others = state.args.controllers.filter((address) => address !== first);
  let last: unknown;
  for (const address of [first, ...others]) {
    using waiting = watchApproval(host, state, signal);
    try {
      return await enrol(
        { address, authorityPem: required(state.authorityPem, "authority") },
        {
          protocolVersion: PROTOCOL_VERSION,
          machine,
          bootId: state.bootId,
          token: state.args.token ?? "",
          certificateRequest,
          uptimeMs: Math.round(host.uptimeMs()),
          nodeName: "",
        },
        waiting.begin,
        signal,
      );
    } catch (error) {
      last = error;
      if (!errorMeaning(error).retryable) throw withFix(error);
      if (address !== others.at(-1)) host.console.line(`${address}: ${errorSentence(error)}`);
    }
  }
  throw last;
}

/**
 * While it waits: the claim code on the console at once and every minute (which is the sign of life that /init's
 * watchdog looks for), a lease that is renewed, and a clock that stands still.
 */
function watchApproval(
  host: BootHost,
  state: BootState,
  signal: AbortSignal,
): Disposable & { readonly begin: (claimCode: string) => void } {
  let since: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let lease: Disposable | undefined;
  return {
    begin: (claimCode) => {
      lease ??= keepLease(host, required(state.network, "network"), signal);
      if (since === undefined) {
        since = host.uptimeMs();
        state.stages.end("enrol", "unknown machine");
        state.stages.begin("approval");
      }
      clearInterval(timer);
      const rule = "=".repeat(64);
      const say = (): void => {
        host.console.line(
          `waiting for approval: on the controller run   muster node approve ${claimCode} --name NAME`,
        );
      };
      host.console.line(rule);
      host.console.line(`this machine is not known yet; its claim code is   ${claimCode}`);
      say();
      host.console.line(rule);
      timer = setInterval(say, REMIND_MS);
    },
    [Symbol.dispose]: () => {
      clearInterval(timer);
      lease?.[Symbol.dispose]();
      if (since !== undefined) state.pausedMs += host.uptimeMs() - since;
    },
  };
}

function withFix(error: unknown): unknown {
  if (!(error instanceof MusterError) || error.fix !== undefined) return error;
  return new MusterError({
    code: error.code,
    what: error.message,
    fix: "the controller's log says more (journalctl -u musterd); a restart gives this node a new token",
    cause: error.cause,
  });
}

function isSameAuthority(pem: string, other: string): boolean {
  return new X509Certificate(pem).fingerprint256 === new X509Certificate(other).fingerprint256;
}
