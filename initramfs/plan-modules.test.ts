import { expect, test } from "vitest";

import { moduleName, parseDriverList, planModules } from "./plan-modules.ts";

const INDEX = {
  dependencies: [
    "kernel/drivers/virtio/virtio.ko.xz:",
    "kernel/drivers/virtio/virtio_ring.ko.xz: kernel/drivers/virtio/virtio.ko.xz",
    "kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz kernel/drivers/virtio/virtio.ko.xz",
    "kernel/drivers/net/ethernet/intel/e1000/e1000.ko.xz:",
    "kernel/drivers/net/ethernet/mellanox/mlxsw/mlxsw_core.ko.xz:",
    "kernel/drivers/net/ethernet/mellanox/mlxfw/mlxfw.ko.xz: kernel/drivers/net/ethernet/mellanox/mlxsw/mlxsw_core.ko.xz",
    "kernel/lib/libcrc32c.ko.xz:",
    "kernel/crypto/crc32c_generic.ko.xz:",
    "kernel/arch/x86/crypto/crc32c-intel.ko.xz:",
    "kernel/fs/overlayfs/overlay.ko.xz:",
    "kernel/sound/soundcore.ko.xz:",
    "",
  ].join("\n"),
  aliases: [
    "# Aliases extracted from modules themselves.",
    "alias virtio:d00000001v* virtio_net",
    "alias pci:v00008086d0000100Esv*sd*bc*sc*i* e1000",
    "alias crypto-crc32c crc32c_generic",
    "alias crypto-crc32c crc32c_intel",
    "alias char-major-14-* soundcore",
    "",
  ].join("\n"),
  softDependencies: "# Soft dependencies\nsoftdep libcrc32c pre: crypto-crc32c post: not_there\n",
  builtin: "kernel/drivers/block/loop.ko\n",
};

test("dependencies come with a module and compression suffixes go", () => {
  expect(planModules(INDEX, ["virtio-net"])).toEqual({
    files: [
      { from: "kernel/drivers/net/virtio_net.ko.xz", to: "kernel/drivers/net/virtio_net.ko" },
      { from: "kernel/drivers/virtio/virtio.ko.xz", to: "kernel/drivers/virtio/virtio.ko" },
      { from: "kernel/drivers/virtio/virtio_ring.ko.xz", to: "kernel/drivers/virtio/virtio_ring.ko" },
    ],
    dependencies: [
      "kernel/drivers/net/virtio_net.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko\n",
      "kernel/drivers/virtio/virtio.ko:\n",
      "kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko\n",
    ].join(""),
    aliases: "alias virtio:d00000001v* virtio_net\n",
    missing: [],
  });
});

test.each([
  [
    "a directory with everything below it",
    ["kernel/drivers/net/ethernet/**"],
    ["e1000", "mlxfw", "mlxsw_core"],
  ],
  ["one directory only", ["kernel/drivers/net/*"], ["virtio_net", "virtio", "virtio_ring"]],
  ["names with a wildcard", ["e100*"], ["e1000"]],
  ["an exclusion", ["kernel/drivers/net/ethernet/**", "!kernel/drivers/net/ethernet/mellanox/**"], ["e1000"]],
  ["an exclusion that something depends on", ["mlx*", "!mlxsw_core"], ["mlxfw", "mlxsw_core"]],
  ["soft dependencies by alias", ["libcrc32c"], ["crc32c_intel", "crc32c_generic", "libcrc32c"]],
  ["nothing that fits", ["r8169"], []],
])("patterns: %s", (_, patterns, expected) => {
  expect(planModules(INDEX, patterns).files.map((file) => moduleName(file.to))).toEqual(expected);
});

test("a required module may be a file or built in; any other is reported missing", () => {
  expect(planModules(INDEX, ["+overlay", "+loop", "+squashfs"]).missing).toEqual(["squashfs"]);
});

test("a plan does not depend on the order of patterns", () => {
  const patterns = ["virtio_net", "libcrc32c", "kernel/drivers/net/ethernet/**"];
  expect(planModules(INDEX, [...patterns].reverse())).toEqual(planModules(INDEX, patterns));
});

test("a driver list is lines without comments and blanks", () => {
  expect(parseDriverList("# network\n\nvirtio_net  # qemu\n !mlxsw*\n")).toEqual(["virtio_net", "!mlxsw*"]);
});
