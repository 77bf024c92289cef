import { type Kysely, sql, type Transaction } from "kysely";

import { commitTogether } from "./commit-together.ts";
import { databaseError } from "./database-error.ts";
import type { ChangeDetails, CommittedChange } from "./changes.ts";
import type { DeniedBoot, Inventory, Node } from "./inventory.ts";
import { openRecords, type StagedChange, type StagedWork } from "./open-records.ts";
import { openDatabase } from "./open-database.ts";
import type { InventoryTables } from "./schema.ts";
import { clearAlerts, listAlerts, putAlert } from "./store-alerts.ts";
import { addApiToken, deleteApiToken, listApiTokens, useApiToken } from "./store-api-tokens.ts";
import { findDeniedBoot, listDeniedBoots, revokeIdentities } from "./store-denied-boots.ts";
import {
  consumeToken,
  findIdentity,
  findToken,
  listPending,
  recordIdentity,
  recordPending,
  requireNode,
  storeToken,
  takePending,
} from "./store-enrolment.ts";
import {
  findHardwareDigest,
  loadHardware,
  packHardware,
  recordHardware,
  unpackHardware,
} from "./store-hardware.ts";
import { planExchange, planReplacement } from "./store-machines.ts";
import { listRefusedMachines, readmitMachines, unknownRefused } from "./store-refused-machines.ts";
import type { InventoryFacts } from "./inventory-view.ts";
import { recordChanges } from "./record-changes.ts";
import { addImageVersion, deleteImage, listReferencedBlobs, loadImages, setChannel } from "./store-images.ts";
import { listChanges, findChange, loadStateAt } from "./store-changes.ts";
import { addNodes, approveNode, deleteNodes, updateNodes } from "./store-nodes.ts";
import { unknownNodes } from "./unknown-nodes.ts";

type Tx = Transaction<InventoryTables>;

/**
 * Opens the inventory at `path`, creating it (mode 0600) or bringing its schema up to date.
 *
 * `listNodes` gives the same array until a node changes: whoever derives something large from it can keep
 * that by identity. Throws `database-newer`, `database-unusable` and `disk-full`.
 */
