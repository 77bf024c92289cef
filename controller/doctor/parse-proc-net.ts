/** A socket that waits for clients: TCP in state LISTEN, or any unconnected UDP socket. */
export interface ListeningSocket {
  readonly port: number;
  /** Dotted IPv4 or "*" for every address. Sockets of one IPv6 address are left out: boot is IPv4. */
  readonly address: string;
  readonly inode: number;
}

/**
 * Reads /proc/net/tcp, tcp6, udp or udp6 (proc(5)). Columns: sl, local address, remote address, state (0A = LISTEN,
 * 07 = unconnected UDP), queues, timer, retransmits, uid, timeout, inode. Addresses are hex in host byte order,
 * which is little-endian on every machine muster runs on.
 */
export function parseProcNet(text: string): readonly ListeningSocket[] {
  return text.split("\n").flatMap((line) => {
    const [, addressHex = "", portHex = "", state = "", inode = ""] =
      /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2})(?:\s+\S+){5}\s+(\d+)/.exec(
        line,
      ) ?? [];
    if (state !== "0A" && state !== "07") return [];
    const address = readAddress(addressHex);
    return address === undefined
      ? []
      : [{ port: Number.parseInt(portHex, 16), address, inode: Number(inode) }];
  });
}

function readAddress(hex: string): string | undefined {
  if (/^0+$/.test(hex)) return "*";
  const v4 = hex.length === 8 ? hex : /^0{16}FFFF0000([0-9A-F]{8})$/.exec(hex)?.[1];
  if (v4 === undefined) return undefined;
  return (v4.match(/../g) ?? [])
    .map((byte) => Number.parseInt(byte, 16))
    .reverse()
    .join(".");
}
