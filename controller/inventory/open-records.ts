import type { Kysely, Transaction } from "kysely";

import type { NodeName } from "#proto/contract/node-name.ts";
import type { ChangeDetails, CommittedChange, RecordChange, RecordedEffect, RecordKind } from "./changes.ts";
import type { Author, CommitOptions, DeniedBoot, MachineId } from "./inventory.ts";
import {
  afterDelta,
  type InventoryDelta,
  type InventoryFacts,
  type InventoryView,
  joinDeltas,
} from "./inventory-view.ts";
import { type CommitPlan, planCommit } from "./plan-commit.ts";
import { type Change, recordChanges } from "./record-changes.ts";
import type { InventoryTables } from "./schema.ts";
import { greatestRevisions } from "./store-changes.ts";
import { loadView, writeRecords } from "./store-records.ts";
import { runInTurns, takeTurns } from "./take-turns.ts";
import { unknownNodes } from "./unknown-nodes.ts";

type Tx = Transaction<InventoryTables>;
type Reader = Kysely<InventoryTables>;

/** A change in a transaction that is not committed yet. */
export interface StagedChange extends CommittedChange {
  readonly denied: readonly DeniedBoot[];
}

/** One change of records, with what only muster itself may say. */
export interface StagedWork {
  readonly changes: readonly RecordChange[];
  readonly author: Author;
  readonly options?: CommitOptions;
  /** What is known of the machines behind some of the nodes. */
  readonly machines?: ReadonlyMap<string, MachineId>;
  /** What else is done in the same step, and stands in the same entry of the history; after the records are written. */
  readonly also?: (tx: Tx, at: Date) => Promise<AlsoDone>;
}

/** What was done besides records. */
export interface AlsoDone {
  readonly effects: readonly Change[];
  readonly denied: readonly DeniedBoot[];
  /** Other machines than before, behind nodes of the change. */
  readonly machines: ReadonlyMap<string, MachineId>;
}

/**
 * Nodes and profiles in memory, kept true to the database. Work in a transaction sees what was done in it before; all others
 * see what is committed.
 */
export interface Records {
  /** What is committed; read anew when another process has changed the file. */
  committed(): Promise<InventoryView>;
  /** What is there for work in this transaction. */
  factsIn(tx: Tx): Promise<InventoryFacts>;
  /** What a change would do; nothing is written. */
  plan(reader: Reader, facts: InventoryFacts, work: StagedWork): Promise<CommitPlan>;
  stage(tx: Tx, work: StagedWork): Promise<StagedChange>;
  stageMachine(tx: Tx, name: NodeName, machine: MachineId): Promise<void>;
  /** Work whose staged changes are dropped when it throws. */
  attempt<T>(work: () => Promise<T>): Promise<T>;
  /** To be called at the end of each transaction; says what it has changed. */
  ended(isCommitted: boolean): { readonly nodesChanged: boolean; readonly changes: readonly ChangeDetails[] };
}

