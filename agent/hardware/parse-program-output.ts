import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { readMacAddress } from "#proto/contract/mac-address.ts";

/** "firmware-version: 16.35.2000 (DEL0000000004)" of `ethtool -i`; undefined: the driver does not tell. */
export function parseEthtoolFirmware(text: string): string | undefined {
  const version = /^firmware-version:[ \t]*(\S.*)$/m.exec(text)?.[1]?.trim();
  return version === undefined || /^n\/a$/i.test(version) ? undefined : version.slice(0, 64);
}

/** Address and MAC of `ipmitool lan print`; a channel without an address says 0.0.0.0. */
export function parseIpmiLan(text: string): Pick<NonNullable<HardwareReport["bmc"]>, "address" | "mac"> {
  const [, address] = /^IP Address\s+: (\d+\.\d+\.\d+\.\d+)\s*$/m.exec(text) ?? [];
  const mac = readMacAddress(/^MAC Address\s+: (\S+)\s*$/m.exec(text)?.[1] ?? "");
  return {
    ...(address === undefined || address === "0.0.0.0" ? {} : { address }),
    ...(mac === undefined ? {} : { mac }),
  };
}

/** "Firmware Revision : 6.10" of `ipmitool mc info`. */
export function parseIpmiFirmware(text: string): string | undefined {
  return /^Firmware Revision\s+: (\S+)\s*$/m.exec(text)?.[1];
}

/**
 * Bytes by PCI address, from `nvidia-smi --query-gpu=pci.bus_id,memory.total --format=csv,noheader,nounits`: a line is
 * "00000000:31:00.0, 40960" with MiB. The kernel writes the domain with four digits where they are enough.
 */
export function parseNvidiaMemory(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, domain, rest, mib] =
      /^([0-9A-F]{8})(:[0-9A-F]{2}:[0-9A-F]{2}\.[0-7]), (\d+)\s*$/i.exec(line) ?? [];
    if (domain === undefined || rest === undefined) continue;
    const short = domain.startsWith("0000") ? domain.slice(4) : domain;
    found.set(`${short}${rest}`.toLowerCase(), Number(mib) * 1024 ** 2);
  }
  return found;
}
