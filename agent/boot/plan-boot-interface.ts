import type { MacAddress } from "#proto/contract/mac-address.ts";

import type { InterfaceFacts } from "./gather-interfaces.ts";

/**
 * The interface to boot over: the one whose MAC the firmware booted from; with no BOOTIF, or one that no
 * interface has (its driver is missing, the address was changed), the first with a signal, by name.
 * Undefined: none yet.
 */
export function planBootInterface(
  interfaces: readonly InterfaceFacts[],
  bootMac: MacAddress | undefined,
): InterfaceFacts | undefined {
  return interfaces.find(({ mac }) => mac === bootMac) ?? interfaces.find(({ carrier }) => carrier);
}
