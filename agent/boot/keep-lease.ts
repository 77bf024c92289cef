import { readHostFile } from "../read-host-file.ts";
import type { BootHost } from "./boot-host.ts";
import type { NetworkUp } from "./bring-up-network.ts";
import { parseLease } from "./parse-lease.ts";
import { planLeaseRenewalMs } from "./plan-lease-renewal.ts";

/** What the udhcpc script is told: the address is in use, do not take it away while asking. */
const ENVIRONMENT = { PATH: "/bin:/sbin:/usr/bin:/usr/sbin", MUSTER_LEASE: "renew" };

/**
 * Renews the lease of the boot interface until disposed, for a machine that waits: udhcpc ended when it had its
 * lease, and a server gives an expired address to the next one who asks.
 */
export function keepLease(host: BootHost, network: NetworkUp, signal: AbortSignal): Disposable {
  const ending = new AbortController();
  const until = AbortSignal.any([ending.signal, signal]);
  let timer: NodeJS.Timeout | undefined;
  const plan = async (hasFailed: boolean): Promise<void> => {
    const { leaseSeconds } = parseLease((await readHostFile(host.paths.lease)) ?? "");
    if (until.aborted) return;
    timer = setTimeout(
      () => {
        renew(host, network, until).then(plan, () => {
          // Disposed while it asked.
        });
      },
      planLeaseRenewalMs(leaseSeconds, hasFailed),
    );
  };
  void plan(false);
  return {
    [Symbol.dispose]: () => {
      ending.abort();
      clearTimeout(timer);
    },
  };
}

/** Asks for the address we have; true when that failed. */
async function renew(host: BootHost, network: NetworkUp, signal: AbortSignal): Promise<boolean> {
  const { exitCode } = await host.run(
    {
      program: host.paths.programs.busybox,
      args: [
        ...["udhcpc", "-i", network.interface, "-n", "-q", "-t", "4", "-T", "3"],
        ...["-r", network.address, "-s", host.paths.udhcpcScript],
      ],
      env: ENVIRONMENT,
      deadlineMs: 60_000,
    },
    signal,
  );
  const { address } = parseLease((await readHostFile(host.paths.lease)) ?? "");
  if (exitCode !== 0) host.console.line(`the lease of ${network.address} could not be renewed; asking again`);
  else if (address !== network.address) {
    host.console.line(
      `the DHCP server gave this machine another address: ${address}, before ${network.address}`,
    );
  }
  return exitCode !== 0;
}
