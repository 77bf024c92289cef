import type { ImageVersion, KernelFeatures } from "../inventory/inventory.ts";

/** A kernel file in a tree, paths relative to its root. */
export interface KernelCandidate {
  readonly path: string;
  readonly release: string;
  /** lib/modules/RELEASE/modules.dep is there. */
  readonly hasModules: boolean;
}

/** What a kernel and its modules say about themselves. */
export interface KernelFacts {
  /** Text of its configuration; undefined when the tree has none. */
  readonly config: string | undefined;
  /** modules.dep and modules.builtin as text. */
  readonly modules: string;
  readonly builtin: string;
}

/** A requirement the kernel does not meet, by the name of its option. */
export interface KernelLack {
  readonly option: string;
  readonly reason: "off" | "module-missing";
}

/**
 * The kernel an image boots: the newest that has modules and is no debug, rescue or crash kernel.
 * Of one release found twice the first counts. Undefined when none fits.
 */
export function planKernel(candidates: readonly KernelCandidate[]): KernelCandidate | undefined {
  let best: KernelCandidate | undefined;
  for (const candidate of candidates) {
    if (!candidate.hasModules || isSpecialKernel(candidate.release)) continue;
    if (best === undefined || compareReleases(candidate.release, best.release) > 0) best = candidate;
  }
  return best;
}

/** "6.1.0-9+debug", "0-rescue-<machine id>", "5.14.0-427.el9.x86_64+rt-debug", "...-kdump". */
export function isSpecialKernel(release: string): boolean {
  return /(^|[-+._])(debug|rescue|kdump|kasan)($|[-+._])/i.test(release);
}

/**
 * Orders kernel releases as rpm and dpkg do: runs of digits by value, runs of letters by alphabet, and "~"
 * (a release candidate) before everything, also before the end. Positive when `a` is newer.
 *
 * compareReleases("6.1.0-10-amd64", "6.1.0-9-amd64") > 0
 */
export function compareReleases(a: string, b: string): number {
  const left = partsOf(a);
  const right = partsOf(b);
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const order = compareParts(left[index], right[index]);
    if (order !== 0) return order;
  }
  return 0;
}

function partsOf(release: string): readonly string[] {
  // 6.1-rc3 is older than 6.1: the kernel spells candidates with "-rc", packages with "~rc".
  return release.replaceAll(/-rc(?=\d)/g, "~rc").match(/\d+|[a-z]+|~/gi) ?? [];
}

function compareParts(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === "~") return -1;
  if (b === "~") return 1;
  if (a === undefined) return -1;
  if (b === undefined) return 1;
  const numeric = [/^\d/.test(a), /^\d/.test(b)];
  if (numeric[0] === true && numeric[1] === true) {
    const [x, y] = [BigInt(a), BigInt(b)];
    return x === y ? 0 : x > y ? 1 : -1;
  }
  if (numeric[0] !== numeric[1]) return numeric[0] === true ? 1 : -1;
  return a > b ? 1 : -1;
}

/**
 * What the first 4 KiB of a kernel file say it is: "HdrS" at 0x202 (Linux Documentation/arch/x86/boot.rst),
 * "ARM\x64" at 0x38 (Documentation/arch/arm64/booting.rst), "MZ..zimg" (EFI zboot,
 * drivers/firmware/efi/libstub/zboot-header.S) with the machine in its PE header. Undefined: none of these.
 */
export function parseKernelImage(head: Uint8Array): ImageVersion["architecture"] | undefined {
  const bytes = Buffer.from(head);
  const holds = (at: number, text: string): boolean =>
    bytes.subarray(at, at + text.length).toString("latin1") === text;
  if (holds(0x202, "HdrS")) return "x86_64";
  if (holds(0x38, "ARM\x64")) return "aarch64";
  if (!holds(0, "MZ") || !holds(4, "zimg") || bytes.length < 0x40) return undefined;
  const header = bytes.readUInt32LE(0x3c);
  if (!holds(header, "PE\0\0") || header + 6 > bytes.length) return undefined;
  const machine = bytes.readUInt16LE(header + 4);
  return machine === 0xaa64 ? "aarch64" : machine === 0x8664 ? "x86_64" : undefined;
}

