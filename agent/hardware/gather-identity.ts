import { existsSync } from "node:fs";
import { join } from "node:path";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";

import { parseDmiText, parseDmiUuid } from "../boot/parse-dmi-text.ts";
import type { HardwarePaths } from "./hardware-paths.ts";
import { known, readText } from "./read-sysfs.ts";

/** What firmware calls the machine and its board; what nobody filled in is absent. */
export function gatherIdentity(paths: HardwarePaths): Pick<HardwareReport, "system" | "board" | "firmware"> {
  const dmi = (field: string): string | undefined =>
    parseDmiText(readText(join(paths.dmi, field))) || undefined;
  const tree = (field: string): string | undefined =>
    parseDmiText(readText(join(paths.deviceTree, field))) || undefined;
  return {
    system: known({
      vendor: dmi("sys_vendor"),
      product: dmi("product_name") ?? tree("model"),
      version: dmi("product_version"),
      serial: dmi("product_serial") ?? tree("serial-number"),
      uuid: parseDmiUuid(readText(join(paths.dmi, "product_uuid"))) || undefined,
    }),
    board: known({
      vendor: dmi("board_vendor"),
      product: dmi("board_name"),
      version: dmi("board_version"),
      serial: dmi("board_serial"),
    }),
    firmware: {
      type: existsSync(paths.efi) ? "efi" : "bios",
      ...known({ vendor: dmi("bios_vendor"), version: dmi("bios_version"), date: dmi("bios_date") }),
    },
  };
}
