import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { parseSourceAddress } from "./parse-source-address.ts";
import type { TokenRedemption, TokenRefusal } from "./plan-enrolment.ts";

/** The part of the inventory that tokens need. */
export type TokenStore = Pick<Inventory, "storeToken" | "findToken" | "consumeToken">;

/** What a token is bound to when it is made, and compared with when it is used. */
export interface TokenBinding {
  readonly bootMac: MacAddress;
  readonly sourceAddress: string;
}

/**
 * Makes a one-time token for one boot of one machine: 32 random bytes in base64url, which needs no quoting on
 * a kernel command line. Only its SHA-256 is stored.
 */
export async function mintToken(
  parts: TokenBinding & {
    readonly inventory: TokenStore;
    readonly node: NodeName;
    readonly lifetimeSeconds: number;
    readonly now: Date;
  },
): Promise<string> {
  const token = randomBytes(32).toString("base64url");
  await parts.inventory.storeToken({
    hash: hashOf(token),
    node: parts.node,
    bootMac: parts.bootMac,
    sourceAddress: parseSourceAddress(parts.sourceAddress),
    expiresAt: new Date(parts.now.getTime() + parts.lifetimeSeconds * 1000),
  });
  return token;
}

/**
 * Uses a token up for the key that presents it. Bindings are compared first: a machine that got hold of
 * another's token cannot spend it. The key that used it may present it again, so that an agent that lost the
 * answer can ask once more.
 */
export async function redeemToken(
  presented: TokenBinding & {
    readonly inventory: TokenStore;
    readonly token: string;
    /** SHA-256 of the public key to be certified, hex. */
    readonly keyHash: string;
    readonly now: Date;
  },
): Promise<TokenRedemption> {
  const hash = hashOf(presented.token);
  const stored = await presented.inventory.findToken(hash);
  // The index finds the row; this comparison keeps how it compares out of what a caller can time.
  if (stored === undefined || !sameHash(stored.hash, hash)) return refused("unknown");
  if (stored.bootMac !== presented.bootMac) return refused("other-machine");
  if (stored.sourceAddress !== parseSourceAddress(presented.sourceAddress)) return refused("other-address");
  const consumed = await presented.inventory.consumeToken(hash, presented.keyHash, presented.now);
  return typeof consumed === "string" ? refused(consumed) : { kind: "redeemed", node: consumed.node };
}

/**
 * The token an approved machine holds without knowing: its key. When the stream that waited for approval
 * breaks at the wrong moment, the machine comes back with the same key and is let in.
 */
export function approvalTokenOf(keyHash: string): string {
  return `approved-key:${keyHash}`;
}

/** The hash under which a token is stored, hex. */
export function hashOf(token: string): string {
  return createHash("sha256").update(token, "utf8").digest("hex");
}

function sameHash(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function refused(reason: TokenRefusal): TokenRedemption {
  return { kind: "refused", reason };
}
