import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import { planImageChoice } from "../images/plan-image-choice.ts";
import type { Inventory, Node } from "../inventory/inventory.ts";
import { findRefusal, refusalError } from "../machines/plan-refusal.ts";
import { type BootMachine, type BootScript, planBootScript, planRefused } from "./plan-boot-script.ts";

/** What {@link resolveBoot} asks and whom. */
export interface BootResolution {
  readonly config: Pick<MusterConfig, "controller" | "ports" | "boot">;
  readonly inventory: Pick<Inventory, "findNodeByMac" | "listImages" | "listRefusedMachines">;
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
  if (node === undefined) {
    const { mac, uuid: smbiosUuid, serial } = machine;
    const refused = findRefusal(await using.inventory.listRefusedMachines(), {
      macs: [mac],
      smbiosUuid,
      serial,
    });
    if (refused !== undefined) return { script: planRefused(mac, refusalError(refused)) };
  }
  const image = planImageChoice(await using.inventory.listImages(), {
    name: node?.image ?? using.config.boot.image,
    isKnown: node !== undefined,
  });
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
