/** An IPv4 network: its first address as a number and the length of its prefix. */
export interface Ipv4Network {
  readonly base: number;
  readonly prefix: number;
}

/** Reads dotted IPv4 into its 32-bit number; undefined for anything else, leading zeros included (RFC 6943 3.1.1). */
export function readIpv4(text: string): number | undefined {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1);
  if (
    octets === undefined ||
    octets.some((octet) => octet !== String(Number(octet)) || Number(octet) > 255)
  ) {
    return undefined;
  }
  return octets.reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** The dotted form of a 32-bit number. */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

/** Reads "10.77.0.0/24". Host bits may be set: compare with {@link networkOf} where that matters. */
export function readIpv4Network(
  text: string,
): { readonly address: number; readonly prefix: number } | undefined {
  const [, address, prefix] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? [];
  const number = readIpv4(address ?? "");
  return number === undefined || Number(prefix) > 32
    ? undefined
    : { address: number, prefix: Number(prefix) };
}

/** The network an address is in. */
export function networkOf(address: number, prefix: number): Ipv4Network {
  const size = 2 ** (32 - prefix);
  return { base: Math.floor(address / size) * size, prefix };
}

/** The highest address: the broadcast address of networks that have one. */
export function lastAddressOf(network: Ipv4Network): number {
  return network.base + 2 ** (32 - network.prefix) - 1;
}

/** Whether a host may have the address: inside, and neither the network's own nor its broadcast address. */
export function isHostAddress(network: Ipv4Network, address: number): boolean {
  return address > network.base && address < lastAddressOf(network);
}
