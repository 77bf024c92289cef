import { expect, test } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import type { Image, Node } from "../inventory/inventory.ts";
import { testConfig } from "./netboot-test-lab.ts";
import { resolveBoot } from "./resolve-boot.ts";

const MACHINE = {
  mac: parseMacAddress("52:54:00:00:00:01"),
  uuid: "",
  serial: "",
  platform: "efi",
  buildArchitecture: "x86_64",
};

function image(name: string, stable?: number): Image {
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
      createdAt: new Date(0),
      source: "",
    })),
  };
}

async function secondLine(
  images: readonly Image[],
  nodeImage?: string,
  siteImage?: string,
): Promise<[string, number]> {
  let minted = 0;
  const base = testConfig("/x");
  const node: Node = {
    name: parseNodeName("c001"),
    revision: 1,
    kernelArguments: [],
    overlays: [],
    runtimeOverlays: [],
    tags: {},
    devices: [],
    machine: {},
    createdAt: new Date(0),
    updatedAt: new Date(0),
    ...(nodeImage === undefined ? {} : { image: nodeImage }),
  };
  const { script } = await resolveBoot(
    {
      config: { ...base, boot: { ...base.boot, ...(siteImage === undefined ? {} : { image: siteImage }) } },
      inventory: {
        findNodeByMac: async () => node,
        listImages: async () => images,
        listRefusedMachines: async () => [],
      },
      mintToken: async () => {
        minted += 1;
        return "t";
      },
      authorityFingerprint: "f".repeat(64),
    },
    MACHINE,
    "10.77.0.11",
    new Date(0),
  );
  return [script.banner[1] ?? script.banner[0] ?? "", minted];
}

test.each<[string, Image[], string | undefined, string | undefined, string, number]>([
  ["the only image", [image("a", 2)], undefined, undefined, "boots a version 2", 1],
  ["the site's image", [image("a", 1), image("b", 1)], undefined, "b", "boots b version 1", 1],
  ["the node's image before the site's", [image("a", 1), image("b", 2)], "a", "b", "boots a version 1", 1],
  ["no image", [], undefined, undefined, "there is no image yet", 0],
  ["an image that is gone", [image("a", 1)], "gone", undefined, "there is no image gone", 0],
  [
    "no choice",
    [image("a", 1), image("b", 1)],
    undefined,
    undefined,
    "no image is chosen and there are 2",
    0,
  ],
  ["no stable version", [image("a")], undefined, undefined, "image a has no stable version", 0],
])("%s decides, and only a boot mints a token", async (_title, images, node, site, said, minted) => {
  expect(await secondLine(images, node, site)).toEqual([expect.stringContaining(said), minted]);
});

test.each([
  ["by its MAC", MACHINE.mac],
  ["by its SMBIOS UUID, when it boots from another card", parseMacAddress("52:54:00:00:00:09")],
])(
  "a machine that was replaced is known %s: it is told by whom, gets no token, and asks seldom",
  async (_, mac) => {
    const smbiosUuid = "4C4C4544-0000-1000-8000-000000000017";
    const base = testConfig("/x");
    const known = { node: parseNodeName("c017"), user: "anna", at: new Date("2026-11-20T12:00:00Z") };
    const { script, node } = await resolveBoot(
      {
        config: base,
        inventory: {
          findNodeByMac: async () => undefined,
          listImages: async () => [image("a", 1)],
          listRefusedMachines: async () => [{ ...known, mac: MACHINE.mac, macs: [MACHINE.mac], smbiosUuid }],
        },
        mintToken: () => Promise.reject(new Error("no token for it")),
        authorityFingerprint: "f".repeat(64),
      },
      { ...MACHINE, mac, uuid: smbiosUuid.toLowerCase() },
      "10.77.0.11",
      new Date(0),
    );
    expect([node, script]).toEqual([
      undefined,
      {
        do: "wait",
        banner: [
          `muster: ${mac}`,
          "muster: cannot boot: this machine was replaced as c017 by anna on 2026-11-20",
          "muster: ask the operator; to let it in again: muster node refused readmit 52:54:00:00:00:01",
        ],
        what: "this machine was replaced as c017 by anna on 2026-11-20",
        fix: "ask the operator; to let it in again: muster node refused readmit 52:54:00:00:00:01",
        retryAfterSeconds: 300,
      },
    ]);
  },
);
