import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import {
  DEVICE_TYPES,
  type MachineId,
  type NetworkDevice,
  type Node,
  type NodeFields,
  ROOT_MODES,
} from "./inventory.ts";
import type { DevicesTable, NodesTable } from "./schema.ts";

/** A node as its row; the devices are rows of their own. */
export function nodeRow(node: Node): NodesTable {
  return {
    name: node.name,
    revision: node.revision,
    image: node.image ?? null,
    root_mode: node.rootMode ?? null,
    root_size_bytes: node.rootSizeBytes ?? null,
    kernel_arguments_json: JSON.stringify(node.kernelArguments),
    overlays_json: JSON.stringify(node.overlays),
    runtime_overlays_json: JSON.stringify(node.runtimeOverlays),
    tags_json: JSON.stringify(node.tags),
    comment: node.comment ?? null,
    smbios_uuid: node.machine.smbiosUuid ?? null,
    serial: node.machine.serial ?? null,
    created_at: node.createdAt.toISOString(),
    updated_at: node.updatedAt.toISOString(),
  };
}

/** The devices of a node as rows, in its order. */
export function deviceRows(node: Node): readonly DevicesTable[] {
  return node.devices.map((device, position) => ({
    node: node.name,
    position,
    name: device.name,
    type: device.type,
    mac: device.mac ?? null,
    address: device.address ?? null,
    netmask: device.netmask ?? null,
    gateway: device.gateway ?? null,
    mtu: device.mtu ?? null,
  }));
}

/** The node of a row and of its devices' rows in order of position. Names and MACs were parsed before they were stored. */
export function nodeOfRow(row: NodesTable, devices: readonly DevicesTable[]): Node {
  const rootMode = ROOT_MODES.find((mode) => mode === row.root_mode);
  return {
    name: row.name as NodeName,
    revision: row.revision,
    ...(row.image === null ? {} : { image: row.image }),
    ...(rootMode === undefined ? {} : { rootMode }),
    ...(row.root_size_bytes === null ? {} : { rootSizeBytes: row.root_size_bytes }),
    kernelArguments: JSON.parse(row.kernel_arguments_json) as readonly string[],
    overlays: JSON.parse(row.overlays_json) as readonly string[],
    runtimeOverlays: JSON.parse(row.runtime_overlays_json) as readonly string[],
    tags: JSON.parse(row.tags_json) as Readonly<Record<string, string>>,
    ...(row.comment === null ? {} : { comment: row.comment }),
    devices: devices.map(deviceOfRow),
    machine: {
      ...(row.smbios_uuid === null ? {} : { smbiosUuid: row.smbios_uuid }),
      ...(row.serial === null ? {} : { serial: row.serial }),
    },
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

function deviceOfRow(row: DevicesTable): NetworkDevice {
  return {
    name: row.name,
    type: DEVICE_TYPES.find((type) => type === row.type) ?? "ethernet",
    ...(row.mac === null ? {} : { mac: row.mac as MacAddress }),
    ...(row.address === null ? {} : { address: row.address }),
    ...(row.netmask === null ? {} : { netmask: row.netmask }),
    ...(row.gateway === null ? {} : { gateway: row.gateway }),
    ...(row.mtu === null ? {} : { mtu: row.mtu }),
  };
}

/**
 * What an operator set and the machine said, without revision and times: what the history keeps.
 * The order of keys is fixed, so that two texts of it are equal when nothing differs.
 */
export function nodeContent(node: NodeFields & { readonly machine: MachineId }): object {
  return {
    image: node.image,
    rootMode: node.rootMode,
    rootSizeBytes: node.rootSizeBytes,
    kernelArguments: node.kernelArguments,
    overlays: node.overlays,
    runtimeOverlays: node.runtimeOverlays,
    tags: Object.fromEntries(Object.entries(node.tags).sort(([a], [b]) => (a < b ? -1 : 1))),
    comment: node.comment,
    devices: node.devices.map((device) => ({
      name: device.name,
      type: device.type,
      mac: device.mac,
      address: device.address,
      netmask: device.netmask,
      gateway: device.gateway,
      mtu: device.mtu,
    })),
    machine: { smbiosUuid: node.machine.smbiosUuid, serial: node.machine.serial },
  };
}
