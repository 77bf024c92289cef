import { existsSync } from "node:fs";
import { join } from "node:path";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";

import type { HardwarePaths } from "./hardware-paths.ts";
import { known, listNames, readLinkName, readNumber, readText } from "./read-sysfs.ts";

type PciDevice = HardwareReport["pci"][number];

/** Display controllers and processing accelerators, whose links slow down while they are idle. */
const CHANGES_ITS_SPEED = /^(03|12)/;
/** What the kernel says of a width nobody knows. */
const UNKNOWN_WIDTH = 255;

/** PCI functions, by address; virtual functions, which are made and removed at run time, are left out. */
export function gatherPci(paths: HardwarePaths): readonly PciDevice[] {
  // By their characters: they are hexadecimal, and all of one width.
  return [...listNames(paths.pciDevices)].sort().flatMap((address) => {
    const directory = join(paths.pciDevices, address);
    if (existsSync(join(directory, "physfn"))) return [];
    const hex = (file: string): string | undefined => readText(join(directory, file))?.replace(/^0x/, "");
    const [kind, vendor, device] = [hex("class"), hex("vendor"), hex("device")];
    if (kind === undefined || vendor === undefined || device === undefined) return [];
    const [subVendor = "0000", subDevice = "0000"] = [hex("subsystem_vendor"), hex("subsystem_device")];
    return [
      {
        address,
        class: kind,
        vendor,
        device,
        ...known({
          // Bridges have none, and say zeros.
          subsystem: subVendor === "0000" ? undefined : `${subVendor}:${subDevice}`,
          driver: readLinkName(join(directory, "driver")),
          link: gatherLink(directory, kind),
        }),
      },
    ];
  });
}

/** Absent for devices inside the chipset and for slots where nothing is plugged in. */
function gatherLink(directory: string, kind: string): PciDevice["link"] {
  const speed = (file: string): number | undefined => {
    // "8.0 GT/s PCIe", before Linux 5.5 "8 GT/s"; "Unknown" without a link.
    const [, value] = /^([\d.]+) GT\/s/.exec(readText(join(directory, file)) ?? "") ?? [];
    return value === undefined ? undefined : Number(value);
  };
  const width = readNumber(join(directory, "current_link_width")) ?? 0;
  const maxWidth = readNumber(join(directory, "max_link_width")) ?? 0;
  const maxSpeedGts = speed("max_link_speed");
  if (width === 0 || maxWidth === UNKNOWN_WIDTH || maxSpeedGts === undefined) return undefined;
  const speedGts = CHANGES_ITS_SPEED.test(kind) ? undefined : speed("current_link_speed");
  return { ...known({ speedGts }), width, maxSpeedGts, maxWidth };
}
