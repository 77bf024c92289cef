import { existsSync } from "node:fs";
import { join } from "node:path";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";

import type { HardwarePaths } from "./hardware-paths.ts";
import { known, listNames, readBytes, readNumber, readText, resolvePath } from "./read-sysfs.ts";

type Disk = HardwareReport["disks"][number];

/** The kernel counts sizes in these, whatever the disk's own sectors are (Documentation/ABI/stable/sysfs-block). */
const SECTOR_BYTES = 512;

/**
 * Disks, by name. Only what has a device behind it is one: loop, RAM and compressed RAM disks, device mapper and MD have
 * none. CD drives, readers without a card, and the single paths of an NVMe disk with several are left out.
 */
export function gatherDisks(paths: HardwarePaths): readonly Disk[] {
  return listNames(paths.blocks).flatMap((name) => {
    const directory = join(paths.blocks, name);
    const read = (file: string): string | undefined => readText(join(directory, file));
    const sizeBytes = (readNumber(join(directory, "size")) ?? 0) * SECTOR_BYTES;
    if (sizeBytes === 0 || !existsSync(join(directory, "device"))) return [];
    if (/^(sr|fd)\d+$/.test(name) || read("hidden") === "1") return [];
    return [
      {
        name,
        sizeBytes,
        ...known({
          model: read("device/model"),
          serial: read("device/serial") ?? read("serial") ?? readScsiSerial(directory),
          firmware: read("device/firmware_rev") ?? read("device/rev"),
        }),
        isRotational: read("queue/rotational") === "1",
        ...known({ transport: transportOf(name, resolvePath(directory) ?? "", read("device/transport")) }),
      },
    ];
  });
}

/** Vital product data page 80h, unit serial number: four bytes of header, then text (SPC-4 7.8.15). */
function readScsiSerial(directory: string): string | undefined {
  const page = readBytes(join(directory, "device/vpd_pg80"));
  if (page === undefined || page.length < 4 || page[1] !== 0x80) return undefined;
  const text = page
    .toString("latin1", 4, 4 + page.readUInt16BE(2))
    .replaceAll(/[^\x20-\x7e]+/g, "")
    .trim();
  return text === "" ? undefined : text;
}

/** How a disk is attached, as the way to it through /sys shows; `nvme` is what an NVMe controller says of itself. */
function transportOf(name: string, path: string, nvme: string | undefined): string | undefined {
  if (name.startsWith("nvme")) return nvme === undefined || nvme === "pcie" ? "nvme" : `nvme-${nvme}`;
  if (name.startsWith("mmcblk")) return "mmc";
  if (/\/virtio\d+\//.test(path)) return "virtio";
  if (/\/usb\d+\//.test(path)) return "usb";
  if (/\/ata\d+\//.test(path)) return "sata";
  if (path.includes("/end_device-")) return "sas";
  if (path.includes("/rport-")) return "fc";
  if (/\/session\d+\//.test(path)) return "iscsi";
  return undefined;
}
