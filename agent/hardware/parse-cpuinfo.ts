import type { HardwareReport } from "#proto/contract/hardware-report.ts";

type CpuFacts = Omit<HardwareReport["cpu"], "caches" | "offline" | "maxMhz">;

/** CPU implementers of arm64, MIDR_EL1 bits 31:24 (Arm ARM; arch/arm64/include/asm/cputype.h). */
const ARM_VENDORS: Readonly<Record<string, string>> = {
  "0x41": "ARM",
  "0x42": "Broadcom",
  "0x43": "Cavium",
  "0x46": "Fujitsu",
  "0x48": "HiSilicon",
  "0x4e": "NVIDIA",
  "0x50": "Ampere",
  "0x51": "Qualcomm",
  "0x61": "Apple",
  "0xc0": "Ampere",
};

/**
 * What /proc/cpuinfo says of its first CPU; more of it need not be given. `fallbackArchitecture` is for architectures
 * whose cpuinfo is neither that of x86-64 nor that of arm64.
 */
export function parseCpuInfo(text: string, fallbackArchitecture: string): CpuFacts {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, key, value] = /^([^:\t]+?)\s*:\s*(.*)$/.exec(line) ?? [];
    // The second CPU begins.
    if (key === "processor" && fields.has("processor")) break;
    if (key !== undefined && value !== undefined && value !== "") fields.set(key, value.trim());
  }
  const number = (key: string): number | undefined => {
    const value = Number(fields.get(key) ?? "-");
    return Number.isInteger(value) ? value : undefined;
  };
  const implementer = fields.get("CPU implementer")?.toLowerCase();
  const isArm = implementer !== undefined;
  const isX86 = fields.has("vendor_id");
  const facts = {
    architecture: isArm ? "aarch64" : isX86 ? "x86_64" : fallbackArchitecture,
    vendor: isArm ? (ARM_VENDORS[implementer] ?? implementer) : fields.get("vendor_id"),
    model: fields.get("model name"),
    family: isArm ? number("CPU architecture") : number("cpu family"),
    modelNumber: isArm ? number("CPU part") : number("model"),
    stepping: isArm ? number("CPU revision") : number("stepping"),
    microcode: fields.get("microcode"),
    flags: (fields.get("flags") ?? fields.get("Features") ?? "")
      .split(/\s+/)
      .filter((flag) => flag !== "")
      .sort(),
  };
  return Object.fromEntries(
    Object.entries(facts).filter(([, value]) => value !== undefined),
  ) as unknown as CpuFacts;
}