export function openRecords(parts: {
  readonly dataVersion: () => number;
  readonly inSnapshot: <T>(work: (reader: Reader) => Promise<T>) => Promise<T>;
  readonly now: () => Date;
}): Records {
  const { dataVersion, inSnapshot, now } = parts;
  let view: InventoryView | undefined;
  let staged: { readonly delta: InventoryDelta; readonly changes: readonly ChangeDetails[] } | undefined;

  const load = async (reader: Reader): Promise<InventoryView> => {
    // Assigned before the reader is given back: no transaction can have come between.
    view = await loadView(reader, dataVersion, takeTurns());
    return view;
  };
  const factsIn = async (tx: Tx): Promise<InventoryFacts> => {
    const base = view?.dataVersion === dataVersion() ? view : await load(tx);
    return staged === undefined ? base : afterDelta(base, staged.delta);
  };
  const put = (delta: InventoryDelta, change?: ChangeDetails): void => {
    staged = {
      delta: staged === undefined ? delta : joinDeltas(staged.delta, delta),
      changes: [...(staged?.changes ?? []), ...(change === undefined ? [] : [change])],
    };
  };
  const plan: Records["plan"] = async (reader, facts, { changes, options, machines }) => {
    const images = await reader.selectFrom("images").select("name").orderBy("name").execute();
    const revisions = await greatestOfNew(reader, changes);
    return runInTurns(
      planCommit(facts, changes, {
        now: now(),
        images: new Set(images.map(({ name }) => name)),
        overlays: options?.overlays,
        machines: machines ?? new Map(),
        firstRevision: (kind, name) => (revisions[kind].get(name) ?? 0) + 1,
      }),
      takeTurns(),
    );
  };
  return {
    factsIn,
    plan,
    committed: async () =>
      view?.dataVersion === dataVersion() ? view : inSnapshot((reader) => load(reader)),
    stage: async (tx, work) => {
      const planned = await plan(tx, await factsIn(tx), work);
      const { author, machines } = work;
      if (planned.effects.length === 0) return { id: undefined, records: planned.records, denied: [] };
      const at = now();
      const denied = await writeRecords(tx, planned, at, takeTurns());
      const also = await work.also?.(tx, at);
      const others = await writeMachines(tx, planned.delta, also?.machines ?? new Map());
      const effects = [
        ...planned.effects,
        ...machineEffects(planned, machines),
        ...others.effects,
        ...(also?.effects ?? []),
      ];
      const recorded = await recordChanges(tx, effects, author, at);
      if (recorded === undefined) throw new Error("a change with effects has a number");
      put(others.delta, detailsOf(recorded, at, author, effects));
      return { id: recorded.id, records: planned.records, denied: [...denied, ...(also?.denied ?? [])] };
    },
    stageMachine: async (tx, name, machine) => {
      const entry = (await factsIn(tx)).findNode(name);
      if (entry === undefined) throw unknownNodes([name]);
      const { node } = entry;
      const { smbiosUuid, serial } = machine;
      if (node.machine.smbiosUuid === smbiosUuid && node.machine.serial === serial) return;
      await tx
        .updateTable("nodes")
        .set({ smbios_uuid: smbiosUuid ?? null, serial: serial ?? null })
        .where("name", "=", name)
        .execute();
      await recordChanges(
        tx,
        [{ kind: "machine", name, before: filled(node.machine), after: filled(machine) }],
        { user: "enrolment" },
        now(),
      );
      const after = { ...entry, node: { ...node, machine } };
      put({ nodes: new Map([[name, after]]), profiles: new Map(), claims: new Map() });
    },
    attempt: async (work) => {
      const before = staged;
      try {
        return await work();
      } catch (error) {
        staged = before;
        throw error;
      }
    },
    ended: (isCommitted) => {
      const done = isCommitted ? staged : undefined;
      staged = undefined;
      if (done === undefined) return { nodesChanged: false, changes: [] };
      view?.apply(done.delta);
      return { nodesChanged: done.delta.nodes.size > 0, changes: done.changes };
    },
  };
}

async function greatestOfNew(
  reader: Reader,
  changes: readonly RecordChange[],
): Promise<Readonly<Record<RecordKind, ReadonlyMap<string, number>>>> {
  const names = (kind: RecordKind): readonly string[] =>
    changes.flatMap((change) => {
      if (change.kind !== kind || change.fields === undefined) return [];
      return change.renameTo !== undefined ? [change.renameTo] : change.revision === 0 ? [change.name] : [];
    });
  return {
    node: await greatestRevisions(reader, "node", names("node")),
    profile: await greatestRevisions(reader, "profile", names("profile")),
  };
}

/** Other machines are behind nodes that the change wrote. */
async function writeMachines(
  tx: Tx,
  delta: InventoryDelta,
  machines: ReadonlyMap<string, MachineId>,
): Promise<{ readonly delta: InventoryDelta; readonly effects: readonly Change[] }> {
  const nodes = new Map(delta.nodes);
  const effects: Change[] = [];
  for (const [name, machine] of machines) {
    const entry = nodes.get(name);
    if (entry === undefined) throw new Error(`${name} is in the change`);
    await tx
      .updateTable("nodes")
      .set({ smbios_uuid: machine.smbiosUuid ?? null, serial: machine.serial ?? null })
      .where("name", "=", name)
      .execute();
    nodes.set(name, { ...entry, node: { ...entry.node, machine } });
    const [before, after] = [filled(entry.node.machine), filled(machine)];
    if (before !== undefined || after !== undefined) effects.push({ kind: "machine", name, before, after });
  }
  return { delta: { ...delta, nodes }, effects };
}

/** What is learned of machines in the same step. */
function machineEffects(
  { effects }: CommitPlan,
  machines: ReadonlyMap<string, MachineId> = new Map(),
): readonly (RecordedEffect & { readonly kind: "machine" })[] {
  return effects.flatMap(({ kind, name, before }) => {
    const machine = kind === "node" && before === undefined ? machines.get(name) : undefined;
    const after = machine === undefined ? undefined : filled(machine);
    return after === undefined ? [] : [{ kind: "machine" as const, name, before: undefined, after }];
  });
}

function detailsOf(
  recorded: Pick<ChangeDetails, "id" | "groups">,
  at: Date,
  { user, address, reason }: Author,
  effects: readonly RecordedEffect[],
): ChangeDetails {
  return {
    ...{ ...recorded, at, user },
    ...(address === undefined ? {} : { address }),
    ...(reason === undefined ? {} : { reason }),
    effects: effects.map(({ kind, name, before, after, renamedTo }) => ({
      ...{ kind, name, before, after },
      ...(renamedTo === undefined ? {} : { renamedTo }),
    })),
  };
}

function filled(machine: MachineId): MachineId | undefined {
  return machine.serial === undefined && machine.smbiosUuid === undefined ? undefined : machine;
}
