import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

/** Who this node is for this boot. PEM, as gRPC takes it. */
export interface NodeIdentity {
  readonly nodeName: string;
  readonly keyPem: string;
  readonly certificatePem: string;
  /** The one authority that signs controllers and nodes. */
  readonly authorityPem: string;
  /** host:port of Provisioning and Session, in the order to try. */
  readonly agentAddresses: readonly string[];
}

const KEY = "key.pem";
const CERTIFICATE = "certificate.pem";
const AUTHORITY = "authority.pem";
const ENROLMENT = "enrolment.json";

/**
 * The key of this boot: made once, kept in memory (/run is a tmpfs) so that an agent that is started again in
 * the same boot presents the same one. It never reaches a disk and is worthless after the boot.
 */
export async function openBootKey(directory: string): Promise<KeyObject> {
  await makeDirectory(directory);
  const existing = await readText(join(directory, KEY));
  if (existing !== undefined) return createPrivateKey(existing);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  await writeFileAtomically(join(directory, KEY), keyPem(privateKey), 0o600);
  return privateKey;
}

/** Keeps what enrolment gave, for the booted system and for an agent that is started again. */
export async function storeIdentity(directory: string, identity: NodeIdentity): Promise<void> {
  await makeDirectory(directory);
  const { nodeName, agentAddresses } = identity;
  await writeFileAtomically(join(directory, KEY), identity.keyPem, 0o600);
  await writeFileAtomically(join(directory, AUTHORITY), identity.authorityPem, 0o600);
  await storeCertificate(directory, identity.certificatePem);
  // Last: an identity is complete when this file is there.
  await writeFileAtomically(join(directory, ENROLMENT), JSON.stringify({ nodeName, agentAddresses }), 0o600);
}

/** Replaces the certificate by a renewed one for the same key. */
export async function storeCertificate(directory: string, certificatePem: string): Promise<void> {
  await writeFileAtomically(join(directory, CERTIFICATE), certificatePem, 0o600);
}

/** The identity of this boot; undefined before enrolment. */
export async function readIdentity(directory: string): Promise<NodeIdentity | undefined> {
  const [enrolment, key, certificatePem, authorityPem] = await Promise.all(
    [ENROLMENT, KEY, CERTIFICATE, AUTHORITY].map((name) => readText(join(directory, name))),
  );
  if (enrolment === undefined || key === undefined) return undefined;
  if (certificatePem === undefined || authorityPem === undefined) return undefined;
  const { nodeName, agentAddresses } = JSON.parse(enrolment) as {
    nodeName: string;
    agentAddresses: string[];
  };
  return { nodeName, agentAddresses, keyPem: key, certificatePem, authorityPem };
}

/**
 * A certificate from the wire as PEM, checked: signed by our authority, and for our key. Throws
 * `certificate-mismatch`; whoever sent it is not the controller or has mixed up two nodes.
 */
export function acceptCertificate(
  certificate: Uint8Array,
  key: KeyObject,
  authorityPem: string,
): { readonly pem: string; readonly validFrom: Date; readonly validTo: Date } {
  const parsed = parseCertificate(certificate);
  const authority = new X509Certificate(authorityPem);
  if (!parsed.checkPrivateKey(key) || !parsed.verify(authority.publicKey)) {
    throw new MusterError({
      code: "certificate-mismatch",
      what: "the controller sent a certificate that is not for this node's key or not signed by its own authority",
      fix: "restart the node; if it happens again, look at the controller's log",
    });
  }
  return { pem: parsed.toString(), validFrom: parsed.validFromDate, validTo: parsed.validToDate };
}

/** A private key as PKCS #8 PEM. */
export function keyPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function parseCertificate(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new MusterError({
      code: "certificate-mismatch",
      what: "the controller sent something that is no certificate",
      fix: "restart the node; if it happens again, look at the controller's log",
      cause,
    });
  }
}

async function makeDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
