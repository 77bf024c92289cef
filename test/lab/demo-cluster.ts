import type { LabFirmware } from "./plan-qemu-arguments.ts";

/** A machine of the demo. */
export interface DemoMachine {
  readonly name: string;
  readonly mac: string;
  readonly firmware: LabFirmware;
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
  /** In the inventory before it is powered on; the others are found pending and approved. */
  readonly known: boolean;
}

/**
 * The machines of a demo of `count` nodes: UEFI and BIOS in turn. The second is a stranger, so that a newcomer
 * sees both ways into the inventory. The first two differ in topology; more than that share two cores or so
 * with software emulation, where a second virtual CPU only costs (58 s instead of 71 s for four).
 */
export function planDemoMachines(count: number): readonly DemoMachine[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `c${`${index + 1}`.padStart(3, "0")}`,
    mac: `52:54:00:77:${(10 + (index >> 8)).toString(16).padStart(2, "0")}:${(index & 255).toString(16).padStart(2, "0")}`,
    firmware: index % 2 === 0 ? ("uefi" as const) : ("bios" as const),
    sockets: index === 1 ? 2 : 1,
    cores: index === 0 ? 2 : 1,
    threads: 1,
    known: index !== 1,
  }));
}
