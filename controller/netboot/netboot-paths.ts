import { join } from "node:path";

import type { MusterConfig } from "../config/muster-config.ts";

/** Every file and directory the netboot services make, in one table. All below `paths.runtime` are rebuilt at each start. */
export interface NetbootPaths {
  /** dnsmasq's generated configuration. Its path on the command line is how a leftover dnsmasq is known to be ours. */
  readonly dnsmasqConf: string;
  /** `dhcp-hostsfile`: one line per node. */
  readonly dhcpHosts: string;
  readonly dnsmasqPid: string;
  readonly tftpRoot: string;
  /** Survives restarts: leases that running nodes rely on. */
  readonly leases: string;
}

/** Where the netboot files of an installation are. */
export function netbootPaths(paths: Pick<MusterConfig["paths"], "runtime" | "state">): NetbootPaths {
  return {
    dnsmasqConf: join(paths.runtime, "dnsmasq", "dnsmasq.conf"),
    dhcpHosts: join(paths.runtime, "dnsmasq", "hosts"),
    dnsmasqPid: join(paths.runtime, "dnsmasq", "dnsmasq.pid"),
    tftpRoot: join(paths.runtime, "tftp"),
    leases: join(paths.state, "dnsmasq.leases"),
  };
}
