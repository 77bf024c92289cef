import { type Kysely, sql } from "kysely";

import { canonicalFields } from "../fields/canonical-fields.ts";
import { type EffectiveDevice, type EffectiveFields, fieldsOfFlat } from "../fields/effective-node.ts";
import type { Fields } from "../fields/fields.ts";
import type { InventoryTables } from "./schema.ts";

/** Columns of `nodes` that schema version 5 has no more. */
export const FLAT_COLUMNS = [
  "root_mode",
  "root_size_bytes",
  "kernel_arguments_json",
  "overlays_json",
  "runtime_overlays_json",
  "tags_json",
  "comment",
] as const;

interface FlatRow {
  readonly name: string;
  readonly image: string | null;
  readonly root_mode: string | null;
  readonly root_size_bytes: number | null;
  readonly kernel_arguments_json: string;
  readonly overlays_json: string;
  readonly runtime_overlays_json: string;
  readonly tags_json: string;
  readonly comment: string | null;
}

interface DeviceRow {
  readonly node: string;
  readonly name: string;
  readonly type: string;
  readonly mac: string | null;
  readonly address: string | null;
  readonly netmask: string | null;
  readonly gateway: string | null;
  readonly mtu: number | null;
}

/** What the nodes of schema version 4 are as fields. */
export async function readFlatNodes(
  db: Kysely<InventoryTables>,
): Promise<readonly { readonly name: string; readonly fields: Fields }[]> {
  const { rows } = await sql<FlatRow>`select * from nodes`.execute(db);
  const devices = await sql<DeviceRow>`select * from devices order by node, position`.execute(db);
  const devicesOf = Map.groupBy(devices.rows, (device) => device.node);
  return rows.map((row) => ({ name: row.name, fields: fieldsOfFlatRow(row, devicesOf.get(row.name) ?? []) }));
}

/**
 * The fields of a node as releases before schema version 5 kept it: flat, `null` for what is not set. Also what their
 * history holds, that of schema version 1 without runtime overlays. Of the devices the first with a MAC booted.
 */
export function fieldsOfFlatContent(content: object): Fields {
  const empty = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  const flat: EffectiveFields = { ...empty, ...withoutNulls(content) };
  const devices = flat.devices.map((device) => withoutNulls(device) as EffectiveDevice);
  const boot = devices.find(({ mac }) => mac !== undefined);
  const inOrder = boot === undefined ? devices : [boot, ...devices.filter((device) => device !== boot)];
  return canonicalFields(fieldsOfFlat({ ...flat, devices: inOrder }));
}

function fieldsOfFlatRow(row: FlatRow, devices: readonly DeviceRow[]): Fields {
  return fieldsOfFlatContent({
    image: row.image,
    rootMode: row.root_mode,
    rootSizeBytes: row.root_size_bytes,
    kernelArguments: JSON.parse(row.kernel_arguments_json) as readonly string[],
    overlays: JSON.parse(row.overlays_json) as readonly string[],
    runtimeOverlays: JSON.parse(row.runtime_overlays_json) as readonly string[],
    tags: JSON.parse(row.tags_json) as Readonly<Record<string, string>>,
    comment: row.comment,
    devices: devices.map(({ name, type, mac, address, netmask, gateway, mtu }) => ({
      ...{ name, type, mac, address, netmask, gateway, mtu },
    })),
  });
}

function withoutNulls(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== null && part !== undefined));
}
