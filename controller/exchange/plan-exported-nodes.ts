import { compareNodeNames } from "#proto/contract/node-set.ts";

import { type EffectiveDevice, effectiveNode } from "../fields/effective-node.ts";
import type { BmcFields } from "../fields/fields.ts";
import { expandProfiles, openMerger } from "../fields/merge-fields.ts";
import type { InventoryState } from "../inventory/changes.ts";

/** What other programs want to know of a node: in effect, profiles merged. */
export interface ExportedNode {
  readonly name: string;
  readonly image?: string;
  readonly cluster?: string;
  readonly comment?: string;
  /** All that apply, those that others name included, in the order in which they apply. */
  readonly profiles: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  /** The device it boots from first. */
  readonly devices: readonly EffectiveDevice[];
  readonly bmc?: BmcFields;
  /** What it does now; absent when nobody asked. */
  readonly state?: string;
}

/** A file for another program, and what could not be said in it. */
export interface RenderedExport {
  readonly text: string;
  /** A line each, for people. */
  readonly notes: readonly string[];
}

/** The nodes of the inventory in natural order, with what they do now where that is given. */
export function planExportedNodes(
  { nodes, profiles: records }: InventoryState,
  states?: ReadonlyMap<string, string>,
): readonly ExportedNode[] {
  const profiles = new Map(records.map(({ name, fields }) => [name, fields]));
  const merger = openMerger(profiles);
  return nodes
    .map(({ name, fields }): ExportedNode => {
      const { image, cluster, comment, tags, devices, bmc } = effectiveNode(merger.merge(fields));
      const state = states?.get(name);
      return {
        name,
        ...(image === undefined ? {} : { image }),
        ...(cluster === undefined ? {} : { cluster }),
        ...(comment === undefined ? {} : { comment }),
        profiles: expandProfiles(fields.profiles ?? [], profiles),
        tags,
        devices,
        ...(bmc === undefined ? {} : { bmc }),
        ...(state === undefined ? {} : { state }),
      };
    })
    .sort((a, b) => compareNodeNames(a.name, b.name));
}

/** The device whose address the name of a node stands for: the one it boots from, else the first that has one. */
export function namedDeviceOf<D extends { readonly mac?: string; readonly address?: string }>(
  devices: readonly D[],
): D | undefined {
  const boot = devices.find(({ mac }) => mac !== undefined);
  return boot?.address === undefined ? devices.find(({ address }) => address !== undefined) : boot;
}
