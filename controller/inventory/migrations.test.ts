import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, expect, it } from "vitest";

import { openInventory } from "./open-inventory.ts";

const NOW = new Date("2026-11-21T00:00:00Z");
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
