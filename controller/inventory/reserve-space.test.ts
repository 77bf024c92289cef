import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { expect, test } from "vitest";

import { reserveSpace } from "./reserve-space.ts";

test("after a reserve was made, small writes grow neither the database nor its log", () => {
  const directory = mkdtempSync(join(tmpdir(), "muster-reserve-"));
  const path = join(directory, "x.db");
  const sqlite = new Sqlite(path);
  try {
    sqlite.pragma("journal_mode = WAL");
    sqlite.exec("create table things (name text)");
    expect(reserveSpace(sqlite)).toBe(true);
    const pages = sqlite.pragma("page_count", { simple: true });
    const sizes = (): readonly number[] => [path, `${path}-wal`].map((file) => statSync(file).size);
    const before = sizes();
    const put = sqlite.prepare("insert into things values (?)");
    for (let n = 0; n < 2000; n += 1) put.run("x".repeat(500));
    expect(sizes()).toEqual(before);
    expect(sqlite.pragma("page_count", { simple: true })).toBe(pages);

    // Again at the next start: it does not pile up.
    expect(reserveSpace(sqlite)).toBe(true);
    expect(sqlite.prepare("select name from sqlite_master").pluck().all()).toEqual(["things"]);
    expect(statSync(path).size).toBeLessThan(2 * (before[0] ?? 0));
  } finally {
    sqlite.close();
    rmSync(directory, { recursive: true });
  }
});

test("without room there is no reserve, and the database is as it was", () => {
  const sqlite = new Sqlite(":memory:");
  sqlite.exec("create table things (name text); insert into things values ('a')");
  sqlite.pragma("max_page_count = 10");
  expect(reserveSpace(sqlite)).toBe(false);
  expect(sqlite.prepare("select name from things").pluck().all()).toEqual(["a"]);
  sqlite.close();
});
