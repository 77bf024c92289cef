import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";

import { type LogTable, openLogTable } from "./log-table.ts";

const START = Date.parse("2026-11-20T12:00:00Z");
const EVER = new Date(0);

let db: Sqlite.Database;
let clock: Date;
let logs: LogTable;
let lastId: number;

beforeEach(() => {
  db = new Sqlite(":memory:");
  clock = new Date(START);
  logs = openLogTable(db, () => clock);
  lastId = 0;
});
afterEach(() => {
  db.close();
});

function write(node: string, count: number): void {
  logs.write(
    Array.from({ length: count }, () => {
      lastId += 1;
      return { id: lastId, at: clock, node, bootId: "b1", source: "agent", text: "x" };
    }),
  );
}

const countOf = (node: string): number => logs.list({ node, limit: 100_000, afterId: undefined }).length;

test("what is too much in all goes oldest first, a few thousand lines at a time", () => {
  write("c001", 5000);
  write("c002", 1500);
  const rule = { before: EVER, maxLines: 2000, maxPerNode: 100_000 };
  const steps = [];
  do steps.push(countOf("c001") + countOf("c002"));
  while (logs.prune(rule));
  expect(steps).toEqual([6500, 4500, 2500]);
  expect([countOf("c001"), countOf("c002")]).toEqual([500, 1500]);
});

test("what is too much of one node goes, and nothing of the others", () => {
  write("c001", 700);
  write("c002", 200);
  expect(logs.prune({ before: EVER, maxLines: 100_000, maxPerNode: 300 })).toBe(false);
  expect([countOf("c001"), countOf("c002")]).toEqual([300, 200]);
});

test("thousands of nodes that booted are not all looked at in one step", () => {
  for (let node = 0; node < 120; node += 1) write(`c${node}`, 500);
  const rule = { before: EVER, maxLines: 1_000_000, maxPerNode: 5000 };
  expect([logs.prune(rule), logs.prune(rule), logs.prune(rule)]).toEqual([true, true, false]);
});

test("what is too old goes by the time it was kept, not by the clock of its node", () => {
  write("c001", 10);
  clock = new Date(START + 60_000);
  write("c001", 5);
  const before = new Date(START + 30_000);
  expect(logs.prune({ before, maxLines: 1000, maxPerNode: 1000 })).toBe(false);
  expect(countOf("c001")).toBe(5);
});
