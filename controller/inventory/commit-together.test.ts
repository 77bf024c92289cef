import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { Kysely, SqliteDialect, sql } from "kysely";
import { afterEach, beforeEach, expect, test } from "vitest";

import { commitTogether } from "./commit-together.ts";
import { openDatabase } from "./open-database.ts";

interface Tables {
  readonly words: { readonly word: string };
}

let db: Kysely<Tables>;
let statements: string[];
beforeEach(async () => {
  const sqlite = new Sqlite(":memory:");
  statements = [];
  const database = {
    close: () => {
      sqlite.close();
    },
    prepare: (text: string) => {
      statements.push(text);
      return sqlite.prepare(text);
    },
  };
  db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) });
  await sql`create table words (word text primary key)`.execute(db);
});
afterEach(() => db.destroy());

async function words(): Promise<readonly string[]> {
  return (await db.selectFrom("words").select("word").orderBy("word").execute()).map(({ word }) => word);
}

test("changes made at the same time are one transaction, and each has its own result", async () => {
  const change = commitTogether(db);
  const results = await Promise.all(
    ["a", "b", "c"].map((word) =>
      change(async (tx) => {
        await tx.insertInto("words").values({ word }).execute();
        return word.toUpperCase();
      }),
    ),
  );
  expect(results).toEqual(["A", "B", "C"]);
  expect(await words()).toEqual(["a", "b", "c"]);
  expect(statements.filter((text) => text === "commit")).toEqual(["commit"]);
});

test("a change that fails is undone alone", async () => {
  const change = commitTogether(db);
  const insert = (word: string) => change((tx) => tx.insertInto("words").values({ word }).execute());
  const results = await Promise.allSettled([
    insert("a"),
    change(async (tx) => {
      await tx.insertInto("words").values({ word: "half" }).execute();
      throw new Error("the other half is missing");
    }),
    insert("b"),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await words()).toEqual(["a", "b"]);
});

test("changes that come while others are committed follow in the next transaction", async () => {
  const change = commitTogether(db);
  const insert = (word: string) => change((tx) => tx.insertInto("words").values({ word }).execute());
  await Promise.all(Array.from({ length: 150 }, (_, index) => insert(`word ${index}`)));
  await insert("the last");
  expect((await words()).length).toBe(151);
  expect(statements.filter((text) => text === "commit").length).toBe(4);
});

test("when SQLite gives up the whole transaction, no change of it is reported done", async () => {
  const directory = await mkdtemp(join(tmpdir(), "muster-together-"));
  try {
    const database = await openDatabase(join(directory, "inventory.db"));
    const change = commitTogether(database.db);
    const results = await Promise.allSettled([
      change(async () => "before"),
      change(async (tx) => {
        // What SQLite does by itself when the disk is full.
        await sql`rollback`.execute(tx);
        throw new Error("database or disk is full");
      }),
      change(async () => "after"),
    ]);
    expect(results.map((result) => (result.status === "rejected" ? String(result.reason) : "done"))).toEqual([
      "Error: database or disk is full",
      "Error: database or disk is full",
      "Error: database or disk is full",
    ]);
    expect(await change(async () => "later")).toBe("later");
    await database.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
