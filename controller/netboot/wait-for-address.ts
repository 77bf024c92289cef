import { setTimeout as delay } from "node:timers/promises";

import type { MusterEvent } from "../events/telemetry.ts";
import { listHostAddresses } from "./list-host-addresses.ts";

const LOOK_AGAIN_MS = 1000;

/**
 * Resolves when an interface of this host has the address, or `signal` aborts. A head node may start musterd before
 * its network is configured (a bond that waits for the switch); that it waits is one event.
 */
export async function waitForAddress(
  address: string,
  onEvent: (event: Omit<MusterEvent, "id" | "at">) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let turn = 0; !signal.aborted; turn += 1) {
    const addresses = await listHostAddresses();
    if (addresses.some((at) => at.address === address)) return;
    if (turn === 0) {
      onEvent({
        severity: "warning",
        kind: "address-missing",
        what: `no interface has the controller's address ${address} yet; musterd waits for it`,
        fix: "give the address to the interface of the boot network (ip address add), or correct controller.address in muster.yaml",
      });
    }
    await delay(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
}
