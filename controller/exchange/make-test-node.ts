import type { EffectiveDevice } from "../fields/effective-node.ts";
import type { ExportedNode } from "./plan-exported-nodes.ts";

/** For tests: a node as exports know it, with what matters of it. */
export function makeTestNode(name: string, parts: Partial<Omit<ExportedNode, "name">> = {}): ExportedNode {
  return { name, profiles: [], tags: {}, devices: [], ...parts };
}

/** For tests: a device with an address and nothing else that matters. */
export function makeTestDevice(
  name: string,
  parts: Partial<Omit<EffectiveDevice, "name">> = {},
): EffectiveDevice {
  return { name, type: "ethernet", ...parts };
}
