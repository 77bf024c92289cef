import type { MacAddress } from "#proto/contract/mac-address.ts";

/** A client's question. Format: RFC 2131 section 2; options RFC 2132. */
export interface DhcpQuestion {
  readonly mac: MacAddress;
  /** 32 bits; the answer carries the same. */
  readonly transaction: number;
  /** 1 = DISCOVER (default), 3 = REQUEST. */
  readonly type?: 1 | 3;
  /** Further options: code and bytes. */
  readonly options?: readonly (readonly [code: number, value: Uint8Array])[];
  /** "Client IP address": for a client that has one already (a PXE client asking a boot server). */
  readonly clientAddress?: string;
}

/** The packet of a DHCP client that asks for its answer as a broadcast. */
export function renderDhcpDiscover(question: DhcpQuestion): Buffer {
  const head = Buffer.alloc(240);
  head[0] = 1; // BOOTREQUEST
  head[1] = 1; // Ethernet
  head[2] = 6;
  head.writeUInt32BE(question.transaction >>> 0, 4);
  head.writeUInt16BE(0x8000, 10); // broadcast flag: the client has no address the answer could be sent to
  if (question.clientAddress !== undefined) head.set(question.clientAddress.split(".").map(Number), 12);
  Buffer.from(question.mac.replaceAll(":", ""), "hex").copy(head, 28);
  head.writeUInt32BE(0x63825363, 236); // magic cookie, RFC 2131 section 3
  const options = [
    [53, Uint8Array.of(question.type ?? 1)] as const,
    [55, Uint8Array.of(1, 3, 6, 15, 43, 54, 60, 66, 67, 97, 128, 175)] as const,
    ...(question.options ?? []),
  ].map(([code, value]) => Buffer.concat([Uint8Array.of(code, value.length), value]));
  const packet = Buffer.concat([head, ...options, Uint8Array.of(255)]);
  // RFC 1542 section 2.1: relays may drop BOOTP packets of less than 300 bytes.
  return packet.length < 300 ? Buffer.concat([packet, Buffer.alloc(300 - packet.length)]) : packet;
}
