import { describe, expect, test } from "vitest";

import { parseDigest } from "#proto/contract/digest.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import { type BlobTicket, openBlobTicket, sealBlobTicket } from "./blob-tickets.ts";

const KEY = Buffer.alloc(32, 1);
const NOW = new Date("2026-11-20T12:00:00Z");
const TICKET: BlobTicket = {
  node: parseNodeName("c001"),
  bootId: "boot-1",
  digest: parseDigest(`sha256:${"ab".repeat(32)}`),
  sizeBytes: 5_000_000_000,
  expiresAt: new Date("2026-11-20T13:00:00Z"),
};

describe("blob tickets", () => {
  test("what is sealed opens whole", () => {
    expect(openBlobTicket(KEY, sealBlobTicket(KEY, TICKET), NOW)).toEqual(TICKET);
  });

  test("no flipped bit, cut or addition opens", () => {
    const sealed = sealBlobTicket(KEY, TICKET);
    for (let at = 0; at < sealed.length; at += 1) {
      const forged = Buffer.from(sealed);
      forged[at] = (forged[at] ?? 0) ^ 1;
      expect(() => openBlobTicket(KEY, forged, NOW)).toThrow("did not issue it");
      expect(() => openBlobTicket(KEY, sealed.subarray(0, at), NOW)).toThrow("did not issue it");
    }
    expect(() => openBlobTicket(KEY, Buffer.concat([sealed, Buffer.alloc(1)]), NOW)).toThrow(
      "did not issue it",
    );
  });

  test("another key or a later hour does not open it", () => {
    const sealed = sealBlobTicket(KEY, TICKET);
    expect(() => openBlobTicket(Buffer.alloc(32, 2), sealed, NOW)).toThrow("did not issue it");
    expect(() => openBlobTicket(KEY, sealed, TICKET.expiresAt)).toThrow("has expired");
  });
});
