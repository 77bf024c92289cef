/** A server's answer, as far as netbooting goes. */
export interface DhcpAnswer {
  readonly transaction: number;
  /** 2 = OFFER, 5 = ACK, 6 = NAK; 0 when the answer has none (BOOTP). */
  readonly type: number;
  readonly yourAddress: string;
  /** `siaddr`: where the boot file comes from. */
  readonly nextServer: string;
  /** Option 54. */
  readonly server?: string;
  /** Option 67, else the packet's `file` field. Empty when the answer names none. */
  readonly bootFile: string;
  /** Option 60. */
  readonly vendorClass?: string;
  /** Every option, bytes as sent; an option given twice is concatenated (RFC 3396). */
  readonly options: ReadonlyMap<number, Buffer>;
}

/** Reads a BOOTREPLY (RFC 2131 section 2). Undefined for anything else: the network sends what it likes. */
export function parseDhcpAnswer(packet: Uint8Array): DhcpAnswer | undefined {
  const bytes = Buffer.from(packet);
  if (bytes.length < 240 || bytes[0] !== 2 || bytes.readUInt32BE(236) !== 0x63825363) return undefined;
  const options = new Map<number, Buffer>();
  for (let at = 240; at < bytes.length; ) {
    const code = bytes[at] ?? 255;
    if (code === 255) break;
    if (code === 0) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1];
    if (length === undefined || at + 2 + length > bytes.length) return undefined;
    const value = bytes.subarray(at + 2, at + 2 + length);
    options.set(code, Buffer.concat([options.get(code) ?? Buffer.alloc(0), value]));
    at += 2 + length;
  }
  const server = options.get(54);
  const vendorClass = options.get(60);
  return {
    transaction: bytes.readUInt32BE(4),
    type: options.get(53)?.[0] ?? 0,
    yourAddress: [...bytes.subarray(16, 20)].join("."),
    nextServer: [...bytes.subarray(20, 24)].join("."),
    ...(server?.length === 4 ? { server: [...server].join(".") } : {}),
    bootFile: text(options.get(67)) || text(bytes.subarray(108, 236)),
    ...(vendorClass === undefined ? {} : { vendorClass: text(vendorClass) }),
    options,
  };
}

function text(bytes: Buffer | undefined): string {
  return (bytes?.toString("latin1") ?? "").replace(/\0.*$/s, "");
}
