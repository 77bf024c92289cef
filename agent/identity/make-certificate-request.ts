import { createPublicKey, type KeyObject, sign } from "node:crypto";

/**
 * A PKCS #10 certification request (RFC 2986) in DER for an ECDSA P-256 key, with one common name and no
 * attributes.
 *
 * Written by hand because the library the controller uses for X.509 needs a reflection polyfill and would
 * double the agent's bundle (434 kB to 795 kB), which every node loads at every boot, for these few bytes.
 */
export function makeCertificateRequest(key: KeyObject, commonName: string): Buffer {
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" });
  const information = sequence(INTEGER_0, distinguishedName(commonName), publicKey, NO_ATTRIBUTES);
  const signature = sign("sha256", information, key);
  return sequence(information, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), signature));
}

const INTEGER_0 = Buffer.from([0x02, 0x01, 0x00]);
/** attributes [0] IMPLICIT SET, empty. */
const NO_ATTRIBUTES = Buffer.from([0xa0, 0x00]);
/** 2.5.4.3, X.520 commonName. */
const OID_COMMON_NAME = Buffer.from([0x06, 0x03, 0x55, 0x04, 0x03]);
/** AlgorithmIdentifier { 1.2.840.10045.4.3.2 }, ecdsa-with-SHA256: RFC 5758 section 3.2, no parameters. */
const ECDSA_WITH_SHA256 = Buffer.from([
  0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
]);

function distinguishedName(commonName: string): Buffer {
  const utf8String = der(0x0c, Buffer.from(commonName, "utf8"));
  return sequence(der(0x31, sequence(OID_COMMON_NAME, utf8String)));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts);
}

/** Tag, length, value (X.690 section 8.1); content up to 65,535 bytes. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
