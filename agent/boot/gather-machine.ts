import { access } from "node:fs/promises";
import { join } from "node:path";

import type { Machine } from "#proto/gen/muster/v1/machine.ts";

import type { HostPaths } from "../host-paths.ts";
import { listHostDirectory, readHostFile } from "../read-host-file.ts";
import { gatherInterfaces } from "./gather-interfaces.ts";
import { parseDmiText, parseDmiUuid } from "./parse-dmi-text.ts";
import { parseMemInfo } from "./parse-meminfo.ts";

/** What this machine is, as its kernel and firmware tell. `bootMac` is empty when nobody knows it. */
export async function gatherMachine(paths: HostPaths, bootMac: string): Promise<Machine> {
  const dmi = (field: string): Promise<string | undefined> => readHostFile(join(paths.dmi, field));
  const [uuid, serial, vendor, product, memInfo, cpuInfo, efi, interfaces, topology] = await Promise.all([
    dmi("product_uuid"),
    dmi("product_serial"),
    dmi("sys_vendor"),
    dmi("product_name"),
    readHostFile(paths.memInfo),
    readHostFile(paths.cpuInfo),
    access(paths.efi).then(
      () => true,
      () => false,
    ),
    gatherInterfaces(paths),
    gatherTopology(paths),
  ]);
  return {
    smbiosUuid: parseDmiUuid(uuid),
    serial: parseDmiText(serial),
    vendor: parseDmiText(vendor),
    product: parseDmiText(product),
    macs: interfaces.map((each) => each.mac),
    bootMac,
    architecture: process.arch === "arm64" ? "aarch64" : "x86_64",
    firmware: efi ? "efi" : "bios",
    ...topology,
    memoryBytes: parseMemInfo(memInfo ?? "", "MemTotal"),
    cpuModel: /^model name\s*:\s*(.*)$/m.exec(cpuInfo ?? "")?.[1]?.trim() ?? "",
  };
}

/** Logical CPUs that are online, and the packages they sit in (arm64 has no "physical id" in cpuinfo). */
async function gatherTopology(paths: HostPaths): Promise<{ cpus: number; sockets: number }> {
  const names = (await listHostDirectory(paths.cpus)).filter((name) => /^cpu\d+$/.test(name));
  const packages = await Promise.all(
    names.map((name) => readHostFile(join(paths.cpus, name, "topology/physical_package_id"))),
  );
  const online = packages.filter((id) => id !== undefined);
  return { cpus: online.length, sockets: new Set(online).size };
}
