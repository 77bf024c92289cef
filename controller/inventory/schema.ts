import type { Generated } from "kysely";

/**
 * The tables of inventory.db as migrations.ts makes them. Times are ISO 8601 in UTC, so that they sort as
 * text and a person with sqlite3 can read them; `*_json` columns hold JSON.
 */
export interface InventoryTables {
  schema_version: { version: number };
  nodes: NodesTable;
  profiles: RecordsTable;
  change_sets: ChangeSetsTable;
  changes: ChangesTable;
  image_series: { name: string; last_version: number };
  images: { name: string };
  image_versions: ImageVersionsTable;
  image_channels: { image: string; channel: string; version: number };
  pending_machines: PendingMachinesTable;
  tokens: TokensTable;
  identities: IdentitiesTable;
  secrets: { node: string; name: string; value: Uint8Array };
  denied_boots: { node: string; boot_id: string; until: string; why: string };
  refused_machines: RefusedMachinesTable;
  node_alerts: { node: string; kind: string; what: string; at: string };
  hardware_contents: HardwareContentsTable;
  hardware_boots: HardwareBootsTable;
  api_tokens: { name: string; hash: string; created_at: string; last_used_at: string | null };
}

export interface NodesTable extends RecordsTable {
  smbios_uuid: string | null;
  serial: string | null;
}

/** A node or profile as an operator wrote it. */
export interface RecordsTable {
  name: string;
  revision: number;
  /** As in fields_json: the reference that keeps an image while it is named. */
  image: string | null;
  /** Fields in canonical form. */
  fields_json: string;
  created_at: string;
  updated_at: string;
}

/** Who changed something when and why: one row per change, numbered as people name it. Rows are only ever added. */
interface ChangeSetsTable {
  /** 1, 2, 3; until schema version 7 the id of its first row in `changes`. */
  id: Generated<number>;
  at: string;
  author: string;
  /** Where the author was; null: on the controller, or not known. */
  address: string | null;
  reason: string | null;
  /** EffectGroup[]. */
  summary_json: string;
  /** 1: all it says is what machines were found to be. */
  only_machines: number;
}

/** What a change did, one thing per row. Rows are only ever added. */
interface ChangesTable {
  id: Generated<number>;
  /** Of change_sets. Grows with `id`. */
  change_set: number;
  /** "node", "profile", "machine", "image", "channel", "identity" (revoked) or "alert" (cleared), and its name. */
  kind: string;
  name: string;
  /** The whole of it before and after; null before it existed and after it was deleted. */
  before_json: string | null;
  after_json: string | null;
  /** The name it has after the change, where that is another. */
  renamed_to: string | null;
  /** Of a node or profile: its revision after the change, or the last it had. Null in rows of old releases. */
  revision: number | null;
}

export interface ImageVersionsTable {
  image: string;
  version: number;
  /** Everything of an ImageVersion but image, version and createdAt. */
  details_json: string;
  created_at: string;
}

interface PendingMachinesTable {
  claim_code: string;
  machine_key: string;
  /** Everything else of a PendingMachine but the two times. */
  details_json: string;
  first_seen_at: string;
  last_seen_at: string;
}

export interface TokensTable {
  hash: string;
  node: string;
  boot_mac: string;
  source_address: string;
  expires_at: string;
  /** Hash of the key that presented the token first. */
  used_by_key: string | null;
}

interface IdentitiesTable {
  node: string;
  boot_id: string;
  key_hash: string;
  certificate_serial: string;
  issued_at: string;
  expires_at: string;
}

interface HardwareContentsTable {
  node: string;
  /** Of the report as the node sent it. */
  digest: string;
  /** A HardwareReport as JSON, deflated (RFC 1950): a tenth of its size, in the file that is backed up. */
  report: Uint8Array;
}

interface HardwareBootsTable {
  /** Grows with each boot that reports for the first time. */
  id: Generated<number>;
  node: string;
  boot_id: string;
  /** In hardware_contents. */
  digest: string;
  reported_at: string;
}

/** Machines that others took the place of. */
export interface RefusedMachinesTable {
  /** The one it booted with. */
  mac: string;
  macs_json: string;
  smbios_uuid: string | null;
  serial: string | null;
  /** The node it was. No reference: it stays refused when the node goes. */
  node: string;
  user: string;
  reason: string | null;
  at: string;
}
