import "#proto/host/provide-reflect-metadata.ts";

import { createHash, randomBytes, webcrypto, X509Certificate as NodeCertificate } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";

import * as x509 from "@peculiar/x509";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";
import { renderNodeUri } from "./parse-node-certificate.ts";

/** Signs the certificates of controllers and nodes. Its key never leaves the state directory. */
export interface CertificateAuthority {
  readonly certificateDer: Buffer;
  readonly certificatePem: string;
  /** SHA-256 of the certificate (DER), 64 hex digits: `muster.ca=` on the command line of each node. */
  readonly fingerprint: string;
  /**
   * A fresh key and certificate for a TLS server under these DNS names and IP addresses.
   * Valid for 397 days (what TLS clients accept at most) from a day ago, so that a node whose clock
   * is behind boots. musterd makes a new one at each start.
   */
  issueServer(subject: {
    readonly names: readonly string[];
    readonly addresses: readonly string[];
  }): Promise<ServerCertificate>;
  /** Throws `request-invalid` when {@link CertificateAuthority.readRequest} would. */
  issueNode(request: NodeCertificateRequest): Promise<IssuedNodeCertificate>;
  /** Checks a request's form, its key (ECDSA P-256) and its own signature; throws `request-invalid`. */
  readRequest(csrDer: Uint8Array): Promise<{ readonly keyHash: string }>;
}

interface ServerCertificate {
  /** The server's certificate and then the authority's: clients that know only its fingerprint must be shown it. */
  readonly certPem: string;
  readonly keyPem: string;
}

interface NodeCertificateRequest {
  /** PKCS #10, DER. Only its public key is used: names in it are what the machine would like to be. */
  readonly csrDer: Uint8Array;
  readonly node: NodeName;
  readonly bootId: string;
  readonly lifetimeSeconds: number;
}

/** A node's certificate, with what the inventory keeps of it. */
interface IssuedNodeCertificate {
  readonly certificateDer: Buffer;
  /** Hex. */
  readonly serial: string;
  /** SHA-256 of the public key (SPKI, DER), hex. */
  readonly keyHash: string;
  readonly expiresAt: Date;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 24 * 3600 * 1000;
const SERVER_DAYS = 397;
/** The authority outlives the hardware: replacing it means new command lines for every node. */
const AUTHORITY_DAYS = 20 * 365;
/** Controllers that share an authority may disagree about the time by this much. */
const NODE_BACKDATE_MS = 3600 * 1000;
const KEY_NAME = "authority.key";
const CERTIFICATE_NAME = "authority.crt";

/**
 * Loads the authority kept in `directory`, or makes it there.
 *
 * The key is written first and the certificate after it: a crash in between leaves a key without a
 * certificate, and the next start certifies that key. The other way round cannot come from a crash and is
 * `authority-unusable`, as is a certificate of another key: nodes trust the fingerprint on their command
 * line, so nothing is ever replaced silently.
 */
export async function openCertificateAuthority(
  directory: string,
  now: () => Date,
): Promise<CertificateAuthority> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const keyPath = join(directory, KEY_NAME);
  const certificatePath = join(directory, CERTIFICATE_NAME);
  const keyPem = await readIfPresent(keyPath);
  const certificatePem = await readIfPresent(certificatePath);
  if (keyPem === undefined && certificatePem !== undefined) {
    throw unusable(`${certificatePath} is there but its key ${keyPath} is not`, directory);
  }
  const keys = keyPem === undefined ? await createKeys(keyPath) : await readKeys(keyPem, directory);
  const certificate =
    certificatePem === undefined
      ? await createAuthorityCertificate(keys, now(), certificatePath)
      : readCertificate(certificatePem, directory);
  if (!(await certificate.verify({ publicKey: keys.publicKey, signatureOnly: true }))) {
    throw unusable(`${CERTIFICATE_NAME} does not belong to ${KEY_NAME}`, directory);
  }
  if (certificate.notAfter <= now()) {
    throw unusable(`${CERTIFICATE_NAME} expired on ${certificate.notAfter.toISOString()}`, directory);
  }
  const certificateDer = Buffer.from(certificate.rawData);
  return {
    certificateDer,
    certificatePem: certificate.toString("pem"),
    fingerprint: createHash("sha256").update(certificateDer).digest("hex"),
    issueServer: (subject) => issueServer(certificate, keys.privateKey, subject, now()),
    issueNode: (request) => issueNode(certificate, keys.privateKey, request, now()),
    readRequest: async (csrDer) => ({ keyHash: (await readRequest(csrDer)).keyHash }),
  };
}

async function issueServer(
  issuer: x509.X509Certificate,
  signingKey: webcrypto.CryptoKey,
  subject: { readonly names: readonly string[]; readonly addresses: readonly string[] },
  now: Date,
): Promise<ServerCertificate> {
  const keys = await generateKeys();
  const subjects: x509.JsonGeneralNames = [
    ...subject.addresses.map((value) => ({ type: "ip" as const, value })),
    // A client that was given an address looks for it among the IP entries only (RFC 6125 1.7.2).
    ...subject.names.map((value) => ({
      type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const),
      value,
    })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: [{ CN: [subject.names[0] ?? subject.addresses[0] ?? "muster controller"] }],
    issuer: issuer.subject,
    notBefore: new Date(now.getTime() - DAY_MS),
    notAfter: new Date(now.getTime() + (SERVER_DAYS - 1) * DAY_MS),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...(await leafExtensions(issuer, keys.publicKey)),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(subjects),
    ],
  });
  return {
    certPem: `${certificate.toString("pem").trim()}\n${issuer.toString("pem").trim()}\n`,
    keyPem: await exportKey(keys.privateKey),
  };
}