export async function openInventory(options: {
  readonly path: string;
  readonly now: () => Date;
}): Promise<Inventory> {
  const { path, now } = options;
  const database = await openDatabase(path);
  const inBatch = commitTogether(database.db, batchEnded);
  const records = openRecords({ dataVersion: database.dataVersion, inSnapshot, now });
  const listeners = new Set<() => void>();
  const commitListeners = new Set<(change: ChangeDetails) => void>();
  const denialListeners = new Set<(boots: readonly DeniedBoot[]) => void>();
  const secretsInTheMaking = new Map<string, Promise<Uint8Array>>();
  async function inTransaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    try {
      return await inBatch(work);
    } catch (error) {
      throw databaseError(error, path);
    }
  }

  /** One consistent view without the write lock: reading goes on while another process holds that (a backup, a person with sqlite3). */
  async function inSnapshot<T>(work: (reader: Kysely<InventoryTables>) => Promise<T>): Promise<T> {
    try {
      return await database.db.connection().execute(async (reader) => {
        await sql`begin deferred`.execute(reader);
        try {
          return await work(reader);
        } finally {
          await sql`commit`.execute(reader);
        }
      });
    } catch (error) {
      throw databaseError(error, path);
    }
  }

  /** Work that stages changes of records. Whoever asked is told when they are on the disk. */
  async function changingRecords<T extends Partial<Pick<StagedChange, "denied">>>(
    work: (tx: Tx) => Promise<T>,
  ): Promise<T> {
    const result = await inTransaction((tx) => records.attempt(() => work(tx)));
    tellAll(denialListeners, result.denied ?? []);
    return result;
  }

  /** Told once for all that a transaction held: of 64 nodes that boot for the first time, everything is derived anew once. */
  function batchEnded(isCommitted: boolean): void {
    const { nodesChanged, changes } = records.ended(isCommitted);
    if (nodesChanged)
      for (const listener of listeners)
        safely(() => {
          listener();
        });
    for (const change of changes)
      for (const listener of commitListeners)
        safely(() => {
          listener(change);
        });
  }

  async function currentNodes(names: readonly string[]): Promise<readonly Node[]> {
    const view = await records.committed();
    return names.flatMap((name) => view.findNode(name)?.node ?? []);
  }

  async function changeMachines(
    decide: (facts: InventoryFacts, reader: Kysely<InventoryTables>) => Promise<StagedWork>,
    dryRun: boolean | undefined,
  ): Promise<CommittedChange> {
    if (dryRun === true) {
      const view = await records.committed();
      const planned = await inSnapshot(async (reader) =>
        records.plan(reader, view, await decide(view, reader)),
      );
      return { id: undefined, records: planned.records };
    }
    const { id, records: after } = await changingRecords(async (tx) =>
      records.stage(tx, await decide(await records.factsIn(tx), tx)),
    );
    return { id, records: after };
  }

  async function nodesOf({ records: changed }: CommittedChange): Promise<readonly Node[]> {
    return currentNodes(changed.map(({ name }) => name));
  }

  return {
    commit: async (changes, author, commitOptions = {}) => {
      const work = { changes, author, options: commitOptions };
      if (commitOptions.dryRun === true) {
        const view = await records.committed();
        const planned = await inSnapshot((reader) => records.plan(reader, view, work));
        return { id: undefined, records: planned.records };
      }
      const { id, records: after } = await changingRecords((tx) => records.stage(tx, work));
      return { id, records: after };
    },
    listRecords: async () => (await records.committed()).listRecords(),
    stateAt: async (at) => {
      const view = await records.committed();
      return inSnapshot((reader) => loadStateAt(reader, at, view.listRecords()));
    },
    listChanges: async (query) => inSnapshot((reader) => listChanges(reader, query)),
    findChange: async (id) => inSnapshot((reader) => findChange(reader, id)),
    onCommitted: (listener) => {
      commitListeners.add(listener);
      return () => {
        commitListeners.delete(listener);
      };
    },

    listNodes: async () => (await records.committed()).listNodes(),
    findNode: async (name) => (await records.committed()).findNode(name)?.node,
    findNodeByMac: async (mac) => (await records.committed()).findByMac(mac),
    addNodes: async (nodes, author) =>
      nodesOf(await changingRecords((tx) => addNodes(tx, records, nodes, author))),
    updateNodes: async (updates, author) =>
      nodesOf(await changingRecords((tx) => updateNodes(tx, records, updates, author))),
    recordMachine: async (name, machine) => {
      await changingRecords(async (tx) => {
        await records.stageMachine(tx, name, machine);
        return {};
      });
    },
    deleteNodes: async (names, author) => {
      await changingRecords((tx) => deleteNodes(tx, records, names, author));
    },

    listImages: async () => inSnapshot((tx) => loadImages(tx)),
    findImage: async (name) => (await inSnapshot((tx) => loadImages(tx, name)))[0],
    addImageVersion: async (version, author) =>
      inTransaction((tx) => addImageVersion(tx, version, author, now())),
    setChannel: async (image, channel, version, author) =>
      inTransaction((tx) => setChannel(tx, image, channel, version, author, now())),
    deleteImage: async (image, version, author) =>
      inTransaction((tx) => deleteImage(tx, image, version, author, now())),
    listReferencedBlobs: async () => inSnapshot(listReferencedBlobs),

    recordPending: async (machine, at) => inTransaction((tx) => recordPending(tx, machine, at)),
    listPending: async () => inSnapshot(listPending),
    approvePending: async (claimCode, node, author) => {
      await changingRecords(async (tx) =>
        approveNode(tx, records, await takePending(tx, claimCode), node, author),
      );
      const [approved] = await currentNodes([node.name]);
      if (approved === undefined) throw unknownNodes([node.name]);
      return approved;
    },
    deletePending: async (claimCode) => {
      await inTransaction((tx) => takePending(tx, claimCode));
    },

    storeToken: async (token) => inTransaction((tx) => storeToken(tx, token)),
    findToken: async (hash) => inSnapshot((tx) => findToken(tx, hash)),
    consumeToken: async (hash, keyHash, at) => inTransaction((tx) => consumeToken(tx, hash, keyHash, at)),
    pruneTokens: async (at) => {
      await inTransaction(async (tx) => {
        await tx.deleteFrom("tokens").where("expires_at", "<=", at.toISOString()).execute();
        await tx.deleteFrom("denied_boots").where("until", "<=", at.toISOString()).execute();
      });
    },
    recordIdentity: async (identity) => {
      tellAll(denialListeners, await inTransaction((tx) => recordIdentity(tx, identity)));
    },
    findIdentity: async (node) => inSnapshot((tx) => findIdentity(tx, node)),

    revokeIdentities: async (names, author) => {
      const denied = await inTransaction((tx) => revokeIdentities(tx, names, author, now()));
      tellAll(denialListeners, denied);
      return denied;
    },
    listDeniedBoots: async () => inSnapshot((tx) => listDeniedBoots(tx, now())),
    findDeniedBoot: async (node, bootId) => inSnapshot((tx) => findDeniedBoot(tx, node, bootId, now())),
    onBootsDenied: (listener) => {
      denialListeners.add(listener);
      return () => {
        denialListeners.delete(listener);
      };
    },

    replaceMachine: async (node, by, author, { dryRun } = {}) => {
      const work = async (facts: InventoryFacts, reader: Kysely<InventoryTables>) =>
        planReplacement(facts, await listPending(reader), { node, ...by }, author);
      return changeMachines(work, dryRun);
    },
    swapMachines: async (nodes, author, { dryRun } = {}) =>
      changeMachines(async (facts) => planExchange(facts, nodes, author), dryRun),
    listRefusedMachines: async () => inSnapshot(listRefusedMachines),
    readmitMachine: async (mac, author) => {
      await inTransaction(async (tx) => {
        const effects = await readmitMachines(tx, [mac]);
        if (effects.length === 0) throw unknownRefused(mac);
        await recordChanges(tx, effects, author, now());
      });
    },

    putAlert: async (alert) => inTransaction((tx) => putAlert(tx, alert)),
    listAlerts: async () => inSnapshot(listAlerts),
    clearAlerts: async (names, author) => inTransaction((tx) => clearAlerts(tx, names, author, now())),

    findOrCreateSecret: async (node, name, create) => {
      const stored = (value?: Uint8Array) =>
        inTransaction(async (tx) => {
          await requireNode(tx, node);
          if (value !== undefined) {
            // Should another process have been faster, its secret is the one.
            await tx
              .insertInto("secrets")
              .values({ node, name, value })
              .onConflict((conflict) => conflict.doNothing())
              .execute();
          }
          return tx
            .selectFrom("secrets")
            .select("value")
            .where("node", "=", node)
            .where("name", "=", name)
            .executeTakeFirst();
        });
      const known = await stored();
      if (known !== undefined) return known.value;
      const key = `${node}/${name}`;
      const making =
        secretsInTheMaking.get(key) ??
        (async () => {
          const kept = await stored(await create());
          if (kept === undefined) throw new Error("a secret just stored is there");
          return kept.value;
        })().finally(() => secretsInTheMaking.delete(key));
      secretsInTheMaking.set(key, making);
      return making;
    },

    recordHardware: async (reports) => {
      const packed = await Promise.all(reports.map(packHardware));
      const before = await inTransaction((tx) => recordHardware(tx, packed));
      return Promise.all(
        before.map(async (content) => (content === undefined ? undefined : unpackHardware(content))),
      );
    },
    findHardwareDigest: async (node, bootId) => inSnapshot((tx) => findHardwareDigest(tx, node, bootId)),
    listHardware: async (nodes, boots) => {
      const found = await inSnapshot((tx) => loadHardware(tx, nodes, boots));
      return Promise.all(
        found.map(async ({ content, ...rest }) => ({ ...rest, report: await unpackHardware(content) })),
      );
    },

    addApiToken: async (name, hash) => inTransaction((tx) => addApiToken(tx, name, hash, now())),
    useApiToken: async (hash, at) => inTransaction((tx) => useApiToken(tx, hash, at)),
    listApiTokens: async () => inSnapshot(listApiTokens),
    deleteApiToken: async (name) => inTransaction((tx) => deleteApiToken(tx, name)),

    onNodesChanged: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    [Symbol.asyncDispose]: async () => {
      listeners.clear();
      denialListeners.clear();
      commitListeners.clear();
      await database.close();
    },
  };
}

function tellAll<T>(listeners: Iterable<(items: readonly T[]) => void>, items: readonly T[]): void {
  if (items.length === 0) return;
  for (const listener of listeners)
    safely(() => {
      listener(items);
    });
}

/** What is on the disk is done; whoever did it must not be told that it failed. */
function safely(tell: () => void): void {
  try {
    tell();
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : String(error));
  }
}
