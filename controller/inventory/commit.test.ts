import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import type { Fields } from "../fields/fields.ts";
import type { ChangeDetails, InventoryRecord, RecordKind } from "./changes.ts";
import type { DeniedBoot, Inventory } from "./inventory.ts";
import { openInventory } from "./open-inventory.ts";

const ROOT = { user: "root" };
const START = Date.parse("2026-01-02T00:00:00Z");
const C1 = parseNodeName("c1");
const MAC1 = parseMacAddress("52:54:00:00:00:01");

let directory: string;
let path: string;
let inventory: Inventory;
/** Each change is made at the hour of this. */
let hour: number;

const at = (hours: number): Date => new Date(START + hours * 3_600_000);

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "muster-commit-"));
  path = join(directory, "inventory.db");
  hour = 0;
  inventory = await openInventory({ path, now: () => at(hour) });
});

afterEach(async () => {
  await inventory[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function reopen(): Promise<void> {
  await inventory[Symbol.asyncDispose]();
  inventory = await openInventory({ path, now: () => at(hour) });
}

async function add(kind: RecordKind, name: string, fields: Fields): Promise<void> {
  await inventory.commit([{ kind, name, revision: 0, fields }], ROOT);
}

async function record(kind: RecordKind, name: string): Promise<InventoryRecord> {
  const { nodes, profiles } = await inventory.listRecords();
  const found = [...nodes, ...profiles].find((one) => one.kind === kind && one.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

async function set(kind: RecordKind, name: string, fields: Fields | undefined): Promise<void> {
  await inventory.commit([{ ...(await record(kind, name)), fields }], ROOT);
}

async function rename(kind: RecordKind, name: string, renameTo: string): Promise<void> {
  await inventory.commit([{ ...(await record(kind, name)), renameTo }], ROOT);
}

describe("records", () => {
  it("are what was written, effective nodes what that means, also after a restart", async () => {
    await add("profile", "default", {
      devices: { eno1: { netmask: "255.255.0.0", mtu: 9000 } },
      tags: { a: "1" },
    });
    await add("node", "c10", { profiles: ["default"], devices: { eno1: { mac: MAC1 } } });
    await add("node", "c9", {});
    for (let opened = 0; opened < 2; opened += 1) {
      expect(await inventory.listRecords()).toEqual({
        nodes: [
          { kind: "node", name: "c9", revision: 1, fields: {} },
          {
            kind: "node",
            name: "c10",
            revision: 1,
            fields: { profiles: ["default"], devices: { eno1: { mac: MAC1 } } },
          },
        ],
        profiles: [
          {
            kind: "profile",
            name: "default",
            revision: 1,
            fields: { devices: { eno1: { netmask: "255.255.0.0", mtu: 9000 } }, tags: { a: "1" } },
          },
        ],
      });
      expect(await inventory.findNodeByMac(MAC1)).toEqual({
        ...{ name: "c10", revision: 1, machine: {}, createdAt: at(0), updatedAt: at(0) },
        ...{
          profiles: ["default"],
          kernelArguments: [],
          overlays: [],
          runtimeOverlays: [],
          tags: { a: "1" },
        },
        devices: [{ name: "eno1", type: "ethernet", mac: MAC1, netmask: "255.255.0.0", mtu: 9000 }],
      });
      await reopen();
    }
  });

  it("are the same object until one changes, and nodes the same array until one is another", async () => {
    await add("profile", "unused", {});
    await add("node", "c1", {});
    const [records, nodes] = [await inventory.listRecords(), await inventory.listNodes()];
    await inventory.commit([{ kind: "node", name: "c1", revision: 1, fields: {} }], ROOT);
    expect(await inventory.listRecords()).toBe(records);
    await set("profile", "unused", { comment: "x" });
    expect(await inventory.listRecords()).not.toBe(records);
    expect(await inventory.listNodes()).toBe(nodes);
  });

  it("that are written again as they are make no change", async () => {
    await add("node", "c1", { comment: "x" });
    const same = await inventory.commit(
      [{ kind: "node", name: "c1", revision: 1, fields: { comment: "x" } }],
      ROOT,
    );
    expect(same).toEqual({ id: undefined, records: [await record("node", "c1")] });
    expect(await inventory.listChanges({ limit: 9 })).toHaveLength(1);
  });

  it("are checked but not written by a dry run", async () => {
    const changes = [{ kind: "node" as const, name: "c1", revision: 0, fields: { comment: "x" } }];
    expect(await inventory.commit(changes, ROOT, { dryRun: true })).toEqual({
      id: undefined,
      records: [{ kind: "node", name: "c1", revision: 1, fields: { comment: "x" } }],
    });
    expect(await inventory.listRecords()).toEqual({ nodes: [], profiles: [] });
    await expect(
      inventory.commit(
        [{ ...changes[0], kind: "node", name: "c1", revision: 0, fields: { image: "x" } }],
        ROOT,
        {
          dryRun: true,
        },
      ),
    ).rejects.toMatchObject({ code: "image-unknown" });
  });

  it("of a name that was deleted get revisions that nobody has seen", async () => {
    await add("node", "c1", {});
    await set("node", "c1", { comment: "a" });
    await set("node", "c1", undefined);
    await add("node", "c1", { comment: "new" });
    expect((await record("node", "c1")).revision).toBe(3);
    await rename("node", "c1", "c2");
    await set("node", "c2", undefined);
    await add("node", "c2", {});
    expect((await record("node", "c2")).revision).toBe(5);
    await add("node", "c1", {});
    expect((await record("node", "c1")).revision).toBe(5);
  });

  it("that arrive in one turn see each other, and one that is refused harms none", async () => {
    const attempts = await Promise.allSettled([
      inventory.commit(
        [{ kind: "node", name: "c1", revision: 0, fields: { devices: { a: { mac: MAC1 } } } }],
        ROOT,
      ),
      inventory.commit(
        [{ kind: "node", name: "c2", revision: 0, fields: { devices: { a: { mac: MAC1 } } } }],
        ROOT,
      ),
      inventory.commit([{ kind: "node", name: "c1", revision: 1, fields: {} }], ROOT),
      inventory.commit(
        [{ kind: "node", name: "c3", revision: 0, fields: { devices: { a: { mac: MAC1 } } } }],
        ROOT,
      ),
    ]);
    expect(attempts.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
    expect((await inventory.findNodeByMac(MAC1))?.name).toBe("c3");
    expect((await inventory.listNodes()).map(({ name }) => name)).toEqual(["c1", "c3"]);
    const listed = [await inventory.listRecords(), await inventory.listNodes()];
    await reopen();
    expect([await inventory.listRecords(), await inventory.listNodes()]).toEqual(listed);
  });

  it("may be named with a profile that somebody took away by hand", async () => {
    await add("profile", "gpu", {});
    await add("node", "c1", { profiles: ["gpu"], comment: "x" });
    const { default: Sqlite } = await import("better-sqlite3");
    const other = new Sqlite(path);
    other.exec("delete from profiles");
    other.close();
    expect((await inventory.findNode("c1"))?.comment).toBe("x");
  });
});

describe("nodes that are added", () => {
  const flat = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };

  it("get profile default when there is one, unless they say which", async () => {
    await inventory.addNodes([{ name: C1, fields: flat }], ROOT);
    await add("profile", "default", { tags: { a: "1" } });
    await inventory.addNodes([{ name: parseNodeName("c2"), fields: flat }], ROOT);
    await inventory.addNodes([{ name: parseNodeName("c3"), fields: { ...flat, profiles: [] } }], ROOT);
    await add("node", "c4", {});
    const { nodes } = await inventory.listRecords();
    expect(nodes.map(({ name, fields }) => [name, fields.profiles])).toEqual([
      ["c1", undefined],
      ["c2", ["default"]],
      ["c3", undefined],
      ["c4", undefined],
    ]);
    expect((await inventory.findNode("c2"))?.tags).toEqual({ a: "1" });
  });

  it("keep an image from being deleted, as do profiles", async () => {
    const blob = { digest: `sha256:${"a".repeat(64)}` as never, sizeBytes: 1 };
    await inventory.addImageVersion(
      {
        ...{ image: "debian12", kernelRelease: "6.1", architecture: "x86_64", source: "x" },
        features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
        ...{ kernel: blob, modules: blob, layers: [] },
      },
      ROOT,
    );
    await add("profile", "default", { image: "debian12" });
    await add("node", "c1", { profiles: ["default"] });
    await expect(inventory.deleteImage("debian12", undefined, ROOT)).rejects.toMatchObject({
      code: "image-in-use",
      message: "image debian12 is the image of profile default",
      fix: "give them another one first: `muster profile set default --image NAME`",
    });
    await add("node", "c2", { image: "debian12" });
    await expect(inventory.deleteImage("debian12", undefined, ROOT)).rejects.toMatchObject({
      message: "image debian12 is the image of profile default, c2",
    });
  });
});

describe("a node that is renamed", () => {
  it("keeps secrets, hardware, alerts, machine and history; its boot is denied", async () => {
    const denied: DeniedBoot[] = [];
    inventory.onBootsDenied((boots) => void denied.push(...boots));
    await add("node", "c1", { devices: { eno1: { mac: MAC1 } } });
    await inventory.recordMachine(C1, { serial: "S1" });
    await inventory.findOrCreateSecret(C1, "ssh", async () => Buffer.from("key"));
    await inventory.putAlert({ node: C1, kind: "impostor", what: "two of them", at: at(0) });
    const times = { issuedAt: at(0), expiresAt: at(9) };
    await inventory.recordIdentity({
      node: C1,
      bootId: "b1",
      keyHash: "k",
      certificateSerial: "1",
      ...times,
    });
    const login = parseNodeName("login");

    await rename("node", "c1", "login");
    expect(denied).toEqual([{ node: "c1", bootId: "b1", until: at(24), why: "node c1 is called login now" }]);
    expect(await inventory.findIdentity(C1)).toBeUndefined();
    expect(await inventory.findIdentity(login)).toBeUndefined();
    expect((await inventory.findNodeByMac(MAC1))?.name).toBe("login");
    expect(await inventory.findNode("c1")).toBeUndefined();
    const secret = await inventory.findOrCreateSecret(login, "ssh", async () => Buffer.from("another"));
    expect(Buffer.from(secret).toString()).toBe("key");
    expect((await inventory.listAlerts()).map(({ node, what }) => [node, what])).toEqual([
      ["login", "two of them"],
    ]);
    await reopen();
    expect((await inventory.findNode("login"))?.machine).toEqual({ serial: "S1" });
    expect(
      (await inventory.listChanges({ kind: "node", name: "login", limit: 9 })).map(({ groups }) => groups),
    ).toEqual([
      [{ kind: "node", action: "renamed", fields: [], names: "c1", count: 1, renamedTo: "login" }],
      [{ kind: "machine", action: "added", fields: [], names: "c1", count: 1 }],
      [{ kind: "node", action: "added", fields: [], names: "c1", count: 1 }],
    ]);
  });

  it("and one of its old name have histories of their own", async () => {
    await add("node", "c1", { comment: "first" });
    await rename("node", "c1", "c2");
    await add("node", "c1", { comment: "second" });
    const idsOf = async (name: string): Promise<readonly number[]> =>
      (await inventory.listChanges({ kind: "node", name, limit: 9 })).map(({ id }) => id);
    expect([await idsOf("c2"), await idsOf("c1")]).toEqual([
      [2, 1],
      [3, 2, 1],
    ]);
    expect(await inventory.listChanges({ kind: "node", name: "c2", limit: 1, before: 2 })).toMatchObject([
      { id: 1 },
    ]);
  });
});

describe("history", () => {
  it("keeps who, from where, when, why and what, and tells whoever listens", async () => {
    const heard: ChangeDetails[] = [];
    const stop = inventory.onCommitted((change) => void heard.push(change));
    const author = { user: "token:ci", address: "10.0.0.9", reason: "new rack" };
    const { id } = await inventory.commit(
      [
        { kind: "node", name: "c10", revision: 0, fields: { profiles: ["gpu"] } },
        { kind: "node", name: "c9", revision: 0, fields: {} },
        { kind: "profile", name: "gpu", revision: 0, fields: { comment: "x" } },
      ],
      author,
    );
    stop();
    await set("profile", "gpu", { comment: "y" });
    const first = {
      ...{ id: 1, at: at(0), ...author },
      groups: [
        { kind: "node", action: "added", fields: [], names: "c[9-10]", count: 2 },
        { kind: "profile", action: "added", fields: [], names: "gpu", count: 1 },
      ],
    };
    const effects = [
      { kind: "node", name: "c10", before: undefined, after: { profiles: ["gpu"] } },
      { kind: "node", name: "c9", before: undefined, after: {} },
      { kind: "profile", name: "gpu", before: undefined, after: { comment: "x" } },
    ];
    expect(id).toBe(1);
    expect(heard).toEqual([{ ...first, effects }]);
    expect(await inventory.findChange(1)).toEqual({ ...first, effects });
    expect(await inventory.findChange(3)).toBeUndefined();
    const second = {
      ...{ id: 2, at: at(0), user: "root" },
      groups: [{ kind: "profile", action: "changed", fields: ["comment"], names: "gpu", count: 1 }],
    };
    expect(await inventory.listChanges({ limit: 9 })).toEqual([second, first]);
    expect(await inventory.listChanges({ limit: 1 })).toEqual([second]);
    expect(await inventory.listChanges({ limit: 9, before: 2 })).toEqual([first]);
    expect(await inventory.listChanges({ kind: "profile", name: "gpu", limit: 9 })).toEqual([second, first]);
    expect(await inventory.listChanges({ kind: "node", name: "c9", limit: 9 })).toEqual([first]);
  });

  it("tells of machines only for the node that is asked for", async () => {
    await add("node", "c1", {});
    await inventory.recordMachine(C1, { serial: "S1" });
    expect(await inventory.listChanges({ limit: 9 })).toHaveLength(1);
    expect(await inventory.listChanges({ kind: "node", name: "c1", limit: 9 })).toHaveLength(2);
    expect((await record("node", "c1")).revision).toBe(1);
  });

  it("has every state of the past, through deletions and names that were given again", async () => {
    const states: unknown[] = [];
    const steps = [
      () => add("profile", "gpu", { comment: "a" }),
      () => add("node", "c1", { profiles: ["gpu"] }),
      () => rename("profile", "gpu", "gpus"),
      () => rename("node", "c1", "c2"),
      () => add("node", "c1", { comment: "other" }),
      () => set("node", "c2", undefined),
      () => set("node", "c1", { comment: "changed" }),
      () => inventory.recordMachine(C1, { serial: "S" }),
      () => set("profile", "gpus", undefined),
    ];
    for (const step of steps) {
      hour += 1;
      await step();
      const { nodes, profiles } = await inventory.listRecords();
      const unnumbered = (one: InventoryRecord): InventoryRecord => ({ ...one, revision: 0 });
      states.push({ nodes: nodes.map(unnumbered), profiles: profiles.map(unnumbered) });
    }
    const past = await Promise.all(states.map(async (_, index) => inventory.stateAt(at(index + 1))));
    expect(past).toEqual(states);
    // Also by number, where a clock says nothing.
    expect(await Promise.all(states.map(async (_, index) => inventory.stateAt(index + 1)))).toEqual(states);
    expect(await inventory.stateAt(at(0.5))).toEqual({ nodes: [], profiles: [] });
    expect(await inventory.stateAt(at(99))).toEqual(states.at(-1));
  });
});
