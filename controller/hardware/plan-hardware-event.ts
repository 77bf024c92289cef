import { type HardwareChange, renderHardwareChange } from "#proto/contract/compare-hardware.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { Telemetry } from "../events/telemetry.ts";

type NewEvent = Parameters<Telemetry["recordEvent"]>[0];

/** An event is one line for people; the whole list is a command away. */
const MAX_NAMED_CHANGES = 6;

/**
 * What is said of a machine that is not what it was: one event for all changes, "c017: memory 512 -> 480 GiB, disk
 * nvme1n1 gone (1.92 TB)". Undefined when there is no change.
 */
export function planHardwareEvent(node: NodeName, changes: readonly HardwareChange[]): NewEvent | undefined {
  if (changes.length === 0) return undefined;
  const named = changes.slice(0, MAX_NAMED_CHANGES).map(renderHardwareChange);
  const rest = changes.length - named.length;
  return {
    severity: "warning",
    kind: "hardware-changed",
    node,
    what: `${node}: ${named.join(", ")}${rest === 0 ? "" : `, and ${rest} more`}`,
    fix: `muster hardware diff ${node} shows all of it`,
  };
}