/** Options a netboot cannot do without: in the kernel, or as the module named. */
const NEEDED_MODULES = [
  { option: "CONFIG_OVERLAY_FS", module: "overlay" },
  { option: "CONFIG_SQUASHFS", module: "squashfs" },
  { option: "CONFIG_BLK_DEV_LOOP", module: "loop" },
] as const;

const NEEDED_BUILTIN = ["CONFIG_BLK_DEV_INITRD", "CONFIG_DEVTMPFS", "CONFIG_TMPFS"] as const;

/**
 * What the kernel can unpack, best first, and what it lacks.
 *
 * | configuration                          | initramfs | squashfs |
 * |----------------------------------------|-----------|----------|
 * | RD_ZSTD / RD_XZ / RD_GZIP              | the first that is y | |
 * | SQUASHFS_ZSTD / SQUASHFS_XZ / SQUASHFS_ZLIB | | the first that is y |
 * | none in the tree                       | gzip      | gzip     |
 *
 * The base archive comes in zstd and in gzip only, so one of the two has to work throughout (see
 * {@link baseCompression}).
 */
export function planKernelFeatures(facts: KernelFacts): {
  readonly features: KernelFeatures;
  readonly lacks: readonly KernelLack[];
} {
  const config = facts.config === undefined ? undefined : parseKernelConfig(facts.config);
  const isOn = (option: string): boolean => config?.get(option) === "y";
  const modules = moduleNames(facts.modules.replaceAll(/:.*/g, ""));
  const builtin = moduleNames(facts.builtin);
  const lacks: KernelLack[] = [];
  for (const { option, module } of NEEDED_MODULES) {
    if (modules.has(module) || builtin.has(module) || isOn(option)) continue;
    const expected = config === undefined || config.get(option) === "m";
    lacks.push({ option, reason: expected ? "module-missing" : "off" });
  }
  if (config === undefined) {
    return { features: { initramfsCompression: "gzip", squashfsCompression: "gzip" }, lacks };
  }
  for (const option of NEEDED_BUILTIN) if (!isOn(option)) lacks.push({ option, reason: "off" });
  const features = {
    initramfsCompression: isOn("CONFIG_RD_ZSTD") ? "zstd" : isOn("CONFIG_RD_XZ") ? "xz" : "gzip",
    squashfsCompression: isOn("CONFIG_SQUASHFS_ZSTD") ? "zstd" : isOn("CONFIG_SQUASHFS_XZ") ? "xz" : "gzip",
  } as const satisfies KernelFeatures;
  if (baseCompression(features) === "gzip") {
    for (const option of ["CONFIG_RD_GZIP", "CONFIG_SQUASHFS_ZLIB"]) {
      if (!isOn(option)) lacks.push({ option, reason: "off" });
    }
  }
  return { features, lacks };
}

/** Which base archive a kernel boots with: the zstd one needs zstd for the initramfs and for the agent's squashfs. */
export function baseCompression(features: KernelFeatures): "zstd" | "gzip" {
  return features.initramfsCompression === "zstd" && features.squashfsCompression === "zstd"
    ? "zstd"
    : "gzip";
}

/** `CONFIG_X=y` lines. Options that are not set are absent. */
function parseKernelConfig(text: string): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, option, value] = /^(CONFIG_\w+)=(.*)$/.exec(line) ?? [];
    if (option !== undefined && value !== undefined) options.set(option, value.trim());
  }
  return options;
}

function moduleNames(paths: string): ReadonlySet<string> {
  const names = paths
    .split("\n")
    .map((path) => path.slice(path.lastIndexOf("/") + 1).replace(/\.ko(\.\w+)?$/, ""));
  return new Set(names.map((name) => name.replaceAll("-", "_")));
}
