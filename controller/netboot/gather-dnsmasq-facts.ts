import { access } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand } from "#proto/host/run-command.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import { IPXE_BINARIES, type IpxeBinary } from "./boot-clients.ts";
import { type HostAddress, listHostAddresses } from "./list-host-addresses.ts";
import type { DnsmasqFacts } from "./plan-dnsmasq.ts";

/**
 * Looks at this host for {@link planDnsmasq}. `dhcp-failed` when no interface has the controller's address,
 * `program-missing` when dnsmasq is not installed.
 */
export async function gatherDnsmasqFacts(config: MusterConfig, signal?: AbortSignal): Promise<DnsmasqFacts> {
  const { stdout } = await runCommand(
    { program: config.dhcp.program, args: ["--version"], deadlineMs: 10_000 },
    signal,
  );
  const [, major = "0", minor = "0"] = /version (\d+)\.(\d+)/.exec(stdout) ?? [];
  const addresses = await listHostAddresses(signal);
  const device = findBootInterface(config, addresses);
  if (device === undefined) {
    throw new MusterError({
      code: "dhcp-failed",
      what: `no network interface has the controller's address ${config.controller.address}`,
      fix: "give the address to the interface of the boot network (ip address add), or correct controller.address",
    });
  }
  const account = accountName();
  return {
    interface: device,
    hasIpv6: addresses.some(
      (at) => at.interface === device && at.family === "IPv6" && !at.address.startsWith("fe80"),
    ),
    ...(account === undefined ? {} : { account }),
    binaries: new Set((await findIpxeBinaries(config.paths.ipxe)).keys()),
    canIgnoreClientId: Number(major) > 2 || Number(minor) >= 81,
  };
}

/** The interface of `network.interface`, else the one that has `controller.address`. */
function findBootInterface(
  config: Pick<MusterConfig, "controller" | "network">,
  addresses: readonly HostAddress[],
): string | undefined {
  if (config.network.interface !== undefined) return config.network.interface;
  return addresses.find((at) => at.address === config.controller.address)?.interface;
}

/** The iPXE binaries the distribution's package holds, with the path of each. */
export async function findIpxeBinaries(directory: string): Promise<ReadonlyMap<IpxeBinary, string>> {
  const found = new Map<IpxeBinary, string>();
  for (const [binary, places] of Object.entries(IPXE_BINARIES) as [IpxeBinary, readonly string[]][]) {
    for (const place of places) {
      const path = join(directory, place);
      const readable = await access(path).then(
        () => true,
        () => false,
      );
      if (readable && !found.has(binary)) found.set(binary, path);
    }
  }
  return found;
}

/** Undefined in containers whose user has no entry in passwd. */
function accountName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
