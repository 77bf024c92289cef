import type { MacAddress } from "#proto/contract/mac-address.ts";
import { planRetryDelayMs } from "#proto/contract/plan-retry.ts";

import { readHostFile } from "../read-host-file.ts";
import type { BootHost } from "./boot-host.ts";
import { diagnoseNetwork } from "./diagnose-network.ts";
import {
  gatherDriverlessNetworkDevices,
  gatherInterfaces,
  type InterfaceFacts,
} from "./gather-interfaces.ts";
import { parseLease } from "./parse-lease.ts";
import { planBootInterface } from "./plan-boot-interface.ts";

/** The network as it came up. */
export interface NetworkUp {
  readonly interface: string;
  readonly mac: MacAddress;
  /** This node's address. */
  readonly address: string;
}

/** Drivers probe while the agent already runs; a card that takes longer than this has no driver. */
const INTERFACE_DEADLINE_MS = 15_000;
/** A switch port that runs spanning tree without "port fast" forwards after 30 s (IEEE 802.1D, 2 x 15 s). */
const LINK_DEADLINE_MS = 35_000;
const POLL_MS = 200;
const LEASE_TRIES = 4;
/** One run of udhcpc: 4 discoveries, 3 s apart. */
const UDHCPC_ARGS = ["-n", "-q", "-t", "4", "-T", "3"];
const LEASE_RETRY = { firstMs: 1000, maxMs: 8000 };

/**
 * Brings up the interface the firmware booted from and gets an address. Fails with `no-boot-interface`,
 * `no-link` or `no-lease`. Running it again starts over and is harmless.
 */
export async function bringUpNetwork(
  host: BootHost,
  bootMac: MacAddress | undefined,
  signal: AbortSignal,
): Promise<NetworkUp> {
  const chosen = await waitForLink(host, bootMac, signal);
  const address = await getLease(host, chosen, signal);
  return { interface: chosen.name, mac: chosen.mac, address };
}

async function waitForLink(
  host: BootHost,
  bootMac: MacAddress | undefined,
  signal: AbortSignal,
): Promise<InterfaceFacts> {
  const started = host.uptimeMs();
  const raised = new Set<string>();
  for (;;) {
    const interfaces = await gatherInterfaces(host.paths);
    const waitedMs = host.uptimeMs() - started;
    const boot = interfaces.find(({ mac }) => mac === bootMac);
    // Until the boot interface shows up no other is raised, except after the time a driver may take.
    const candidates = boot === undefined ? (mayFallBack(bootMac, waitedMs) ? interfaces : []) : [boot];
    for (const { name } of candidates) {
      if (raised.has(name)) continue;
      raised.add(name);
      await busybox(host, ["ip", "link", "set", "dev", name, "up"], signal);
    }
    const chosen = planBootInterface(candidates, bootMac);
    if (chosen?.carrier === true) return chosen;
    if (interfaces.length === 0 && waitedMs > INTERFACE_DEADLINE_MS) {
      const driverless = await gatherDriverlessNetworkDevices(host.paths);
      throw diagnoseNetwork({ kind: "no-interface", bootMac, interfaces, driverless });
    }
    if (waitedMs > LINK_DEADLINE_MS) {
      const others = boot === undefined && bootMac !== undefined;
      const driverless = others ? await gatherDriverlessNetworkDevices(host.paths) : [];
      throw driverless.length > 0
        ? diagnoseNetwork({ kind: "no-interface", bootMac, interfaces, driverless })
        : diagnoseNetwork({ kind: "no-link", interfaces: candidates, waitedMs: LINK_DEADLINE_MS });
    }
    await host.sleep(POLL_MS, signal);
  }
}

function mayFallBack(bootMac: MacAddress | undefined, waitedMs: number): boolean {
  return bootMac === undefined || waitedMs > INTERFACE_DEADLINE_MS;
}

async function getLease(host: BootHost, chosen: InterfaceFacts, signal: AbortSignal): Promise<string> {
  for (let attempt = 0; attempt < LEASE_TRIES; attempt++) {
    if (attempt > 0) {
      host.console.line(`no DHCP answer on ${chosen.name} yet; asking again`);
      await host.sleep(planRetryDelayMs(LEASE_RETRY, attempt - 1, host.random()), signal);
    }
    const args = ["udhcpc", "-i", chosen.name, ...UDHCPC_ARGS, "-s", host.paths.udhcpcScript];
    const { exitCode } = await busybox(host, args, signal);
    const address = exitCode === 0 ? parseLease((await readHostFile(host.paths.lease)) ?? "").address : "";
    if (address !== "") return address;
  }
  throw diagnoseNetwork({
    kind: "no-lease",
    interface: chosen.name,
    mac: chosen.mac,
    tries: LEASE_TRIES,
  });
}

function busybox(host: BootHost, args: readonly string[], signal: AbortSignal): ReturnType<BootHost["run"]> {
  return host.run({ program: host.paths.programs.busybox, args, deadlineMs: 60_000 }, signal);
}
