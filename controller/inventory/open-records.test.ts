import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { commitTogether } from "./commit-together.ts";
import { databaseError } from "./database-error.ts";
import { openDatabase } from "./open-database.ts";
import { openInventory } from "./open-inventory.ts";
import { openRecords, type StagedWork } from "./open-records.ts";

const NOW = new Date("2026-01-02T03:04:05Z");
const ROOT = { user: "root" };

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "muster-records-"));
  path = join(directory, "inventory.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("a full disk", () => {
  const rowsOf = (from: number, count: number): StagedWork => ({
    author: ROOT,
    changes: Array.from({ length: count }, (_, n) => ({
      ...{ kind: "node" as const, name: `c${from + n}`, revision: 0 },
      fields: { comment: "x".repeat(1000) },
    })),
  });

  it("takes back the change that did not fit, in the file and in memory, and no other", async () => {
    await using site = await openSite();
    await sql`pragma max_page_count = 1000`.execute(site.db);
    const results = await Promise.all([
      site.attempt(rowsOf(1, 1)),
      site.attempt(rowsOf(10, 5000)),
      site.attempt(rowsOf(2, 1)),
    ]);
    expect(results).toMatchObject(["stored", { code: "disk-full" }, "stored"]);
    expect(await site.names()).toEqual(["c1", "c2"]);
    expect(site.told).toEqual([1, 2]);
    await sql`pragma max_page_count = 100000`.execute(site.db);
    expect(await site.attempt(rowsOf(10, 1))).toBe("stored");
    expect(await site.names()).toEqual(["c1", "c2", "c10"]);
    expect(await namesInFile()).toEqual(["c1", "c2", "c10"]);
  });

  it("that makes SQLite take back everything is told to each whose change came along", async () => {
    await using site = await openSite();
    await site.attempt(rowsOf(1, 1));
    const takesAllBack = site.inBatch(async (tx) => {
      await sql`rollback`.execute(tx);
      throw new Sqlite.SqliteError("database or disk is full", "SQLITE_FULL");
    });
    const results = await Promise.all([
      site.attempt(rowsOf(2, 1)),
      takesAllBack.catch((error: unknown) => databaseError(error, path)),
      site.attempt(rowsOf(3, 1)),
    ]);
    expect(results).toMatchObject([{ code: "disk-full" }, { code: "disk-full" }, { code: "disk-full" }]);
    expect(await site.names()).toEqual(["c1"]);
    expect(site.told).toEqual([1]);
    expect(await site.attempt(rowsOf(2, 1))).toBe("stored");
    expect(await namesInFile()).toEqual(["c1", "c2"]);
  });

  async function namesInFile(): Promise<readonly string[]> {
    await using inventory = await openInventory({ path, now: () => NOW });
    const names = (await inventory.listNodes()).map(({ name }) => name);
    expect((await inventory.listChanges({ limit: 9 })).map(({ groups }) => groups.length)).toEqual(
      names.map(() => 1),
    );
    return names;
  }
});

describe("a database that cannot be written", () => {
  it("while musterd runs refuses changes, goes on being read, and takes changes when it can", async () => {
    await using site = await openSite();
    const add = (name: string): StagedWork => ({
      author: ROOT,
      changes: [{ kind: "node", name, revision: 0, fields: {} }],
    });
    await site.attempt(add("c1"));
    await sql`pragma query_only = on`.execute(site.db);
    expect(await site.attempt(add("c2"))).toMatchObject({
      code: "database-unusable",
      message: `the inventory ${path} cannot be written`,
    });
    expect(await site.names()).toEqual(["c1"]);
    await sql`pragma query_only = off`.execute(site.db);
    expect(await site.attempt(add("c2"))).toBe("stored");
    expect(await site.names()).toEqual(["c1", "c2"]);
  });

  it("from the start is refused with a remedy", async () => {
    // Nobody can make files there, root included.
    await expect(openInventory({ path: "/sys/kernel/inventory.db", now: () => NOW })).rejects.toMatchObject({
      code: "database-unusable",
      message: "the inventory /sys/kernel/inventory.db cannot be written",
      fix: expect.stringContaining("write access to /sys/kernel/inventory.db") as unknown,
    });
  });
});

/** The database and what is kept of it in memory, as openInventory puts them together. */
async function openSite() {
  const database = await openDatabase(path);
  const records = openRecords({
    dataVersion: database.dataVersion,
    inSnapshot: (work) => database.db.connection().execute(work),
    now: () => NOW,
  });
  const told: number[] = [];
  const inBatch = commitTogether(database.db, (isCommitted) => {
    told.push(...records.ended(isCommitted).changes.map(({ id }) => id));
  });
  return {
    ...{ db: database.db, told, inBatch },
    names: async () => (await records.committed()).listNodes().map(({ name }) => name),
    attempt: (work: StagedWork) =>
      inBatch((tx) => records.attempt(() => records.stage(tx, work))).then(
        () => "stored",
        (error: unknown) => databaseError(error, path),
      ),
    [Symbol.asyncDispose]: database.close,
  };
}
