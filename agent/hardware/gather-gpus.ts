import { join } from "node:path";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";

import type { HardwarePaths } from "./hardware-paths.ts";
import { parseNvidiaInformation } from "./parse-nvidia-information.ts";
import { known, listNames, readNumber, readText } from "./read-sysfs.ts";

type Gpu = HardwareReport["gpus"][number];

/** PCI vendors whose display controllers people compute with; the others are the BMC's screen. */
const VENDORS: Readonly<Record<string, Gpu["vendor"]>> = { "10de": "nvidia", "1002": "amd", "8086": "intel" };

/** GPUs, by PCI address. Without a driver there is a GPU all the same: its model is then its PCI id. */
export function gatherGpus(paths: HardwarePaths, pci: HardwareReport["pci"]): readonly Gpu[] {
  return pci.flatMap((device) => {
    const vendor = VENDORS[device.vendor];
    // AMD's and NVIDIA's compute cards without a screen are "processing accelerators" or "3D controllers".
    if (vendor === undefined || !/^(03|12)/.test(device.class)) return [];
    const version = readText(join(paths.modules, device.driver ?? "-", "version"));
    const driver = [device.driver, version].filter((word) => word !== undefined).join(" ");
    const facts =
      vendor === "nvidia" ? gatherNvidia(paths, device.address) : gatherDrm(paths, device.address);
    const { model = `${device.vendor}:${device.device}`, ...more } = facts;
    return [{ vendor, model, ...more, ...(driver === "" ? {} : { driver }), pciAddress: device.address }];
  });
}

type GpuFacts = Partial<Pick<Gpu, "model" | "uuid" | "device" | "memoryBytes">>;

function gatherNvidia(paths: HardwarePaths, address: string): GpuFacts {
  const { model, uuid, minor } = parseNvidiaInformation(
    readText(join(paths.nvidiaGpus, address, "information")) ?? "",
  );
  return known({ model, uuid, device: minor === undefined ? undefined : `/dev/nvidia${minor}` });
}

/** AMD's and Intel's drivers show what they know beside the PCI device (Documentation/gpu/amdgpu). */
function gatherDrm(paths: HardwarePaths, address: string): GpuFacts {
  const directory = join(paths.pciDevices, address);
  const node = listNames(join(directory, "drm")).find((name) => name.startsWith("renderD"));
  return known({
    model: readText(join(directory, "product_name")),
    uuid: readText(join(directory, "unique_id")),
    memoryBytes: readNumber(join(directory, "mem_info_vram_total")),
    device: node === undefined ? undefined : `/dev/dri/${node}`,
  });
}
