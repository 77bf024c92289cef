import { type Kysely, sql } from "kysely";

import { MusterError } from "#proto/contract/muster-error.ts";
import { openEffectSummary } from "../history/summarise-effects.ts";
import { effectsOfStored, type StoredEffect } from "./effects-of-stored.ts";
import { FLAT_COLUMNS, readFlatNodes } from "./read-flat-nodes.ts";
import type { InventoryTables } from "./schema.ts";

type Migration = (db: Kysely<InventoryTables>) => Promise<void>;

/**
 * The steps from an empty database to the present schema; the n-th brings it to version n. Steps are only
 * ever appended: released databases have run the earlier ones. Written so that PostgreSQL takes them too.
 */
const MIGRATIONS: readonly Migration[] = [
  createFirstSchema,
  addRuntimeOverlays,
  addHardware,
  addDenials,
  addFieldsAndProfiles,
  addRefusedMachines,
  addChangeSets,
];

/** The schema version this build reads and writes. */
const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Brings a database to {@link SCHEMA_VERSION}, all steps in one transaction. Running it again does nothing.
 * Throws `database-newer` for one that a later release has migrated, and leaves it as it is.
 */
export async function migrateInventory(db: Kysely<InventoryTables>, path: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.schema
      .createTable("schema_version")
      .ifNotExists()
      .addColumn("version", "integer", (column) => column.notNull())
      .execute();
    const row = await tx.selectFrom("schema_version").select("version").executeTakeFirst();
    const found = row?.version ?? 0;
    if (found > SCHEMA_VERSION) {
      throw new MusterError({
        code: "database-newer",
        what: `the inventory ${path} has schema version ${found}; this musterd knows versions up to ${SCHEMA_VERSION}`,
        fix: "install the newer musterd again, or restore a backup of the inventory from before its upgrade",
      });
    }
    for (const step of MIGRATIONS.slice(found)) await step(tx);
    if (row === undefined)
      await tx.insertInto("schema_version").values({ version: SCHEMA_VERSION }).execute();
    else if (found < SCHEMA_VERSION) {
      await tx.updateTable("schema_version").set({ version: SCHEMA_VERSION }).execute();
    }
  });
}

async function createFirstSchema(db: Kysely<InventoryTables>): Promise<void> {
  await createImageTables(db);
  await createNodeTables(db);
  await createEnrolmentTables(db);
  await db.schema
    .createTable("changes")
    .addColumn("id", "integer", (c) => c.primaryKey().autoIncrement())
    .addColumn("change_set", "integer", (c) => c.notNull())
    .addColumn("at", "text", (c) => c.notNull())
    .addColumn("author", "text", (c) => c.notNull())
    .addColumn("reason", "text")
    .addColumn("kind", "text", (c) => c.notNull())
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("before_json", "text")
    .addColumn("after_json", "text")
    .execute();
  await db.schema.createIndex("changes_by_name").on("changes").columns(["kind", "name", "id"]).execute();
  await db.schema
    .createTable("api_tokens")
    .addColumn("name", "text", (c) => c.primaryKey().notNull())
    .addColumn("hash", "text", (c) => c.notNull().unique())
    .addColumn("created_at", "text", (c) => c.notNull())
    .addColumn("last_used_at", "text")
    .execute();
}

/** Boots whose identity is void, for as long as tickets sealed for them are good; and what people should look at. */
async function addDenials(db: Kysely<InventoryTables>): Promise<void> {
  await db.schema
    .createTable("denied_boots")
    // No reference: a denial outlives its node.
    .addColumn("node", "text", (c) => c.notNull())
    .addColumn("boot_id", "text", (c) => c.notNull())
    .addColumn("until", "text", (c) => c.notNull())
    .addColumn("why", "text", (c) => c.notNull())
    .addPrimaryKeyConstraint("denied_boots_key", ["node", "boot_id"])
    .execute();
  await db.schema.createIndex("denied_boots_by_end").on("denied_boots").column("until").execute();
  await db.schema
    .createTable("node_alerts")
    .addColumn("node", "text", (c) => c.primaryKey().notNull().references("nodes.name").onDelete("cascade"))
    .addColumn("kind", "text", (c) => c.notNull())
    .addColumn("what", "text", (c) => c.notNull())
    .addColumn("at", "text", (c) => c.notNull())
    .execute();
}

async function createImageTables(db: Kysely<InventoryTables>): Promise<void> {
  // The counter outlives its image: a version number never names two different things.
  await db.schema
    .createTable("image_series")
    .addColumn("name", "text", (c) => c.primaryKey().notNull())
    .addColumn("last_version", "integer", (c) => c.notNull())
    .execute();
  await db.schema
    .createTable("images")
    .addColumn("name", "text", (c) => c.primaryKey().notNull())
    .execute();
  await db.schema
    .createTable("image_versions")
    .addColumn("image", "text", (c) => c.notNull().references("images.name").onDelete("cascade"))
    .addColumn("version", "integer", (c) => c.notNull())
    .addColumn("details_json", "text", (c) => c.notNull())
    .addColumn("created_at", "text", (c) => c.notNull())
    .addPrimaryKeyConstraint("image_versions_key", ["image", "version"])
    .execute();
  await db.schema
    .createTable("image_channels")
    .addColumn("image", "text", (c) => c.notNull().references("images.name").onDelete("cascade"))
    .addColumn("channel", "text", (c) => c.notNull())
    .addColumn("version", "integer", (c) => c.notNull())
    .addPrimaryKeyConstraint("image_channels_key", ["image", "channel"])
    .addForeignKeyConstraint("image_channels_version", ["image", "version"], "image_versions", [
      "image",
      "version",
    ])
    .execute();
}

