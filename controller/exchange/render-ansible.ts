import type { Json } from "../fields/fields.ts";
import { type ExportedNode, namedDeviceOf } from "./plan-exported-nodes.ts";
import { type GroupSource, planExportedGroups } from "./plan-exported-groups.ts";

type JsonObject = Readonly<Record<string, Json>>;

/** An inventory as Ansible's script plug-in reads it, and what should be known about it. */
export interface AnsibleInventory {
  readonly inventory: JsonObject;
  readonly notes: readonly string[];
}

/**
 * Answer of a dynamic inventory to `--list` (Ansible, "Developing dynamic inventory"): groups profile_X, image_X, tag_KEY_VALUE
 * and state_X with their hosts, all variables in `_meta`, so that `--host` is never asked. Ansible takes letters, digits and
 * "_" in names of groups; any other character becomes "_", and groups that are called the same then are one, which is told.
 */
export function renderAnsibleList(nodes: readonly ExportedNode[]): AnsibleInventory {
  const groups = new Map<string, { readonly from: string[]; readonly hosts: Set<string> }>();
  for (const [source, byName] of planExportedGroups(nodes)) {
    for (const [group, names] of byName) {
      const name = groupName(source, group);
      const known = groups.get(name) ?? { from: [], hosts: new Set<string>() };
      groups.set(name, known);
      known.from.push(`${source} ${group}`);
      for (const node of names) known.hosts.add(node);
    }
  }
  const order = new Map(nodes.map(({ name }, index) => [name, index]));
  const entries = [...groups].map(([name, { hosts }]): [string, Json] => [
    name,
    { hosts: [...hosts].sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0)) },
  ]);
  return {
    inventory: {
      _meta: { hostvars: Object.fromEntries(nodes.map((node) => [node.name, renderAnsibleHost(node)])) },
      all: { hosts: nodes.map(({ name }) => name) },
      ...Object.fromEntries(entries),
    },
    notes: [...groups]
      .filter(([, { from }]) => from.length > 1)
      .map(([name, { from }]) => `${from.join(" and ")} are both group ${name} to Ansible`),
  };
}

/** Answer to `--host NAME`: the variables of one host. `ansible_host` is absent for a node without an address. */
export function renderAnsibleHost(node: ExportedNode): JsonObject {
  const { image, cluster, comment, profiles, tags, devices, bmc, state } = node;
  const address = namedDeviceOf(devices)?.address;
  return {
    ...(address === undefined ? {} : { ansible_host: address }),
    muster_profiles: profiles,
    muster_tags: tags,
    muster_devices: Object.fromEntries(devices.map(({ name, ...device }) => [name, deviceVariables(device)])),
    ...(image === undefined ? {} : { muster_image: image }),
    ...(state === undefined ? {} : { muster_state: state }),
    ...(cluster === undefined ? {} : { muster_cluster: cluster }),
    ...(comment === undefined ? {} : { muster_comment: comment }),
    ...(bmc?.address === undefined ? {} : { muster_bmc_address: bmc.address }),
  };
}

function deviceVariables(device: Omit<ExportedNode["devices"][number], "name">): JsonObject {
  const { type, mac, address, netmask, gateway, address6, mtu } = device;
  const known = { type, mac, address, netmask, gateway, address6, mtu };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)) as JsonObject;
}

function groupName(source: GroupSource, group: string): string {
  return `${source}_${group}`.replaceAll(/[^A-Za-z0-9_]/g, "_");
}
