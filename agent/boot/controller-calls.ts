import { Metadata, type ServiceError } from "@grpc/grpc-js";

import type { StageTiming } from "#proto/gen/muster/v1/machine.ts";
import type { MusterError } from "#proto/contract/muster-error.ts";
import { PROTOCOL_VERSION } from "#proto/contract/protocol-version.ts";
import {
  type BootPlan,
  type GetBootPlanResponse,
  ProvisioningClient,
  type ReportFailureRequest,
} from "#proto/gen/muster/v1/provisioning.ts";
import { musterErrorFromGrpc } from "#proto/host/grpc-errors.ts";

import { nodeCredentials, PROVISIONING_OPTIONS } from "../identity/controller-channel.ts";
import type { NodeIdentity } from "../identity/store-identity.ts";

const PLAN_DEADLINE_MS = 20_000;
/** A report is worth little next to the boot it reports. */
const REPORT_DEADLINE_MS = 5_000;

/** Asks the controllers in turn for the boot plan; throws what the last one said. */
export async function getBootPlan(
  identity: NodeIdentity,
  boot: { readonly bootId: string; readonly kernelDigest: string },
  signal: AbortSignal,
): Promise<BootPlan> {
  const request = { protocolVersion: PROTOCOL_VERSION, ...boot };
  const response = await callInTurn<GetBootPlanResponse>(
    identity,
    signal,
    PLAN_DEADLINE_MS,
    (client, options, done) => {
      client.getBootPlan(request, new Metadata(), options, done);
    },
  );
  if (response.plan === undefined) throw new Error("the controller sent no boot plan");
  return response.plan;
}

/** Tells the controller how far the boot is. Best effort: false when nobody took it. */
export async function reportBoot(
  identity: NodeIdentity,
  boot: { readonly bootId: string; readonly stages: StageTiming[]; readonly uptimeMs: number },
  signal: AbortSignal,
): Promise<boolean> {
  return delivered(
    callInTurn(identity, signal, REPORT_DEADLINE_MS, (client, options, done) => {
      client.reportBoot(boot, new Metadata(), options, done);
    }),
  );
}

/** Tells the controller why the boot failed. Best effort: false when nobody took it. */
export async function reportFailure(
  identity: NodeIdentity,
  failure: ReportFailureRequest,
  signal: AbortSignal,
): Promise<boolean> {
  return delivered(
    callInTurn(identity, signal, REPORT_DEADLINE_MS, (client, options, done) => {
      client.reportFailure(failure, new Metadata(), options, done);
    }),
  );
}

type Done<Response> = (error: ServiceError | null, response: Response) => void;

async function callInTurn<Response>(
  identity: NodeIdentity,
  signal: AbortSignal,
  deadlineMs: number,
  call: (client: ProvisioningClient, options: { deadline: number }, done: Done<Response>) => void,
): Promise<Response> {
  let last: MusterError | undefined;
  for (const address of identity.agentAddresses) {
    signal.throwIfAborted();
    const client = new ProvisioningClient(address, nodeCredentials(identity), PROVISIONING_OPTIONS);
    try {
      return await new Promise<Response>((resolve, reject) => {
        call(client, { deadline: Date.now() + deadlineMs }, (error, response) => {
          if (error === null) resolve(response);
          else reject(musterErrorFromGrpc(error));
        });
      });
    } catch (error) {
      last = musterErrorFromGrpc(error);
      if (!mayAskNext(last)) throw last;
    } finally {
      client.close();
    }
  }
  throw last ?? new Error("the controller named no address for its agents");
}

/** Another controller of the same site can be up or know more; a refusal is a refusal. */
function mayAskNext(error: MusterError): boolean {
  return ["controller-unreachable", "deadline-exceeded", "internal"].includes(error.code);
}

async function delivered(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    () => false,
  );
}