async function createNodeTables(db: Kysely<InventoryTables>): Promise<void> {
  await db.schema
    .createTable("nodes")
    .addColumn("name", "text", (c) => c.primaryKey().notNull())
    .addColumn("revision", "integer", (c) => c.notNull())
    .addColumn("image", "text", (c) => c.references("images.name"))
    .addColumn("root_mode", "text")
    .addColumn("root_size_bytes", "bigint")
    .addColumn("kernel_arguments_json", "text", (c) => c.notNull())
    .addColumn("overlays_json", "text", (c) => c.notNull())
    .addColumn("tags_json", "text", (c) => c.notNull())
    .addColumn("comment", "text")
    .addColumn("smbios_uuid", "text")
    .addColumn("serial", "text")
    .addColumn("created_at", "text", (c) => c.notNull())
    .addColumn("updated_at", "text", (c) => c.notNull())
    .execute();
  await db.schema.createIndex("nodes_by_image").on("nodes").column("image").execute();
  await db.schema
    .createTable("devices")
    .addColumn("node", "text", (c) => c.notNull().references("nodes.name").onDelete("cascade"))
    .addColumn("position", "integer", (c) => c.notNull())
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("type", "text", (c) => c.notNull())
    .addColumn("mac", "text", (c) => c.unique())
    .addColumn("address", "text", (c) => c.unique())
    .addColumn("netmask", "text")
    .addColumn("gateway", "text")
    .addColumn("mtu", "integer")
    .addPrimaryKeyConstraint("devices_key", ["node", "position"])
    .addUniqueConstraint("devices_name", ["node", "name"])
    .execute();
}

async function createEnrolmentTables(db: Kysely<InventoryTables>): Promise<void> {
  await db.schema
    .createTable("pending_machines")
    .addColumn("claim_code", "text", (c) => c.primaryKey().notNull())
    .addColumn("machine_key", "text", (c) => c.notNull().unique())
    .addColumn("details_json", "text", (c) => c.notNull())
    .addColumn("first_seen_at", "text", (c) => c.notNull())
    .addColumn("last_seen_at", "text", (c) => c.notNull())
    .execute();
  await db.schema
    .createTable("tokens")
    .addColumn("hash", "text", (c) => c.primaryKey().notNull())
    .addColumn("node", "text", (c) => c.notNull().references("nodes.name").onDelete("cascade"))
    .addColumn("boot_mac", "text", (c) => c.notNull())
    .addColumn("source_address", "text", (c) => c.notNull())
    .addColumn("expires_at", "text", (c) => c.notNull())
    .addColumn("used_by_key", "text")
    .execute();
  await db.schema.createIndex("tokens_by_node").on("tokens").column("node").execute();
  await db.schema.createIndex("tokens_by_expiry").on("tokens").column("expires_at").execute();
  await db.schema
    .createTable("identities")
    .addColumn("node", "text", (c) => c.primaryKey().notNull().references("nodes.name").onDelete("cascade"))
    .addColumn("boot_id", "text", (c) => c.notNull())
    .addColumn("key_hash", "text", (c) => c.notNull())
    .addColumn("certificate_serial", "text", (c) => c.notNull())
    .addColumn("issued_at", "text", (c) => c.notNull())
    .addColumn("expires_at", "text", (c) => c.notNull())
    .execute();
  await db.schema
    .createTable("secrets")
    .addColumn("node", "text", (c) => c.notNull().references("nodes.name").onDelete("cascade"))
    .addColumn("name", "text", (c) => c.notNull())
    .addColumn("value", sql`blob`, (c) => c.notNull())
    .addPrimaryKeyConstraint("secrets_key", ["node", "name"])
    .execute();
}

async function addRuntimeOverlays(db: Kysely<InventoryTables>): Promise<void> {
  await db.schema
    .alterTable("nodes")
    .addColumn("runtime_overlays_json", "text", (c) => c.notNull().defaultTo("[]"))
    .execute();
}

/**
 * What machines report of themselves. Contents stand apart from boots, because most boots find what the one before
 * found; they are per node, because serial numbers make no two nodes equal.
 */
