import { runCommand } from "#proto/host/run-command.ts";

/** An address of this host. */
export interface HostAddress {
  readonly interface: string;
  readonly family: "IPv4" | "IPv6";
  readonly address: string;
}

/**
 * Every address of every interface of this host, by ip(8). Not os.networkInterfaces(): that leaves out interfaces
 * without a carrier, and a head node starts before the switch, or the first node, is on.
 */
export async function listHostAddresses(signal?: AbortSignal): Promise<readonly HostAddress[]> {
  const { stdout } = await runCommand(
    { program: "ip", args: ["-json", "address", "show"], deadlineMs: 10_000 },
    signal,
  );
  const links = JSON.parse(stdout) as readonly {
    readonly ifname?: string;
    readonly addr_info?: readonly { readonly family?: string; readonly local?: string }[];
  }[];
  return links.flatMap(({ ifname, addr_info: addresses = [] }) =>
    addresses.flatMap(({ family, local }) =>
      ifname === undefined || local === undefined
        ? []
        : [{ interface: ifname, family: family === "inet6" ? "IPv6" : "IPv4", address: local } as const],
    ),
  );
}
