import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import type { Image, Inventory, Node } from "../inventory/inventory.ts";
import { type BootMachine, type BootScript, type ImageChoice, planBootScript } from "./plan-boot-script.ts";

/** What {@link resolveBoot} asks and whom. */
export interface BootResolution {
  readonly config: Pick<MusterConfig, "controller" | "ports" | "boot">;
  readonly inventory: Pick<Inventory, "findNodeByMac" | "listImages">;
  /** A one-time enrolment token for the node, bound to this MAC and this source address. */
  readonly mintToken: (node: NodeName, mac: MacAddress, sourceAddress: string) => Promise<string>;
  /** SHA-256 of the authority's certificate, 64 hex digits. */
  readonly authorityFingerprint: string;
}

/** What the machine at `address` boots, and the node it is, if anybody knows it. */
export async function resolveBoot(
  using: BootResolution,
  machine: BootMachine,
  address: string,
  now: Date,
): Promise<{ readonly script: BootScript; readonly node?: Node }> {
  const node = await using.inventory.findNodeByMac(machine.mac);
  const image = chooseImage(await using.inventory.listImages(), node?.image ?? using.config.boot.image);
  // A token that nothing is booted with would only lie about.
  const token =
    node !== undefined && image.found ? await using.mintToken(node.name, machine.mac, address) : undefined;
  const script = planBootScript({
    machine,
    image,
    now,
    config: using.config,
    authorityFingerprint: using.authorityFingerprint,
    ...(node === undefined ? {} : { node }),
    ...(token === undefined ? {} : { token }),
  });
  return { script, ...(node === undefined ? {} : { node }) };
}

/** The version in channel `stable` of the image asked for; without a name, of the only image there is. */
function chooseImage(images: readonly Image[], name: string | undefined): ImageChoice {
  const image = name === undefined ? images[0] : images.find((one) => one.name === name);
  if (image === undefined) {
    return name === undefined
      ? {
          found: false,
          what: "there is no image yet",
          fix: "on the controller: muster image import DIR --name NAME",
        }
      : {
          found: false,
          what: `there is no image ${name}`,
          fix: `on the controller: muster image import DIR --name ${name}, or give the node another image`,
        };
  }
  if (name === undefined && images.length > 1) {
    return {
      found: false,
      what: `no image is chosen and there are ${images.length}`,
      fix: "on the controller: muster node set NODE --image NAME, or boot.image in muster.yaml",
    };
  }
  const stable = image.channels["stable"];
  const version = image.versions.find((one) => one.version === stable);
  return version === undefined
    ? {
        found: false,
        what: `image ${image.name} has no stable version`,
        fix: `on the controller: muster image import DIR --name ${image.name}`,
      }
    : { found: true, version };
}
