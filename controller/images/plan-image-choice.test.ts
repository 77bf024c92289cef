import { expect, test } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import type { Image } from "../inventory/inventory.ts";
import { planImageChoice } from "./plan-image-choice.ts";

function image(name: string, stable: number | undefined, importedAt = 0): Image {
  const blob = { digest: digestOfHex("a".repeat(64)), sizeBytes: 1 };
  return {
    name,
    channels: stable === undefined ? {} : { stable },
    versions: [1, 2].map((version) => ({
      image: name,
      version,
      kernelRelease: "6.1",
      architecture: "x86_64",
      features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
      kernel: blob,
      modules: blob,
      layers: [],
      createdAt: new Date(importedAt),
      source: "",
    })),
  };
}

const OLD = image("old", 1, 1000);
const NEW = image("new", 2, 2000);
const NONE = image("none", undefined, 3000);

test.each<[string, readonly Image[], string | undefined, boolean, string]>([
  ["a named image: its stable version", [OLD, NEW], "new", true, "new@2"],
  ["a named image, for a stranger too", [OLD, NEW], "old", false, "old@1"],
  ["a name nobody has", [OLD], "gone", true, "there is no image gone"],
  ["a named image without a stable version", [NONE], "none", true, "image none has no stable version"],
  ["the only image", [OLD], undefined, true, "old@1"],
  ["several, and a node that names none", [OLD, NEW], undefined, true, "no image is chosen and there are 2"],
  ["several, and a stranger: the newest that can boot", [NEW, NONE, OLD], undefined, false, "new@2"],
  ["no image for a node", [], undefined, true, "there is no image yet"],
  ["no image for a stranger", [], undefined, false, "there is no image yet"],
  ["only an image without a stable version", [NONE], undefined, false, "image none has no stable version"],
])("%s", (_title, images, name, isKnown, expected) => {
  const choice = planImageChoice(images, { name, isKnown });
  expect(choice.found ? `${choice.version.image}@${choice.version.version}` : choice.what).toBe(expected);
});
