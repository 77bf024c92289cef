import type { Kysely, Transaction } from "kysely";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { compareNodeNames, foldNodeSet } from "#proto/contract/node-set.ts";
import type { Author, DeniedBoot, Inventory, MachineId, Node } from "./inventory.ts";
import { deviceRows, nodeContent, nodeOfRow, nodeRow } from "./node-rows.ts";
import { chunksOf, ROWS_PER_STATEMENT, recordChanges } from "./record-changes.ts";
import type { DevicesTable, InventoryTables } from "./schema.ts";
import { denyCurrentBoots } from "./store-denied-boots.ts";
import { claimError, findClaimConflict, validateDevices } from "./validate-devices.ts";

type Tx = Transaction<InventoryTables>;
type Reader = Kysely<InventoryTables>;

/** All nodes, in natural order of their names. */
export async function loadNodes(tx: Reader): Promise<readonly Node[]> {
  const rows = await tx.selectFrom("nodes").selectAll().execute();
  const devices = await tx.selectFrom("devices").selectAll().orderBy("node").orderBy("position").execute();
  const devicesOf = groupByNode(devices);
  return rows
    .map((row) => nodeOfRow(row, devicesOf.get(row.name) ?? []))
    .sort((a, b) => compareNodeNames(a.name, b.name));
}

/** Those of the nodes that exist, by name. */
export async function loadNodesNamed(tx: Tx, names: readonly NodeName[]): Promise<ReadonlyMap<string, Node>> {
  const found = new Map<string, Node>();
  for (const part of chunksOf(names, ROWS_PER_STATEMENT)) {
    const rows = await tx.selectFrom("nodes").selectAll().where("name", "in", part).execute();
    const devices = await tx
      .selectFrom("devices")
      .selectAll()
      .where("node", "in", part)
      .orderBy("position")
      .execute();
    const devicesOf = groupByNode(devices);
    for (const row of rows) found.set(row.name, nodeOfRow(row, devicesOf.get(row.name) ?? []));
  }
  return found;
}

export async function addNodes(
  tx: Tx,
  nodes: Parameters<Inventory["addNodes"]>[0],
  author: Author,
  now: Date,
): Promise<readonly Node[]> {
  refuseRepeated(nodes.map((node) => node.name));
  const existing = await loadNodesNamed(
    tx,
    nodes.map((node) => node.name),
  );
  if (existing.size > 0) {
    const names = foldNodeSet(existing.keys());
    throw new MusterError({
      code: "node-exists",
      what: `in the inventory already: ${names}`,
      fix: `look at what is there with \`muster node show ${names}\`; \`muster node set\` changes it`,
    });
  }
  const added = nodes.map(
    ({ name, fields, machine }): Node => ({
      ...fields,
      name,
      revision: 1,
      machine: machine ?? {},
      createdAt: now,
      updatedAt: now,
    }),
  );
  await refuseBadFields(tx, added);
  for (const part of chunksOf(added, ROWS_PER_STATEMENT)) {
    await tx.insertInto("nodes").values(part.map(nodeRow)).execute();
  }
  await insertDevices(tx, added);
  await recordChanges(
    tx,
    added.map((node) => ({ kind: "node", name: node.name, before: undefined, after: nodeContent(node) })),
    author,
    now,
  );
  return added;
}

/** An update that changes nothing is no change: revision and history stay. */
export async function updateNodes(
  tx: Tx,
  updates: Parameters<Inventory["updateNodes"]>[0],
  author: Author,
  now: Date,
): Promise<readonly Node[]> {
  const names = updates.map((update) => update.name);
  refuseRepeated(names);
  const existing = await loadNodesNamed(tx, names);
  refuseUnknown(names, existing);
  const results = updates.map((update): { readonly before: Node; readonly after: Node } => {
    const before = existing.get(update.name);
    if (before === undefined) throw new Error("refuseUnknown has looked");
    if (before.revision !== update.revision) {
      throw new MusterError({
        code: "revision-stale",
        what: `${update.name} was changed meanwhile: it has revision ${before.revision}, the change was made for revision ${update.revision}`,
        fix: `look at it again (\`muster node show ${update.name}\`) and repeat the change`,
      });
    }
    const { name, createdAt, machine } = before;
    return {
      before,
      after: {
        ...update.fields,
        name,
        machine,
        createdAt,
        updatedAt: now,
        revision: before.revision + 1,
      },
    };
  });
  const changed = new Set(results.filter(({ before, after }) => contentText(before) !== contentText(after)));
  await replaceNodes(tx, [...changed], author, now);
  return results.map((result) => (changed.has(result) ? result.after : result.before));
}

/** Writes nodes that exist over with what they became, and keeps the change. */
export async function replaceNodes(
  tx: Tx,
  nodes: readonly { readonly before: Node; readonly after: Node }[],
  author: Author,
  now: Date,
): Promise<void> {
  const after = nodes.map((node) => node.after);
  await refuseBadFields(tx, after);
  // All devices go before any comes: two nodes can swap a MAC in one step.
  for (const part of chunksOf(after, ROWS_PER_STATEMENT)) {
    await tx
      .deleteFrom("devices")
      .where(
        "node",
        "in",
        part.map((node) => node.name),
      )
      .execute();
  }
  for (const node of after) {
    const { name, ...columns } = nodeRow(node);
    await tx.updateTable("nodes").set(columns).where("name", "=", name).execute();
  }
  await insertDevices(tx, after);
  await recordChanges(
    tx,
    nodes.map((node) => ({
      kind: "node",
      name: node.after.name,
      before: nodeContent(node.before),
      after: nodeContent(node.after),
    })),
    author,
    now,
  );
}

