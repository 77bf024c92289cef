import { X509Certificate } from "node:crypto";

import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";

/** Who a node's certificate says it is. */
export interface CertifiedNode {
  readonly node: NodeName;
  readonly bootId: string;
}

const NODE_URI = /^URI:muster:\/\/node\/([a-z0-9-]{1,63})\/boot\/([A-Za-z0-9._-]{1,64})$/;

/** A kernel's boot id, or whatever an agent names its boot by: one path segment without surprises. */
export const BOOT_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** The one subject alternative name of a node's certificate. */
export function renderNodeUri(identity: { readonly node: NodeName; readonly bootId: string }): string {
  if (!BOOT_ID.test(identity.bootId)) throw new Error("boot ids are validated before they are certified");
  return `muster://node/${identity.node}/boot/${identity.bootId}`;
}

/**
 * Reads the identity in a certificate that TLS has verified; undefined for any certificate that is not a
 * node's, for example a controller's.
 *
 * Takes the DER, or the two fields of tls.PeerCertificate. Exactly one alternative name is accepted and the
 * common name must say the same, so that no second name can hide behind the first.
 */
export function parseNodeCertificate(
  certificate:
    | Uint8Array
    | {
        readonly subject: { readonly CN?: string | readonly string[] | undefined };
        readonly subjectaltname?: string | undefined;
      },
): CertifiedNode | undefined {
  const { commonName, alternativeName } =
    certificate instanceof Uint8Array
      ? namesOf(certificate)
      : { commonName: certificate.subject.CN, alternativeName: certificate.subjectaltname };
  const [, node, bootId] = NODE_URI.exec(alternativeName ?? "") ?? [];
  if (node === undefined || bootId === undefined || commonName !== node) return undefined;
  try {
    return { node: parseNodeName(node), bootId };
  } catch {
    return undefined;
  }
}

function namesOf(der: Uint8Array): { commonName: string | undefined; alternativeName: string | undefined } {
  try {
    const certificate = new X509Certificate(der);
    return {
      commonName: /^CN=(.*)$/.exec(certificate.subject)?.[1],
      alternativeName: certificate.subjectAltName,
    };
  } catch {
    return { commonName: undefined, alternativeName: undefined };
  }
}
