import type { Kysely, Transaction } from "kysely";

import type { MacAddress } from "#proto/contract/mac-address.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import type { RefusedMachine } from "./inventory.ts";
import type { Change } from "./record-changes.ts";
import type { InventoryTables, RefusedMachinesTable } from "./schema.ts";

type Tx = Transaction<InventoryTables>;

/** In order of their time. */
export async function listRefusedMachines(tx: Kysely<InventoryTables>): Promise<readonly RefusedMachine[]> {
  const rows = await tx.selectFrom("refused_machines").selectAll().orderBy("at").orderBy("mac").execute();
  return rows.map(refusedOfRow);
}

/** What was known of the same machine before is written over. */
export async function refuseMachine(tx: Tx, machine: RefusedMachine): Promise<Change> {
  const { mac, ...columns } = refusedRow(machine);
  await tx
    .insertInto("refused_machines")
    .values({ mac, ...columns })
    .onConflict((conflict) => conflict.column("mac").doUpdateSet(columns))
    .execute();
  return { kind: "refused-machine", name: mac, before: undefined, after: contentOf(machine) };
}

/** Forgets what is refused under any of the MACs. Returns what that changed: nothing, when none was refused. */
export async function readmitMachines(tx: Tx, macs: readonly MacAddress[]): Promise<readonly Change[]> {
  const found = (await listRefusedMachines(tx)).filter((machine) =>
    machine.macs.some((mac) => macs.includes(mac)),
  );
  for (const { mac } of found) await tx.deleteFrom("refused_machines").where("mac", "=", mac).execute();
  return found.map((machine) => ({
    kind: "refused-machine",
    name: machine.mac,
    before: contentOf(machine),
    after: undefined,
  }));
}

/** `not-found` for a MAC under which nothing is refused. */
export function unknownRefused(mac: string): MusterError {
  return new MusterError({
    code: "not-found",
    what: `no machine is refused under ${mac}`,
    fix: "`muster node refused list` shows those that are",
  });
}

/** What the history keeps of it; who and when stand beside it there. */
function contentOf({ macs, smbiosUuid, serial, node }: RefusedMachine): object {
  return {
    node,
    macs,
    ...(smbiosUuid === undefined ? {} : { smbiosUuid }),
    ...(serial === undefined ? {} : { serial }),
  };
}

function refusedRow(machine: RefusedMachine): RefusedMachinesTable {
  return {
    mac: machine.mac,
    macs_json: JSON.stringify(machine.macs),
    smbios_uuid: machine.smbiosUuid ?? null,
    serial: machine.serial ?? null,
    node: machine.node,
    user: machine.user,
    reason: machine.reason ?? null,
    at: machine.at.toISOString(),
  };
}

function refusedOfRow(row: RefusedMachinesTable): RefusedMachine {
  return {
    mac: row.mac as MacAddress,
    macs: JSON.parse(row.macs_json) as readonly MacAddress[],
    ...(row.smbios_uuid === null ? {} : { smbiosUuid: row.smbios_uuid }),
    ...(row.serial === null ? {} : { serial: row.serial }),
    node: row.node as NodeName,
    user: row.user,
    ...(row.reason === null ? {} : { reason: row.reason }),
    at: new Date(row.at),
  };
}