/** Keeps what the machine said. No revision is spent on it: an operator's edit in progress stays valid. */
export async function recordMachine(tx: Tx, name: NodeName, machine: MachineId, now: Date): Promise<boolean> {
  const before = (await loadNodesNamed(tx, [name])).get(name);
  if (before === undefined) throw unknownNodes([name]);
  const after: Node = { ...before, machine };
  if (contentText(before) === contentText(after)) return false;
  await tx
    .updateTable("nodes")
    .set({ smbios_uuid: machine.smbiosUuid ?? null, serial: machine.serial ?? null })
    .where("name", "=", name)
    .execute();
  await recordChanges(
    tx,
    [{ kind: "node", name, before: nodeContent(before), after: nodeContent(after) }],
    { user: "enrolment" },
    now,
  );
  return true;
}

/** Identities, secrets, tokens and devices go with the node: the schema says so. */
export async function deleteNodes(
  tx: Tx,
  names: readonly NodeName[],
  author: Author,
  now: Date,
): Promise<readonly DeniedBoot[]> {
  const existing = await loadNodesNamed(tx, names);
  refuseUnknown(names, existing);
  const denied = await denyCurrentBoots(tx, names, (node) => `node ${node} was deleted`, now);
  for (const part of chunksOf([...existing.keys()], ROWS_PER_STATEMENT)) {
    await tx.deleteFrom("nodes").where("name", "in", part).execute();
  }
  await recordChanges(
    tx,
    [...existing.values()].map((node) => ({
      kind: "node",
      name: node.name,
      before: nodeContent(node),
      after: undefined,
    })),
    author,
    now,
  );
  return denied;
}

/** `node-unknown` for these names. */
export function unknownNodes(names: readonly string[]): MusterError {
  return new MusterError({
    code: "node-unknown",
    what: `not in the inventory: ${foldNodeSet(names)}`,
    fix: "`muster node list` shows the nodes there are",
  });
}

function refuseUnknown(names: readonly NodeName[], existing: ReadonlyMap<string, Node>): void {
  const unknown = names.filter((name) => !existing.has(name));
  if (unknown.length > 0) throw unknownNodes(unknown);
}

function refuseRepeated(names: readonly NodeName[]): void {
  const seen = new Set<string>();
  const repeated = names.filter((name) => seen.size === seen.add(name).size);
  if (repeated.length === 0) return;
  throw new MusterError({
    code: "argument-invalid",
    what: `named more than once in one change: ${foldNodeSet(repeated)}`,
    fix: "name each node once",
  });
}

async function refuseBadFields(tx: Tx, nodes: readonly Node[]): Promise<void> {
  const findings = nodes.flatMap((node) => validateDevices(node.name, node.devices));
  if (findings.length > 0) {
    throw new MusterError({
      code: "argument-invalid",
      what: findings.join("; "),
      fix: "correct the devices; nothing was changed",
    });
  }
  const wanted = new Set(nodes.flatMap((node) => (node.image === undefined ? [] : [node.image])));
  if (wanted.size === 0) return;
  const images = (await tx.selectFrom("images").select("name").orderBy("name").execute()).map((i) => i.name);
  for (const image of wanted) {
    if (!images.includes(image)) throw unknownImage(image, images);
  }
}

/** `image-unknown`, with the images there are. */
export function unknownImage(image: string, images: readonly string[]): MusterError {
  return new MusterError({
    code: "image-unknown",
    what: `there is no image ${JSON.stringify(image)}`,
    fix:
      images.length === 0
        ? "import one first: `muster image import DIR --name NAME`"
        : `there are: ${images.join(", ")}; \`muster image import\` adds another`,
  });
}

async function insertDevices(tx: Tx, nodes: readonly Node[]): Promise<void> {
  const claims = nodes.flatMap((node) => node.devices.map((device) => ({ owner: node.name, device })));
  const conflict = findClaimConflict(claims);
  if (conflict !== undefined) throw conflict;
  for (const field of ["mac", "address"] as const) {
    const wanted = new Map(claims.flatMap((claim) => entryOf(claim.device[field], claim)));
    for (const part of chunksOf([...wanted.keys()], ROWS_PER_STATEMENT)) {
      const taken = await tx
        .selectFrom("devices")
        .select(["node", "name", field])
        .where(field, "in", part)
        .orderBy("node")
        .executeTakeFirst();
      const value = taken?.[field];
      const claim = wanted.get(value ?? "");
      if (taken === undefined || value == null || claim === undefined) continue;
      throw claimError(field, value, { owner: taken.node, device: { name: taken.name } }, claim);
    }
  }
  for (const part of chunksOf(nodes.flatMap(deviceRows), ROWS_PER_STATEMENT)) {
    await tx.insertInto("devices").values(part).execute();
  }
}

function entryOf<T>(key: string | undefined, value: T): readonly (readonly [string, T])[] {
  return key === undefined ? [] : [[key, value]];
}

function contentText(node: Node): string {
  return JSON.stringify(nodeContent(node));
}

function groupByNode(devices: readonly DevicesTable[]): ReadonlyMap<string, readonly DevicesTable[]> {
  const groups = new Map<string, DevicesTable[]>();
  for (const device of devices) {
    const group = groups.get(device.node);
    if (group === undefined) groups.set(device.node, [device]);
    else group.push(device);
  }
  return groups;
}
