import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { renderEffectGroups } from "../history/fold-effects.ts";
import { openInventory } from "./open-inventory.ts";

const NOW = new Date("2026-11-21T00:00:00Z");
const VERSION_4 = readFileSync("test/fixtures/inventory/version-4.sql", "utf8");
const VERSION_1 = readFileSync("test/fixtures/inventory/version-1.sql", "utf8");

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "muster-migrations-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

it("brings the first schema to the present one, with every node as it was", async () => {
  const path = join(directory, "inventory.db");
  const old = new Sqlite(path);
  old.exec(VERSION_1);
  old.close();
  const at = new Date("2026-11-20T12:00:00Z");
  for (let opened = 0; opened < 2; opened += 1) {
    await using inventory = await openInventory({ path, now: () => NOW });
    expect(await inventory.listNodes()).toEqual([
      {
        ...{ name: "c001", revision: 1, machine: {}, createdAt: at, updatedAt: at, tags: { rack: "1" } },
        ...{ kernelArguments: ["quiet"], overlays: ["base"], runtimeOverlays: [] },
        devices: [{ name: "eno1", type: "ethernet", mac: "52:54:00:00:00:01", address: "10.77.0.11" }],
      },
    ]);
  }
  await using inventory = await openInventory({ path, now: () => NOW });
  const [node] = await inventory.listNodes();
  if (node === undefined) throw new Error("seen above");
  const [changed] = await inventory.updateNodes(
    [{ name: node.name, revision: 1, fields: { ...node, runtimeOverlays: ["chrony"] } }],
    { user: "root" },
  );
  expect(changed).toMatchObject({ revision: 2, runtimeOverlays: ["chrony"] });
});

describe("the schema before profiles", () => {
  const open = async (at: string) => {
    const old = new Sqlite(at);
    old.exec(VERSION_4);
    old.close();
    return openInventory({ path: at, now: () => NOW });
  };
  const C1 = {
    comment: "renewed",
    image: "debian12",
    rootMode: "tmpfs",
    rootSizeBytes: 8_589_934_592,
    kernelArguments: ["quiet"],
    overlays: ["base"],
    runtimeOverlays: ["chrony"],
    devices: {
      eno1: {
        ...{ mac: "52:54:00:00:00:01", address: "10.77.0.11", netmask: "255.255.0.0", gateway: "10.77.0.1" },
      },
      ib0: { type: "infiniband", address: "10.78.0.11", mtu: 4092 },
    },
    tags: { rack: "1" },
  };
  const C2 = {
    // It booted from the device that stood first.
    primaryDevice: "eth1",
    devices: { eth0: { mac: "52:54:00:00:00:03" }, eth1: { mac: "52:54:00:00:00:02" } },
  };

  it("becomes records that say the same, with all that belongs to their nodes", async () => {
    const path = join(directory, "inventory.db");
    await using inventory = await open(path);
    expect(await inventory.listRecords()).toEqual({
      nodes: [
        { kind: "node", name: "c001", revision: 2, fields: C1 },
        { kind: "node", name: "c002", revision: 1, fields: C2 },
      ],
      profiles: [],
    });
    const [c001, c002] = await inventory.listNodes();
    expect(c001).toMatchObject({
      machine: { serial: "S1", smbiosUuid: "u-1" },
      updatedAt: new Date("2026-11-20T15:00:00Z"),
    });
    expect(c002?.devices.map(({ name }) => name)).toEqual(["eth1", "eth0"]);
    const name = parseNodeName("c001");
    const secret = await inventory.findOrCreateSecret(name, "ssh", async () => Buffer.from("another"));
    expect(Buffer.from(secret).toString()).toBe("key");
    expect(await inventory.listAlerts()).toMatchObject([{ node: "c001", what: "two of them" }]);
    await expect(inventory.deleteImage("debian12", undefined, { user: "root" })).rejects.toMatchObject({
      code: "image-in-use",
      message: "image debian12 is the image of c001",
    });
  });

  it("keeps its history: what people wrote and what machines said, each for itself", async () => {
    await using inventory = await open(join(directory, "inventory.db"));
    const before = { ...C1, comment: "first" };
    const changes = await inventory.listChanges({ kind: "node", name: "c001", limit: 9 });
    expect(changes.map(({ id, user, reason }) => [id, user, reason])).toEqual([
      [7, "enrolment", undefined],
      [6, "token:ci", undefined],
      [3, "root", "first rack"],
    ]);
    expect((await inventory.findChange(3))?.effects).toEqual([
      { kind: "node", name: "c001", before: undefined, after: before },
      { kind: "node", name: "c002", before: undefined, after: C2 },
      { kind: "node", name: "c003", before: undefined, after: {} },
    ]);
    expect((await inventory.findChange(6))?.effects).toEqual([
      { kind: "node", name: "c001", before, after: C1 },
    ]);
    expect(await inventory.findChange(7)).toMatchObject({
      effects: [{ kind: "machine", name: "c001", after: { serial: "S1", smbiosUuid: "u-1" } }],
    });
    const names = async (at: string): Promise<readonly unknown[]> =>
      (await inventory.stateAt(new Date(at))).nodes.map(({ name, fields }) => [name, fields.comment]);
    expect(await names("2026-11-20T14:30:00Z")).toEqual([
      ["c001", "first"],
      ["c002", undefined],
      ["c003", undefined],
    ]);
    expect(await names("2026-11-20T23:00:00Z")).toEqual([
      ["c001", "renewed"],
      ["c002", undefined],
    ]);
    expect(await names("2026-11-20T12:30:00Z")).toEqual([]);
  });

  it("keeps the numbers of its changes, says what they did, and goes on with the next", async () => {
    await using inventory = await open(join(directory, "inventory.db"));
    const { id } = await inventory.commit([{ kind: "node", name: "c9", revision: 0, fields: {} }], {
      user: "root",
    });
    expect(id).toBe(9);
    const changes = await inventory.listChanges({ limit: 9 });
    expect(changes.map((change) => [change.id, renderEffectGroups(change.groups)])).toEqual([
      [9, "c9 added"],
      [8, "c003 deleted"],
      [6, "c001: comment"],
      [3, "c[001-003] added"],
      [2, "channel debian12:stable added"],
      [1, "image debian12:1 added"],
    ]);
    expect((await inventory.stateAt(6)).nodes).toHaveLength(3);
  });

  it("gives a deleted node of then no revision again that somebody may have seen", async () => {
    await using inventory = await open(join(directory, "inventory.db"));
    const { records } = await inventory.commit([{ kind: "node", name: "c003", revision: 0, fields: {} }], {
      user: "root",
    });
    expect(records).toEqual([{ kind: "node", name: "c003", revision: 3, fields: {} }]);
  });
});