async function addHardware(db: Kysely<InventoryTables>): Promise<void> {
  await db.schema
    .createTable("hardware_contents")
    .addColumn("node", "text", (c) => c.notNull().references("nodes.name").onDelete("cascade"))
    .addColumn("digest", "text", (c) => c.notNull())
    .addColumn("report", sql`blob`, (c) => c.notNull())
    .addPrimaryKeyConstraint("hardware_contents_key", ["node", "digest"])
    .execute();
  await db.schema
    .createTable("hardware_boots")
    .addColumn("id", "integer", (c) => c.primaryKey().autoIncrement())
    .addColumn("node", "text", (c) => c.notNull().references("nodes.name").onDelete("cascade"))
    .addColumn("boot_id", "text", (c) => c.notNull())
    .addColumn("digest", "text", (c) => c.notNull())
    .addColumn("reported_at", "text", (c) => c.notNull())
    .addUniqueConstraint("hardware_boots_boot", ["node", "boot_id"])
    .execute();
  await db.schema
    .createIndex("hardware_boots_by_node")
    .on("hardware_boots")
    .columns(["node", "id"])
    .execute();
}

/**
 * Nodes become what an operator wrote of them, as one piece of JSON beside what muster knows of them; profiles come.
 * `image` stays a column of its own, for the reference that keeps an image from going while a record names it.
 */
async function addFieldsAndProfiles(db: Kysely<InventoryTables>): Promise<void> {
  await db.schema
    .createTable("profiles")
    .addColumn("name", "text", (c) => c.primaryKey().notNull())
    .addColumn("revision", "integer", (c) => c.notNull())
    .addColumn("image", "text", (c) => c.references("images.name"))
    .addColumn("fields_json", "text", (c) => c.notNull())
    .addColumn("created_at", "text", (c) => c.notNull())
    .addColumn("updated_at", "text", (c) => c.notNull())
    .execute();
  await db.schema.createIndex("profiles_by_image").on("profiles").column("image").execute();
  await db.schema
    .alterTable("nodes")
    .addColumn("fields_json", "text", (c) => c.notNull().defaultTo("{}"))
    .execute();
  for (const { name, fields } of await readFlatNodes(db)) {
    await db
      .updateTable("nodes")
      .set({ fields_json: JSON.stringify(fields) })
      .where("name", "=", name)
      .execute();
  }
  await db.schema.dropTable("devices").execute();
  for (const column of FLAT_COLUMNS) await db.schema.alterTable("nodes").dropColumn(column).execute();
  await db.schema.alterTable("changes").addColumn("address", "text").execute();
  await db.schema.alterTable("changes").addColumn("renamed_to", "text").execute();
  await db.schema.alterTable("changes").addColumn("revision", "integer").execute();
  await db.schema.createIndex("changes_by_set").on("changes").column("change_set").execute();
  await db.schema
    .createIndex("changes_by_new_name")
    .on("changes")
    .columns(["kind", "renamed_to", "id"])
    .execute();
}

/** Machines that were replaced and must not come back by themselves. */
async function addRefusedMachines(db: Kysely<InventoryTables>): Promise<void> {
  await db.schema
    .createTable("refused_machines")
    .addColumn("mac", "text", (c) => c.primaryKey().notNull())
    .addColumn("macs_json", "text", (c) => c.notNull())
    .addColumn("smbios_uuid", "text")
    .addColumn("serial", "text")
    .addColumn("node", "text", (c) => c.notNull())
    .addColumn("user", "text", (c) => c.notNull())
    .addColumn("reason", "text")
    .addColumn("at", "text", (c) => c.notNull())
    .execute();
}

/** One row of the history as it was before schema version 7. */
interface OldChange extends StoredEffect {
  readonly change_set: number;
  readonly at: string;
  readonly author: string;
  readonly address: string | null;
  readonly reason: string | null;
}

/**
 * Changes get numbers of their own, that follow one another: until then a change had the id of its first row, and one of
 * 10,000 nodes was followed by number 10,002. Those there are keep theirs.
 */
async function addChangeSets(db: Kysely<InventoryTables>): Promise<void> {
  await db.schema
    .createTable("change_sets")
    .addColumn("id", "integer", (c) => c.primaryKey().autoIncrement())
    .addColumn("at", "text", (c) => c.notNull())
    .addColumn("author", "text", (c) => c.notNull())
    .addColumn("address", "text")
    .addColumn("reason", "text")
    .addColumn("summary_json", "text", (c) => c.notNull())
    .addColumn("only_machines", "integer", (c) => c.notNull())
    .execute();
  await db.schema.createIndex("change_sets_by_time").on("change_sets").column("at").execute();
  for (let after = 0; ; ) {
    const { rows } = await sql<OldChange>`
      select * from changes
      where change_set = (select min(change_set) from changes where change_set > ${after})
      order by id`.execute(db);
    const [first] = rows;
    if (first === undefined) break;
    const { change_set: id, at, author, address, reason } = first;
    const effects = rows.flatMap(effectsOfStored);
    const summary = openEffectSummary();
    effects.forEach(summary.add);
    await db
      .insertInto("change_sets")
      .values({
        ...{ id, at, author, address, reason, summary_json: JSON.stringify(summary.groups()) },
        only_machines: effects.every(({ kind }) => kind === "machine") ? 1 : 0,
      })
      .execute();
    after = id;
  }
  for (const column of ["at", "author", "address", "reason"]) {
    await db.schema.alterTable("changes").dropColumn(column).execute();
  }
}
