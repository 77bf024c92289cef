import { existsSync } from "node:fs";
import { join } from "node:path";
import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { readMacAddress } from "#proto/contract/mac-address.ts";

import type { HardwarePaths } from "./hardware-paths.ts";
import { known, listNames, pciAddressOf, readLinkName, readNumber, readText } from "./read-sysfs.ts";

type Network = HardwareReport["networks"][number];
type Infiniband = HardwareReport["infiniband"][number];

/** ARPHRD_ETHER and ARPHRD_INFINIBAND, include/uapi/linux/if_arp.h. */
const LINK_TYPES = ["1", "32"];

/**
 * Interfaces with a device behind them, by name: no bridges, bonds, VLANs, loopback, and none of the virtual functions
 * that are made and removed for virtual machines and containers. Firmware is known here only where InfiniBand tells.
 */
export function gatherNetworks(paths: HardwarePaths, infiniband: readonly Infiniband[]): readonly Network[] {
  return listNames(paths.networks).flatMap((name) => {
    const directory = join(paths.networks, name);
    const type = readText(join(directory, "type")) ?? "";
    if (!LINK_TYPES.includes(type) || !existsSync(join(directory, "device"))) return [];
    if (existsSync(join(directory, "device/physfn"))) return [];
    const isUp = readText(join(directory, "carrier")) === "1";
    // -1 (or 4294967295 before Linux 5.14): the driver does not know. Meaningless without a carrier.
    const speed = readNumber(join(directory, "speed")) ?? -1;
    const pciAddress = pciAddressOf(join(directory, "device"));
    const adapter = listNames(join(directory, "device/infiniband"))[0];
    return [
      {
        name,
        ...known({
          mac: readMac(directory),
          driver: readLinkName(join(directory, "device/driver")),
          firmware: infiniband.find((each) => each.name === adapter)?.firmware,
          speedMbps: isUp && speed > 0 && speed < 0xffff_ffff ? speed : undefined,
        }),
        isUp,
        ...known({ pciAddress }),
      },
    ];
  });
}

/** An interface in a bond shows the bond's address; its own is kept beside it. */
function readMac(directory: string): string | undefined {
  const text = readText(join(directory, "bonding_slave/perm_hwaddr")) ?? readText(join(directory, "address"));
  return readMacAddress(text ?? "");
}

/** InfiniBand and RoCE adapters, by name. */
export function gatherInfiniband(paths: HardwarePaths): readonly Infiniband[] {
  return listNames(paths.infiniband).flatMap((name) => {
    const directory = join(paths.infiniband, name);
    if (existsSync(join(directory, "device/physfn"))) return [];
    return [
      {
        name,
        ...known({
          type: readText(join(directory, "hca_type")),
          firmware: readText(join(directory, "fw_ver")),
          guid: readText(join(directory, "node_guid")),
        }),
        ports: listNames(join(directory, "ports")).map((port) => gatherPort(directory, port)),
      },
    ];
  });
}

function gatherPort(directory: string, port: string): Infiniband["ports"][number] {
  const read = (file: string): string | undefined => readText(join(directory, "ports", port, file));
  // "4: ACTIVE" and "200 Gb/sec (4X HDR)", Documentation/ABI/stable/sysfs-class-infiniband.
  const [, word = "unknown"] = /^\d+:\s*(\w+)/.exec(read("state") ?? "") ?? [];
  const [, rate] = /^([\d.]+) Gb\/sec/.exec(read("rate") ?? "") ?? [];
  return {
    port: Number(port),
    state: word.charAt(0).toUpperCase() + word.slice(1).toLowerCase(),
    ...known({ rateGbps: rate === undefined ? undefined : Number(rate), linkLayer: read("link_layer") }),
  };
}
