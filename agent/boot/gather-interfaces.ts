import { access, readlink } from "node:fs/promises";
import { basename, join } from "node:path";

import { type MacAddress, readMacAddress } from "#proto/contract/mac-address.ts";

import type { HostPaths } from "../host-paths.ts";
import { listHostDirectory, readHostFile } from "../read-host-file.ts";

/** A physical Ethernet interface. */
export interface InterfaceFacts {
  readonly name: string;
  readonly mac: MacAddress;
  readonly driver: string;
  /** The cable carries a signal; false also while the interface is down. */
  readonly carrier: boolean;
}

/** ARPHRD_ETHER, include/uapi/linux/if_arp.h. */
const ETHERNET = "1";

/** Physical Ethernet interfaces, by name. Bridges, bonds, VLANs and the loopback have no `device`. */
export async function gatherInterfaces(paths: HostPaths): Promise<readonly InterfaceFacts[]> {
  const found: InterfaceFacts[] = [];
  for (const name of await listHostDirectory(paths.networkInterfaces)) {
    const directory = join(paths.networkInterfaces, name);
    const [type, address, carrier, driver] = await Promise.all([
      readHostFile(join(directory, "type")),
      readHostFile(join(directory, "address")),
      readHostFile(join(directory, "carrier")),
      readlink(join(directory, "device/driver")).catch(() => undefined),
    ]);
    const mac = readMacAddress(address ?? "");
    if (type !== ETHERNET || mac === undefined || !(await exists(join(directory, "device")))) continue;
    found.push({
      name,
      mac,
      driver: driver === undefined ? "" : basename(driver),
      carrier: carrier === "1",
    });
  }
  return found;
}

/** PCI network controllers (class 02xxxx) that no driver took: "0000:00:03.0 [8086:100e]". */
export async function gatherDriverlessNetworkDevices(paths: HostPaths): Promise<readonly string[]> {
  const found: string[] = [];
  for (const slot of await listHostDirectory(paths.pciDevices)) {
    const directory = join(paths.pciDevices, slot);
    const [kind, vendor, device] = await Promise.all(
      ["class", "vendor", "device"].map((name) => readHostFile(join(directory, name))),
    );
    if (kind?.startsWith("0x02") !== true || (await exists(join(directory, "driver")))) continue;
    found.push(`${slot} [${(vendor ?? "").replace("0x", "")}:${(device ?? "").replace("0x", "")}]`);
  }
  return found;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
