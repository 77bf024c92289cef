import { MusterError } from "#proto/contract/muster-error.ts";
import {
  type EnrolAccepted,
  EnrollmentClient,
  type EnrolRequest,
  type EnrolResponse,
} from "#proto/gen/muster/v1/enrollment.ts";
import { musterErrorFromGrpc } from "#proto/host/grpc-errors.ts";

import { CHANNEL_OPTIONS, serverCredentials } from "../identity/controller-channel.ts";

/**
 * From the call to the first answer; a controller that accepts connections but hangs is passed over. One that still has
 * a session of this node's last boot waits up to 35 s for a sign of life from there before it believes in the restart.
 */
const FIRST_ANSWER_MS = 45_000;

/**
 * Asks one controller to be let in. Waits as long as the controller keeps the stream open; `onPending` is
 * called when an operator has to approve. Throws what the controller said, or `controller-unreachable`.
 */
export async function enrol(
  target: { readonly address: string; readonly authorityPem: string },
  request: EnrolRequest,
  onPending: (claimCode: string) => void,
  signal: AbortSignal,
): Promise<EnrolAccepted> {
  signal.throwIfAborted();
  const client = new EnrollmentClient(
    target.address,
    serverCredentials(target.authorityPem),
    CHANNEL_OPTIONS,
  );
  const call = client.enrol(request);
  const onAbort = (): void => {
    call.cancel();
  };
  const answer = { late: false };
  const timer = setTimeout(() => {
    answer.late = true;
    call.cancel();
  }, FIRST_ANSWER_MS);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const response of call as AsyncIterable<EnrolResponse>) {
      clearTimeout(timer);
      if (response.event?.$case === "accepted") return response.event.value;
      if (response.event?.$case === "pending") onPending(response.event.value.claimCode);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw answer.late ? unanswered(target.address) : musterErrorFromGrpc(error);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    call.cancel();
    client.close();
  }
  throw new MusterError({
    code: "controller-unreachable",
    what: `the controller ${target.address} ended the enrolment without an answer`,
    fix: "look at its log (journalctl -u musterd)",
  });
}

function unanswered(address: string): MusterError {
  return new MusterError({
    code: "controller-unreachable",
    what: `the controller ${address} did not answer the enrolment within ${FIRST_ANSWER_MS / 1000} s`,
    fix: "look at its log (journalctl -u musterd)",
  });
}
