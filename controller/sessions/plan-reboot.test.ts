import { expect, test } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import type { Image, ImageVersion } from "../inventory/inventory.ts";
import { planReboot } from "./plan-reboot.ts";

const blob = { digest: digestOfHex("a".repeat(64)), sizeBytes: 1 };
const version = (number: number, kernelRelease: string): ImageVersion => ({
  ...{ image: "debian12", version: number, kernelRelease, architecture: "x86_64", source: "/tree" },
  features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
  ...{ kernel: blob, modules: blob, layers: [blob], createdAt: new Date(0) },
});
const debian12: Image = {
  name: "debian12",
  versions: [version(1, "6.1.0-1"), version(2, "6.1.0-2"), version(3, "6.1.0-2")],
  channels: { stable: 3 },
};
const site = { images: [debian12], defaultImage: undefined };
const node = { name: parseNodeName("c001"), overlays: ["site"] };
const head = { node: "c001", overlays: ["site"] };
const next = { image: "debian12", version: 3, kernelRelease: "6.1.0-2" };

test.each([
  ["another kernel", 1, { now: { image: "debian12", version: 1 }, next, kernelBefore: "6.1.0-1" }],
  ["another version with the same kernel", 2, { now: { image: "debian12", version: 2 }, next }],
  ["the same version", 3, { now: { image: "debian12", version: 3 }, next }],
  ["a version that was deleted", 9, { now: { image: "debian12", version: 9 }, next }],
])("a ready node that gets %s", (_title, imageVersion, rest) => {
  const status = { state: "ready", image: "debian12", imageVersion } as const;
  expect(planReboot(node, status, site)).toEqual({ ...head, state: "ready", ...rest });
});

test.each([
  ["new", "it has never booted"],
  ["booting", "it is booting"],
  ["unreachable", "no session"],
  ["failed", "its last boot failed"],
] as const)("a node that is %s cannot be asked", (state, obstacle) => {
  expect(planReboot(node, { state }, site)).toEqual({ ...head, state, obstacle, next });
});

test("a node whose image is gone would boot nothing", () => {
  expect(planReboot({ ...node, image: "gone" }, { state: "ready" }, site)).toEqual({
    ...{ ...head, state: "ready" },
    trouble: {
      what: "there is no image gone",
      fix: "on the controller: muster image import DIR --name gone, or give the node another image",
    },
  });
});
