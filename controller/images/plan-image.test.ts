import { expect, test } from "vitest";

import {
  baseCompression,
  compareReleases,
  isSpecialKernel,
  parseKernelImage,
  planKernel,
  planKernelFeatures,
} from "./plan-image.ts";

test.each([
  ["6.1.0-9-amd64", "6.1.0-10-amd64"],
  ["5.14.0-427.13.1.el9_4.x86_64", "5.14.0-427.13.10.el9_4.x86_64"],
  ["6.1-rc3", "6.1"],
  ["6.1-rc3", "6.1.0-9-amd64"],
  ["4.18.0-553.el8.x86_64", "5.14.0-70.el9.x86_64"],
  ["6.1", "6.1.1"],
  ["5.15.0-1-generic", "5.15.0-1-lowlatency"],
])("%s is older than %s", (older, newer) => {
  expect(compareReleases(older, newer)).toBeLessThan(0);
  expect(compareReleases(newer, older)).toBeGreaterThan(0);
  expect(compareReleases(newer, newer)).toBe(0);
});

test.each([
  ["0-rescue-1a2b3c", true],
  ["5.14.0-427.el9.x86_64+debug", true],
  ["6.12.0-1.el10.x86_64+rt-debug", true],
  ["6.1.0-9-amd64", false],
  ["6.6.0-debugfs9", false],
])("%s is a special kernel: %s", (release, special) => {
  expect(isSpecialKernel(release)).toBe(special);
});

function candidate(
  release: string,
  hasModules = true,
): { path: string; release: string; hasModules: boolean } {
  return { path: `boot/vmlinuz-${release}`, release, hasModules };
}

test("the newest kernel with modules is taken, not the newest file", () => {
  const all = [
    candidate("6.1.0-9"),
    candidate("6.1.0-10"),
    candidate("6.9.0-1", false),
    candidate("9-debug"),
  ];
  expect(planKernel(all)).toEqual(candidate("6.1.0-10"));
});

test("of one release found twice the first path counts", () => {
  const first = { path: "lib/modules/6.1/vmlinuz", release: "6.1", hasModules: true };
  expect(planKernel([first, candidate("6.1")])).toEqual(first);
});

test("without a kernel that fits there is none", () => {
  expect(planKernel([candidate("0-rescue-aa"), candidate("6.1", false)])).toBeUndefined();
});

function bytes(...parts: readonly (readonly [number, string | Buffer])[]): Buffer {
  const all = Buffer.alloc(1024);
  for (const [at, content] of parts) Buffer.from(content as Buffer).copy(all, at);
  return all;
}

const PE_AT_80 = Buffer.from([0x80, 0, 0, 0]);

test.each([
  ["a bzImage", bytes([0x202, "HdrS"]), "x86_64"],
  ["an arm64 Image", bytes([0, "MZ"], [0x38, "ARM\x64"]), "aarch64"],
  [
    "an arm64 EFI zboot image",
    bytes([0, "MZ"], [4, "zimg"], [0x3c, PE_AT_80], [0x80, "PE\0\0"], [0x84, Buffer.from([0x64, 0xaa])]),
    "aarch64",
  ],
  [
    "an x86 EFI zboot image",
    bytes([0, "MZ"], [4, "zimg"], [0x3c, PE_AT_80], [0x80, "PE\0\0"], [0x84, Buffer.from([0x64, 0x86])]),
    "x86_64",
  ],
  [
    "a zboot image whose header points outside",
    bytes([0, "MZ"], [4, "zimg"], [0x3c, Buffer.alloc(4, 0xff)]),
    undefined,
  ],
  ["a gzip file", bytes([0, Buffer.from([0x1f, 0x8b])]), undefined],
  ["an empty file", Buffer.alloc(0), undefined],
])("%s is told by its header", (_, head, architecture) => {
  expect(parseKernelImage(head)).toBe(architecture);
});

const BASICS = ["CONFIG_BLK_DEV_INITRD=y", "CONFIG_DEVTMPFS=y", "CONFIG_TMPFS=y"];
const MODULES = ["kernel/fs/overlayfs/overlay.ko.xz:", "kernel/fs/squashfs/squashfs.ko.xz: kernel/lib/x.ko"];
const FILE_SYSTEMS = ["CONFIG_OVERLAY_FS=m", "CONFIG_SQUASHFS=m", "CONFIG_BLK_DEV_LOOP=y"];
const GZIP = ["CONFIG_RD_GZIP=y", "CONFIG_SQUASHFS_ZLIB=y"];

function plan(
  config: readonly string[] | undefined,
  modules = MODULES,
): ReturnType<typeof planKernelFeatures> {
  return planKernelFeatures({
    config: config?.join("\n"),
    modules: modules.join("\n"),
    builtin: "kernel/drivers/block/loop.ko",
  });
}

test.each([
  ["zstd throughout", ["CONFIG_RD_ZSTD=y", "CONFIG_SQUASHFS_ZSTD=y"], "zstd", "zstd", "zstd"],
  ["zstd for squashfs only", [...GZIP, "CONFIG_RD_XZ=y", "CONFIG_SQUASHFS_ZSTD=y"], "xz", "zstd", "gzip"],
  [
    "zstd for the initramfs only",
    [...GZIP, "CONFIG_RD_ZSTD=y", "CONFIG_SQUASHFS_XZ=y"],
    "zstd",
    "xz",
    "gzip",
  ],
  ["gzip", GZIP, "gzip", "gzip", "gzip"],
] as const)("a kernel with %s gets what it can read", (_, options, initramfs, squashfs, base) => {
  const { features, lacks } = plan([...BASICS, ...FILE_SYSTEMS, ...options]);
  expect({ features, lacks, base: baseCompression(features) }).toEqual({
    features: { initramfsCompression: initramfs, squashfsCompression: squashfs },
    lacks: [],
    base,
  });
});

test("a kernel whose configuration is unknown gets gzip and is judged by its modules", () => {
  expect(plan(undefined)).toEqual({
    features: { initramfsCompression: "gzip", squashfsCompression: "gzip" },
    lacks: [],
  });
  expect(plan(undefined, []).lacks).toEqual([
    { option: "CONFIG_OVERLAY_FS", reason: "module-missing" },
    { option: "CONFIG_SQUASHFS", reason: "module-missing" },
  ]);
});

test("every option a kernel lacks is named, and whether only its module is missing", () => {
  const config = [
    "CONFIG_BLK_DEV_INITRD=y",
    "CONFIG_OVERLAY_FS=m",
    "# CONFIG_SQUASHFS is not set",
    "CONFIG_TMPFS=y",
  ];
  expect(plan(config, []).lacks).toEqual([
    { option: "CONFIG_OVERLAY_FS", reason: "module-missing" },
    { option: "CONFIG_SQUASHFS", reason: "off" },
    { option: "CONFIG_DEVTMPFS", reason: "off" },
    { option: "CONFIG_RD_GZIP", reason: "off" },
    { option: "CONFIG_SQUASHFS_ZLIB", reason: "off" },
  ]);
});
