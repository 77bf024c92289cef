/** What the DHCP server said, from the file the udhcpc script writes. Fields it did not give are empty. */
export interface Lease {
  readonly address: string;
  readonly router: string;
  readonly server: string;
  /** How long the address is ours, in seconds; undefined when the server did not say. 4294967295 is for ever (RFC 2131). */
  readonly leaseSeconds: number | undefined;
}

/** Reads NAME=value lines; the values come from the network and are only ever shown. */
export function parseLease(text: string): Lease {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) values.set(line.slice(0, at), line.slice(at + 1).slice(0, 200));
  }
  return {
    address: values.get("ip") ?? "",
    router: values.get("router") ?? "",
    server: values.get("serverid") ?? "",
    leaseSeconds: /^\d{1,10}$/.test(values.get("lease") ?? "") ? Number(values.get("lease")) : undefined,
  };
}
