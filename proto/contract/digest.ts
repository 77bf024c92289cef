import { MusterError } from "./muster-error.ts";

/** "sha256:" and 64 lower-case hex digits. Made by {@link parseDigest}. */
export type Digest = string & { readonly brand: "Digest" };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Reads a digest; throws `argument-invalid` for anything but "sha256:<64 hex>". */
export function parseDigest(text: string): Digest {
  if (DIGEST.test(text)) return text as Digest;
  throw new MusterError({
    code: "argument-invalid",
    what: `${JSON.stringify(text.slice(0, 100))} is not a digest`,
    fix: 'write "sha256:" and 64 hex digits',
  });
}

/** The digest of a finished SHA-256, from its 32 bytes in hex. */
export function digestOfHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`);
}

/** The 64 hex digits of a digest: its name as a file. */
export function digestHex(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/** The first 12 hex digits, for people. */
export function shortDigest(digest: Digest): string {
  return digestHex(digest).slice(0, 12);
}
