import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";

import type { DeviceInput, NodeChanges, NodeFieldsInput, NodeView } from "../api/rest/schemas.ts";
import { formatIpv4, readIpv4 } from "../config/ipv4.ts";

/** The options of `muster node add` and `muster node set`, as commander gives them. */
export interface FieldOptions {
  readonly image?: string;
  readonly rootMode?: string;
  readonly kernelArgument?: readonly string[];
  readonly overlay?: readonly string[];
  readonly runtimeOverlay?: readonly string[];
  readonly tag?: readonly string[];
  readonly untag?: readonly string[];
  readonly comment?: string;
  readonly device?: string;
  readonly mac?: string;
  readonly address?: string;
  readonly netmask?: string;
  readonly gateway?: string;
  readonly mtu?: string;
}

/** Name of a node's device when nobody gives one: the first network port on the board (systemd.net-naming-scheme(7)). */
const DEFAULT_DEVICE = "eno1";
const DEVICE_FIELDS = ["mac", "address", "netmask", "gateway", "mtu"] as const;

/** The nodes to add: the same fields for all, each with its own MAC and address. Throws `argument-invalid`. */
export function planNewNodes(
  names: readonly NodeName[],
  options: FieldOptions,
): readonly { readonly name: NodeName; readonly fields: NodeFieldsInput }[] {
  const spread = planDevices(names.length, options);
  return names.map((name, index) => {
    const changes = planFields(options);
    const device = spread[index];
    const fields = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== null));
    const tags = Object.fromEntries(Object.entries(changes.tags ?? {}).filter(([, value]) => value !== null));
    return {
      name,
      fields: {
        ...(fields as NodeFieldsInput),
        ...(changes.tags === undefined ? {} : { tags: tags as Record<string, string> }),
        ...(device === undefined
          ? {}
          : { devices: [withChanges({ name: options.device ?? DEFAULT_DEVICE }, device)] }),
      },
    };
  });
}

/** The changes of nodes that are there. An empty value unsets. Throws `argument-invalid`. */
export function planNodeChanges(
  nodes: readonly NodeView[],
  options: FieldOptions,
): readonly { readonly name: string; readonly revision: number; readonly changes: NodeChanges }[] {
  const spread = planDevices(nodes.length, options);
  const updates = nodes.map(({ name, revision, devices }, index) => {
    const device = spread[index];
    return {
      name,
      revision,
      changes: {
        ...planFields(options),
        ...(device === undefined ? {} : { devices: changeDevice(devices, options.device, device) }),
      },
    };
  });
  if (updates.every(({ changes }) => Object.keys(changes).length === 0)) {
    throw invalid("nothing to change was given", "`muster node set --help` lists what can be");
  }
  return updates;
}

function planFields(options: FieldOptions): NodeChanges {
  const { image, rootMode, kernelArgument, overlay, runtimeOverlay, tag, untag, comment } = options;
  const tags = planTags(tag ?? [], untag ?? []);
  return {
    ...(image === undefined ? {} : { image: orNull(image) }),
    ...(rootMode === undefined
      ? {}
      : { rootMode: rootMode === "" ? null : (rootMode as "squashfs" | "tmpfs") }),
    ...(kernelArgument === undefined
      ? {}
      : { kernelArguments: kernelArgument.filter((word) => word !== "") }),
    ...(overlay === undefined ? {} : { overlays: overlay.filter((name) => name !== "") }),
    ...(runtimeOverlay === undefined
      ? {}
      : { runtimeOverlays: runtimeOverlay.filter((name) => name !== "") }),
    ...(tags === undefined ? {} : { tags }),
    ...(comment === undefined ? {} : { comment: orNull(comment) }),
  };
}

function planTags(
  given: readonly string[],
  removed: readonly string[],
): Record<string, string | null> | undefined {
  if (given.length === 0 && removed.length === 0) return undefined;
  const tags = new Map<string, string | null>(removed.map((key) => [key, null]));
  for (const word of given) {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
    if (key === undefined || value === undefined) {
      throw invalid(`--tag ${word} has no value`, "write key=value; --untag KEY removes one");
    }
    tags.set(key, value);
  }
  return Object.fromEntries(tags);
}

/** What is said about a device: undefined when nothing, an empty text to unset. */
type DeviceChanges = Readonly<Partial<Record<(typeof DEVICE_FIELDS)[number], string>>>;

/** The device options, spread over the nodes: addresses count up, MACs are given one each. */
function planDevices(count: number, options: FieldOptions): readonly (DeviceChanges | undefined)[] {
  if (options.device === undefined && DEVICE_FIELDS.every((field) => options[field] === undefined)) return [];
  const macs = options.mac?.split(",") ?? [];
  if (options.mac !== undefined && options.mac !== "" && macs.length !== count) {
    throw invalid(
      `${count} nodes cannot have ${macs.length} MAC addresses`,
      "give one each, with commas between",
    );
  }
  const first = options.address === undefined ? undefined : readIpv4(options.address);
  if (options.address !== undefined && options.address !== "" && first === undefined) {
    throw invalid(`--address ${options.address} is not an IPv4 address`, "for example 10.77.0.11");
  }
  return Array.from({ length: count }, (_, index) => {
    const mac = options.mac === "" ? "" : macs[index];
    const address = options.address === "" ? "" : first === undefined ? undefined : formatIpv4(first + index);
    return {
      ...(mac === undefined ? {} : { mac }),
      ...(address === undefined ? {} : { address }),
      ...(options.netmask === undefined ? {} : { netmask: options.netmask }),
      ...(options.gateway === undefined ? {} : { gateway: options.gateway }),
      ...(options.mtu === undefined ? {} : { mtu: options.mtu }),
    };
  });
}

function changeDevice(
  devices: readonly DeviceInput[],
  name: string | undefined,
  changes: DeviceChanges,
): DeviceInput[] {
  const wanted = name ?? devices[0]?.name ?? DEFAULT_DEVICE;
  const isThere = devices.some((device) => device.name === wanted);
  const all = isThere ? devices : [...devices, { name: wanted }];
  return all.map((device) => (device.name === wanted ? withChanges(device, changes) : { ...device }));
}

function withChanges(device: DeviceInput, changes: DeviceChanges): DeviceInput {
  const { mtu, ...texts } = changes;
  const kept = Object.entries({ ...device, ...texts }).filter(([, value]) => value !== "");
  const changed = Object.fromEntries(kept) as DeviceInput;
  if (mtu === undefined) return changed;
  if (mtu === "") {
    return Object.fromEntries(Object.entries(changed).filter(([field]) => field !== "mtu")) as DeviceInput;
  }
  if (!/^\d{1,6}$/.test(mtu))
    throw invalid(`--mtu ${mtu} is not a number of bytes`, "for example --mtu 9000");
  return { ...changed, mtu: Number(mtu) };
}

function orNull(text: string): string | null {
  return text === "" ? null : text;
}

function invalid(what: string, fix: string): MusterError {
  return new MusterError({ code: "argument-invalid", what, fix });
}
