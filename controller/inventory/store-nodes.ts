import type { Transaction } from "kysely";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { foldNodeSet } from "#proto/contract/node-set.ts";
import { canonicalFields } from "../fields/canonical-fields.ts";
import { fieldsOfFlat } from "../fields/effective-node.ts";
import { DEFAULT_PROFILE, type Fields } from "../fields/fields.ts";
import { mergeFields } from "../fields/merge-fields.ts";
import { ChangeRefused } from "./change-refused.ts";
import type { InventoryRecord, RecordChange } from "./changes.ts";
import type { Author, Inventory, MachineId, NodeFields, PendingMachine } from "./inventory.ts";
import type { InventoryFacts } from "./inventory-view.ts";
import type { Records, StagedChange } from "./open-records.ts";
import { planApprovedFields } from "./plan-approved-fields.ts";
import { profileFields } from "./plan-delta.ts";
import type { InventoryTables } from "./schema.ts";
import { unknownNodes } from "./unknown-nodes.ts";

type Tx = Transaction<InventoryTables>;

export async function addNodes(
  tx: Tx,
  records: Records,
  nodes: Parameters<Inventory["addNodes"]>[0],
  author: Author,
): Promise<StagedChange> {
  const facts = await records.factsIn(tx);
  const existing = new Set(
    nodes.map(({ name }) => name).filter((name) => facts.findNode(name) !== undefined),
  );
  if (existing.size > 0) {
    const names = foldNodeSet(existing);
    throw new MusterError({
      code: "node-exists",
      what: `in the inventory already: ${names}`,
      fix: `look at what is there with \`muster node show ${names}\`; \`muster node set\` changes it`,
    });
  }
  return records.stage(tx, {
    author,
    machines: new Map(nodes.flatMap(({ name, machine }) => (machine === undefined ? [] : [[name, machine]]))),
    changes: nodes.map(({ name, fields }) => ({
      ...{ kind: "node", name, revision: 0 },
      fields: withDefaultProfile(facts, name, fields),
    })),
  });
}

/** What the flat form cannot say of a node stays as it is. */
export async function updateNodes(
  tx: Tx,
  records: Records,
  updates: Parameters<Inventory["updateNodes"]>[0],
  author: Author,
): Promise<StagedChange> {
  const facts = await records.factsIn(tx);
  recordsOf(facts, new Set(updates.map(({ name }) => name)));
  return records.stage(tx, {
    author,
    changes: updates.map(({ name, revision, fields }) => {
      const { profiles } = facts.findNode(name)?.record.fields ?? {};
      const own = writtenFields(name, fields);
      return {
        ...{ kind: "node", name, revision },
        fields: canonicalFields({ ...(profiles === undefined ? {} : { profiles }), ...own }),
      };
    }),
  });
}

export async function deleteNodes(
  tx: Tx,
  records: Records,
  names: readonly NodeName[],
  author: Author,
): Promise<StagedChange> {
  const found = recordsOf(await records.factsIn(tx), new Set(names));
  return records.stage(tx, {
    author,
    changes: found.map(({ kind, name, revision }) => ({ kind, name, revision, fields: undefined })),
  });
}

/** The pending machine becomes the node of that name, or its boot device one of the node that is there. */
export async function approveNode(
  tx: Tx,
  records: Records,
  pending: PendingMachine,
  node: { readonly name: NodeName; readonly fields: NodeFields },
  author: Author,
): Promise<StagedChange> {
  const machine: MachineId = {
    ...(pending.smbiosUuid === "" ? {} : { smbiosUuid: pending.smbiosUuid }),
    ...(pending.serial === "" ? {} : { serial: pending.serial }),
  };
  const facts = await records.factsIn(tx);
  const before = facts.findNode(node.name)?.record;
  if (before === undefined) return addNodes(tx, records, [{ ...node, machine }], author);
  const merged = mergeFields(before.fields, profileFields(facts));
  const change: RecordChange = {
    ...{ kind: "node", name: node.name, revision: before.revision },
    fields: planApprovedFields(before.fields, merged, writtenFields(node.name, node.fields), pending.bootMac),
  };
  const staged = await records.stage(tx, { author, changes: [change] });
  await records.stageMachine(tx, node.name, machine);
  return staged;
}

/** The fields of a flat node; of two devices of one name only one would be left. */
function writtenFields(name: string, flat: NodeFields): Fields {
  const names = flat.devices.map((device) => device.key ?? device.name);
  const repeated = names.filter((device, at) => names.indexOf(device) !== at);
  if (repeated.length === 0) return canonicalFields(fieldsOfFlat(flat));
  throw new ChangeRefused(
    "request-invalid",
    repeated.map((device) => ({ at: `${name}: devices.${device}`, what: "is given twice" })),
  );
}

function withDefaultProfile(facts: InventoryFacts, name: string, flat: NodeFields): Fields {
  const fields = writtenFields(name, flat);
  // An empty list says that it shall have none.
  if (flat.profiles !== undefined || facts.findProfile(DEFAULT_PROFILE) === undefined) return fields;
  return canonicalFields({ ...fields, profiles: [DEFAULT_PROFILE] });
}

function recordsOf(facts: InventoryFacts, names: ReadonlySet<string>): readonly InventoryRecord[] {
  const unknown = [...names].filter((name) => facts.findNode(name) === undefined);
  if (unknown.length > 0) throw unknownNodes(unknown);
  return [...names].flatMap((name) => facts.findNode(name)?.record ?? []);
}
