import { createPrivateKey } from "node:crypto";

import { MusterError } from "#proto/contract/muster-error.ts";
import { PROTOCOL_VERSION } from "#proto/contract/protocol-version.ts";
import type { Machine } from "#proto/gen/muster/v1/machine.ts";

import { enrol } from "../boot/enrol.ts";
import { makeCertificateRequest } from "../identity/make-certificate-request.ts";
import { acceptCertificate, type NodeIdentity, storeIdentity } from "../identity/store-identity.ts";
import type { NodeRecord } from "../node-record.ts";
import type { SessionHost } from "./session-host.ts";

/**
 * Gets a new certificate for the key of this boot from the enrolment port, where an expired one is no obstacle, and
 * keeps it. Asks the controllers in turn; throws what the last one said. `certificate-refused` when the key is
 * not the node's any more.
 */
export async function enrolAgain(
  host: SessionHost,
  node: NodeRecord,
  machine: Machine,
  identity: NodeIdentity,
  signal: AbortSignal,
): Promise<void> {
  const key = createPrivateKey(identity.keyPem);
  let last: unknown = new Error(`${host.paths.node} names no enrolment address`);
  for (const address of node.enrolmentAddresses) {
    try {
      const accepted = await enrol(
        { address, authorityPem: identity.authorityPem },
        {
          protocolVersion: PROTOCOL_VERSION,
          machine,
          bootId: node.bootId,
          token: "",
          certificateRequest: makeCertificateRequest(key, node.bootId),
          uptimeMs: Math.round(host.uptimeMs()),
          nodeName: node.name,
        },
        () => {
          // A controller of an earlier release, which takes this for a machine that boots.
          throw refused(`the controller ${address} does not renew identities of booted nodes`);
        },
        signal,
      );
      if (accepted.nodeName !== node.name) {
        throw refused(`the controller ${address} takes this node for ${accepted.nodeName}`);
      }
      const { pem, validTo } = acceptCertificate(accepted.certificate, key, identity.authorityPem);
      const agentAddresses =
        accepted.agentAddresses.length === 0 ? identity.agentAddresses : accepted.agentAddresses;
      await storeIdentity(host.paths.identity, { ...identity, certificatePem: pem, agentAddresses });
      host.log(`enrolled again with ${address}, certificate valid until ${validTo.toISOString()}`);
      return;
    } catch (error) {
      signal.throwIfAborted();
      last = error;
    }
  }
  throw last;
}

function refused(what: string): MusterError {
  return new MusterError({ code: "certificate-refused", what, fix: "restart the node to enrol it again" });
}