async function issueNode(
  issuer: x509.X509Certificate,
  signingKey: webcrypto.CryptoKey,
  request: NodeCertificateRequest,
  now: Date,
): Promise<IssuedNodeCertificate> {
  const { publicKey, keyHash } = await readRequest(request.csrDer);
  const serial = randomSerial();
  const expiresAt = new Date(now.getTime() + request.lifetimeSeconds * 1000);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: [{ CN: [request.node] }],
    issuer: issuer.subject,
    notBefore: new Date(now.getTime() - NODE_BACKDATE_MS),
    notAfter: expiresAt,
    publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...(await leafExtensions(issuer, publicKey)),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: renderNodeUri(request) }]),
    ],
  });
  return { certificateDer: Buffer.from(certificate.rawData), serial, keyHash, expiresAt };
}

async function readRequest(
  csrDer: Uint8Array,
): Promise<{ readonly publicKey: x509.PublicKey; readonly keyHash: string }> {
  try {
    // A copy: the parser keeps views into what it is given, and gRPC reuses its buffers.
    const csr = new x509.Pkcs10CertificateRequest(Uint8Array.from(csrDer));
    const { publicKey } = csr;
    const algorithm = publicKey.algorithm as { readonly name?: unknown; readonly namedCurve?: unknown };
    if (algorithm.name !== "ECDSA" || algorithm.namedCurve !== "P-256") {
      throw invalidRequest("its key is not ECDSA P-256");
    }
    if (!(await csr.verify())) throw invalidRequest("its signature is not by its own key");
    return { publicKey, keyHash: createHash("sha256").update(Buffer.from(publicKey.rawData)).digest("hex") };
  } catch (error) {
    if (error instanceof MusterError) throw error;
    throw invalidRequest("it is not PKCS #10 in DER");
  }
}

async function leafExtensions(
  issuer: x509.X509Certificate,
  publicKey: webcrypto.CryptoKey | x509.PublicKey,
): Promise<x509.Extension[]> {
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    await x509.AuthorityKeyIdentifierExtension.create(issuer, false),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ];
}

async function createAuthorityCertificate(
  keys: webcrypto.CryptoKeyPair,
  now: Date,
  path: string,
): Promise<x509.X509Certificate> {
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    // Two authorities of the same name confuse whoever looks at a trace; the number tells them apart.
    name: [{ CN: [`muster authority ${randomBytes(4).toString("hex")}`] }],
    notBefore: new Date(now.getTime() - DAY_MS),
    notAfter: new Date(now.getTime() + AUTHORITY_DAYS * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await writeFileAtomically(path, `${certificate.toString("pem")}\n`);
  return certificate;
}

async function createKeys(path: string): Promise<webcrypto.CryptoKeyPair> {
  const keys = await generateKeys();
  await writeFileAtomically(path, await exportKey(keys.privateKey), 0o600);
  return keys;
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

async function readKeys(pem: string, directory: string): Promise<webcrypto.CryptoKeyPair> {
  try {
    const der = x509.PemConverter.decodeFirst(pem);
    const privateKey = await webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, true, ["sign"]);
    const { kty, crv, x, y } = await webcrypto.subtle.exportKey("jwk", privateKey);
    const publicPart = { kty, crv, x, y } as webcrypto.JsonWebKey;
    const publicKey = await webcrypto.subtle.importKey("jwk", publicPart, ALGORITHM, true, ["verify"]);
    return { privateKey, publicKey };
  } catch {
    // The cause stays out of the message: it could quote the key.
    throw unusable(`${KEY_NAME} is not a P-256 key in PKCS #8`, directory);
  }
}

function readCertificate(pem: string, directory: string): x509.X509Certificate {
  try {
    return new x509.X509Certificate(new NodeCertificate(pem).raw);
  } catch (error) {
    throw unusable(`${CERTIFICATE_NAME} is not a certificate`, directory, error);
  }
}

/** 127 random bits: positive, never zero in practice (RFC 5280 4.1.2.2). */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new MusterError({
      code: "authority-unusable",
      what: `${path} cannot be read`,
      fix: "make it readable for the user musterd runs as",
      cause: error,
    });
  }
}

function unusable(what: string, directory: string, cause?: unknown): MusterError {
  return new MusterError({
    code: "authority-unusable",
    what: `certificate authority: ${what}`,
    fix: `restore ${directory} from a backup; or remove it to make a new authority, which every node learns at its next boot`,
    cause,
  });
}

function invalidRequest(why: string): MusterError {
  return new MusterError({ code: "request-invalid", what: `certificate request refused: ${why}` });
}
