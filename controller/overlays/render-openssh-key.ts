import { createHash, type KeyObject } from "node:crypto";

/** A host key as sshd reads it: the two files. */
export interface OpensshKey {
  /** "-----BEGIN OPENSSH PRIVATE KEY-----", unencrypted. */
  readonly privateKey: string;
  /** One line, as in known_hosts without the host. */
  readonly publicKey: string;
}

/**
 * Writes an Ed25519 or ECDSA P-256 private key in OpenSSH's own format; the same key gives the same text.
 * Done here, because ssh-keygen need not be on a controller and OpenSSH reads Ed25519 keys in no other format.
 *
 * Formats: OpenSSH PROTOCOL.key; RFC 4253 section 6.6; RFC 8709 (Ed25519); RFC 5656 section 3.1 (ECDSA).
 */
export function renderOpensshKey(key: KeyObject, comment: string): OpensshKey {
  const { type, publicBlob, privateFields } = encodeKey(key);
  const check = createHash("sha256").update(publicBlob).digest().subarray(0, 4);
  const secret = Buffer.concat([check, check, ...privateFields, string(comment)]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, i) => i + 1));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    string("none"),
    string("none"),
    string(""),
    uint32(1),
    string(publicBlob),
    string(Buffer.concat([secret, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return {
    privateKey: [
      "-----BEGIN OPENSSH PRIVATE KEY-----",
      ...lines,
      "-----END OPENSSH PRIVATE KEY-----",
      "",
    ].join("\n"),
    publicKey: `${type} ${publicBlob.toString("base64")} ${comment}\n`,
  };
}

function encodeKey(key: KeyObject): {
  readonly type: string;
  readonly publicBlob: Buffer;
  readonly privateFields: readonly Buffer[];
} {
  const { crv, x, y, d } = key.export({ format: "jwk" });
  const [px, py, secret] = [x, y, d].map((text) => Buffer.from(text ?? "", "base64url"));
  if (px === undefined || py === undefined || secret === undefined) throw new Error("three coordinates");
  if (crv === "Ed25519") {
    const type = "ssh-ed25519";
    const head = [string(type), string(px)];
    return {
      type,
      publicBlob: Buffer.concat(head),
      privateFields: [...head, string(Buffer.concat([secret, px]))],
    };
  }
  if (crv === "P-256") {
    const type = "ecdsa-sha2-nistp256";
    // Uncompressed point of SEC 1 section 2.3.3.
    const head = [string(type), string("nistp256"), string(Buffer.concat([Buffer.of(4), px, py]))];
    return { type, publicBlob: Buffer.concat(head), privateFields: [...head, mpint(secret)] };
  }
  throw new Error(`no host key of curve ${String(crv)}`);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function string(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** RFC 4251 section 5: no superfluous leading zeros, and one zero where the first bit would be a sign. */
function mpint(value: Buffer): Buffer {
  let start = 0;
  while (start < value.length && value[start] === 0) start += 1;
  const bytes = value.subarray(start);
  return string((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}
