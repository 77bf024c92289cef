import { createHmac, timingSafeEqual } from "node:crypto";

import { type Digest, digestHex, digestOfHex } from "#proto/contract/digest.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";

/** Permission for one boot of one node to fetch one blob. */
export interface BlobTicket {
  readonly node: NodeName;
  readonly bootId: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly expiresAt: Date;
}

/*
 * version (1 byte) | expiry, seconds since 1970 (8) | size (8) | SHA-256 of the blob (32)
 * | length of the node's name (1) | name | boot id, to the end | HMAC-SHA256 over all before it (32)
 */
const VERSION = 1;
const EXPIRY_AT = 1;
const SIZE_AT = 9;
const DIGEST_AT = 17;
const NAME_LENGTH_AT = 49;
const NAME_AT = 50;
const MAC_BYTES = 32;

/** The bytes of a ticket, sealed with the key that issuer and blob servers share. */
export function sealBlobTicket(key: Uint8Array, ticket: BlobTicket): Buffer {
  const name = Buffer.from(ticket.node, "latin1");
  const head = Buffer.alloc(NAME_AT);
  head.writeUInt8(VERSION, 0);
  head.writeBigUInt64BE(BigInt(Math.floor(ticket.expiresAt.getTime() / 1000)), EXPIRY_AT);
  head.writeBigUInt64BE(BigInt(ticket.sizeBytes), SIZE_AT);
  head.write(digestHex(ticket.digest), DIGEST_AT, "hex");
  head.writeUInt8(name.length, NAME_LENGTH_AT);
  const body = Buffer.concat([head, name, Buffer.from(ticket.bootId, "latin1")]);
  return Buffer.concat([body, macOf(key, body)]);
}

/**
 * Reads a ticket that is genuine and has not expired; throws `ticket-refused` otherwise.
 * The seal is compared in constant time, before anything in the ticket is looked at.
 */
export function openBlobTicket(key: Uint8Array, bytes: Uint8Array, now: Date): BlobTicket {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const body = buffer.subarray(0, Math.max(0, buffer.length - MAC_BYTES));
  const seal = buffer.subarray(body.length);
  const genuine =
    body.length >= NAME_AT && seal.length === MAC_BYTES && timingSafeEqual(seal, macOf(key, body));
  if (!genuine) throw ticketRefused("this controller did not issue it, or it was restarted with a new key");
  if (body.readUInt8(0) !== VERSION) throw ticketRefused("it is of another release");
  const expiresAt = new Date(Number(body.readBigUInt64BE(EXPIRY_AT)) * 1000);
  if (expiresAt <= now) throw ticketRefused("it has expired");
  const nameEnd = NAME_AT + body.readUInt8(NAME_LENGTH_AT);
  return {
    node: parseNodeName(body.toString("latin1", NAME_AT, nameEnd)),
    bootId: body.toString("latin1", nameEnd),
    digest: digestOfHex(body.toString("hex", DIGEST_AT, NAME_LENGTH_AT)),
    sizeBytes: Number(body.readBigUInt64BE(SIZE_AT)),
    expiresAt,
  };
}

/** A ticket that does not permit what was asked; the agent gets new ones with a new boot plan. */
export function ticketRefused(why: string): MusterError {
  return new MusterError({
    code: "ticket-refused",
    what: `the blob ticket was refused: ${why}`,
    fix: "nothing: the agent asks for a new boot plan; if it lasts, power-cycle the node",
  });
}

function macOf(key: Uint8Array, body: Uint8Array): Buffer {
  return createHmac("sha256", key).update(body).digest();
}
