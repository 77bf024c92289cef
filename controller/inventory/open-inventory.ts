import { type Kysely, sql, type Transaction } from "kysely";

import type { MacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { commitTogether } from "./commit-together.ts";
import { databaseError } from "./database-error.ts";
import type { DeniedBoot, Inventory, MachineId, Node } from "./inventory.ts";
import { openDatabase } from "./open-database.ts";
import type { InventoryTables } from "./schema.ts";
import { clearAlerts, listAlerts, putAlert } from "./store-alerts.ts";
import { addApiToken, deleteApiToken, listApiTokens, useApiToken } from "./store-api-tokens.ts";
import { findDeniedBoot, listDeniedBoots, revokeIdentities } from "./store-denied-boots.ts";
import {
  approvePending,
  consumeToken,
  deletePending,
  findIdentity,
  findToken,
  listPending,
  recordIdentity,
  recordPending,
  requireNode,
  storeToken,
} from "./store-enrolment.ts";
import {
  findHardwareDigest,
  loadHardware,
  packHardware,
  recordHardware,
  unpackHardware,
} from "./store-hardware.ts";
import { addImageVersion, deleteImage, listReferencedBlobs, loadImages, setChannel } from "./store-images.ts";
import { addNodes, deleteNodes, loadNodes, recordMachine, updateNodes } from "./store-nodes.ts";

type Tx = Transaction<InventoryTables>;

/** All nodes as last read, with the two ways they are looked up. */
interface NodeView {
  readonly list: readonly Node[];
  readonly byName: ReadonlyMap<string, Node>;
  readonly byMac: ReadonlyMap<MacAddress, Node>;
  /** Change counter of the file when it was read. */
  readonly dataVersion: number;
}

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
  const inBatch = commitTogether(database.db);
  const listeners = new Set<() => void>();
  const denialListeners = new Set<(boots: readonly DeniedBoot[]) => void>();
  const secretsInTheMaking = new Map<string, Promise<Uint8Array>>();
  let view: NodeView | undefined;
  let changesSeen = 0;

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

  async function changingNodes<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const result = await inTransaction(work);
    nodesChanged();
    return result;
  }

  function bootsDenied(boots: readonly DeniedBoot[]): void {
    if (boots.length === 0) return;
    for (const listener of denialListeners) {
      try {
        listener(boots);
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  /** `renewed`: the view after the change, when making it is cheaper than reading it. */
  function nodesChanged(renewed?: NodeView): void {
    view = renewed;
    changesSeen += 1;
    for (const listener of listeners) {
      try {
        listener();
      } catch (error) {
        // The change is on disk; whoever made it must not be told that it failed.
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  async function currentNodes(): Promise<NodeView> {
    try {
      const dataVersion = database.dataVersion();
      if (view?.dataVersion === dataVersion) return view;
      const seenBefore = changesSeen;
      const list = await inSnapshot(loadNodes);
      const fresh = viewOf(list, dataVersion);
      if (seenBefore === changesSeen) view = fresh;
      return fresh;
    } catch (error) {
      throw databaseError(error, path);
    }
  }

  return {
    listNodes: async () => (await currentNodes()).list,
    findNode: async (name) => (await currentNodes()).byName.get(name),
    findNodeByMac: async (mac) => (await currentNodes()).byMac.get(mac),
    addNodes: async (nodes, author) => changingNodes((tx) => addNodes(tx, nodes, author, now())),
    updateNodes: async (updates, author) => changingNodes((tx) => updateNodes(tx, updates, author, now())),
    recordMachine: async (name, machine) => {
      if (!(await inTransaction((tx) => recordMachine(tx, name, machine, now())))) return;
      // Every node of a new cluster says this once at its first boot: reading all of them again for each
      // would cost 45 ms a boot at 10,000 nodes.
      nodesChanged(view === undefined ? undefined : withMachine(view, name, machine));
    },
    deleteNodes: async (names, author) => {
      bootsDenied(await changingNodes((tx) => deleteNodes(tx, names, author, now())));
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
    approvePending: async (claimCode, node, author) =>
      changingNodes((tx) => approvePending(tx, claimCode, node, author, now())),
    deletePending: async (claimCode) => inTransaction((tx) => deletePending(tx, claimCode)),

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
      bootsDenied(await inTransaction((tx) => recordIdentity(tx, identity)));
    },
    findIdentity: async (node) => inSnapshot((tx) => findIdentity(tx, node)),

    revokeIdentities: async (names, author) => {
      const denied = await inTransaction((tx) => revokeIdentities(tx, names, author, now()));
      bootsDenied(denied);
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
      await database.close();
    },
  };
}

/** The view after one node's machine became known. */
function withMachine(view: NodeView, name: NodeName, machine: MachineId): NodeView {
  const before = view.byName.get(name);
  if (before === undefined) return view;
  const after: Node = { ...before, machine };
  const list = view.list.map((node) => (node === before ? after : node));
  return viewOf(list, view.dataVersion);
}

function viewOf(list: readonly Node[], dataVersion: number): NodeView {
  return {
    list,
    byName: new Map(list.map((node) => [node.name, node])),
    byMac: new Map(
      list.flatMap((node) =>
        node.devices.flatMap((device): readonly (readonly [MacAddress, Node])[] =>
          device.mac === undefined ? [] : [[device.mac, node]],
        ),
      ),
    ),
    dataVersion,
  };
}
