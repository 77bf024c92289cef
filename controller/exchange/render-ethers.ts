import { readMacAddress } from "#proto/contract/mac-address.ts";

import type { ExportedNode, RenderedExport } from "./plan-exported-nodes.ts";

/**
 * ethers(5): a MAC and a host name on each line. The device a node boots from has the node's name, the others are
 * NAME-DEVICE, as in the hosts file. InfiniBand is left out: its hardware addresses are no Ethernet addresses.
 */
export function renderEthers(nodes: readonly ExportedNode[]): RenderedExport {
  const lines: string[] = [];
  const notes: string[] = [];
  for (const { name, devices } of nodes) {
    const cards = devices.filter(
      ({ type, mac }) => type !== "infiniband" && readMacAddress(mac ?? "") !== undefined,
    );
    const [first] = cards;
    for (const device of cards) {
      lines.push(`${device.mac ?? ""} ${device === first ? name : `${name}-${device.name}`}\n`);
    }
    if (first === undefined) notes.push(`${name} has no MAC`);
  }
  return { text: lines.join(""), notes };
}
