import { canonicalFields } from "../../fields/canonical-fields.ts";
import { fieldsOfFlat } from "../../fields/effective-node.ts";
import type { DeviceFields, Fields } from "../../fields/fields.ts";
import type { NodeFields } from "../../inventory/inventory.ts";
import type { NodeChanges, NodeFieldsInput } from "./schemas.ts";

/** What a change sets, for validation: without what it unsets. */
export function givenFields({ tags, devices, ...changes }: NodeChanges): NodeFieldsInput {
  return {
    ...(withoutNulls(changes) as NodeFieldsInput),
    ...(tags === undefined ? {} : { tags: withoutNulls(tags) as Record<string, string> }),
    ...(devices === undefined ? {} : { devices: [...devices] }),
  };
}

/**
 * What is written of a node after a change; `given` is what givenFields and its validation made of that. What the change does
 * not mention stays, also of a device: this old form of a change has words for a part of the fields only.
 */
export function planNodeChanges(own: Fields, changes: NodeChanges, given: NodeFields): Fields {
  const fields: Record<string, unknown> = { ...own };
  const flat = fieldsOfFlat(given);
  for (const name of Object.keys(changes)) {
    if (name === "tags") fields["tags"] = changedTags(own.tags, changes.tags ?? {});
    else if (name === "devices") {
      fields["devices"] = changedDevices(own.devices ?? {}, flat.devices ?? {});
      fields["primaryDevice"] = flat.primaryDevice;
    } else fields[name] = flat[name as keyof Fields];
  }
  return canonicalFields(fields);
}

function changedTags(
  tags: Fields["tags"],
  changes: NonNullable<NodeChanges["tags"]>,
): Readonly<Record<string, string>> {
  return withoutNulls({ ...tags, ...changes }) as Record<string, string>;
}

/** What DeviceInput can say of a device; the rest of it stays. */
const SAID = new Set(["type", "mac", "address", "netmask", "gateway", "mtu"]);

function changedDevices(
  own: Readonly<Record<string, DeviceFields>>,
  given: Readonly<Record<string, DeviceFields>>,
): Readonly<Record<string, DeviceFields>> {
  const keyOf = (name: string): string =>
    Object.keys(own).find((key) => (own[key]?.interface ?? key) === name) ?? name;
  return Object.fromEntries(
    Object.entries(given).map(([name, device]) => {
      const key = keyOf(name);
      const kept = Object.entries(own[key] ?? {}).filter(([field]) => !SAID.has(field));
      return [key, { ...Object.fromEntries(kept), ...device }];
    }),
  );
}

function withoutNulls(map: object): object {
  return Object.fromEntries(Object.entries(map).filter(([, value]) => value !== null && value !== undefined));
}
