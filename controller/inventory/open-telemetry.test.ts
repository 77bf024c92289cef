import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { LogHistory, LogLine } from "../events/log-history.ts";
import type { SeenHistory } from "../events/seen-history.ts";
import type { BootRecord, MusterEvent, Telemetry } from "../events/telemetry.ts";
import { openTelemetry, type TelemetryOptions } from "./open-telemetry.ts";

const START_MS = Date.parse("2026-01-02T03:04:05Z");
const DAY_MS = 86_400_000;

let directory: string;
let path: string;
let nowMs: number;
let troubles: string[];
let telemetry: Telemetry & LogHistory & SeenHistory;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "muster-telemetry-"));
  path = join(directory, "telemetry.db");
  nowMs = START_MS;
  troubles = [];
  telemetry = open();
});

afterEach(async () => {
  await telemetry[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

function open(more: Partial<TelemetryOptions> = {}): Telemetry & LogHistory & SeenHistory {
  return openTelemetry({
    path,
    now: () => new Date(nowMs),
    retention: { keepDays: 30, maxEvents: 1000, maxBoots: 1000, maxLogLines: 1000 },
    onTrouble: (what) => troubles.push(what),
    ...more,
  });
}

async function reopen(more: Partial<TelemetryOptions> = {}): Promise<void> {
  await telemetry[Symbol.asyncDispose]();
  telemetry = open(more);
}

function record(what: string, node?: string): void {
  telemetry.recordEvent({ severity: "info", kind: "test", what, ...(node === undefined ? {} : { node }) });
}

function boot(bootId: string, more: Partial<BootRecord> = {}): BootRecord {
  return {
    bootId,
    mac: "52:54:00:00:00:01",
    startedAt: new Date(nowMs),
    outcome: "booting",
    stages: [],
    ...more,
  };
}

/** Overwrites the root page of a table or index. */
function damage(table: string): void {
  const db = new Sqlite(path);
  const page = Number(db.prepare("select rootpage from sqlite_schema where name = ?").pluck().get(table));
  db.close();
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.fill(0xee, (page - 1) * 4096, page * 4096));
}

async function whats(query: { node?: string; afterId?: number; limit?: number } = {}): Promise<string[]> {
  return (await telemetry.listEvents({ limit: 100, ...query })).map((event) => event.what);
}

describe("events", () => {
  it("are read back whole, before and after they are on disk and after a restart", async () => {
    telemetry.recordEvent({
      severity: "error",
      kind: "blob-corrupt",
      node: "c1",
      what: "blob is corrupt",
      fix: "import it again",
      at: new Date(START_MS - 1000),
    });
    const expected: MusterEvent = {
      id: 1,
      at: new Date(START_MS - 1000),
      severity: "error",
      kind: "blob-corrupt",
      node: "c1",
      what: "blob is corrupt",
      fix: "import it again",
    };
    expect(await telemetry.listEvents({ limit: 10 })).toEqual([expected]);
    await telemetry.flush();
    expect(await telemetry.listEvents({ limit: 10 })).toEqual([expected]);
    await reopen();
    expect(await telemetry.listEvents({ limit: 10 })).toEqual([expected]);
    record("next");
    expect((await telemetry.listEvents({ limit: 10 })).map((event) => event.id)).toEqual([1, 2]);
  });

  it("are the newest, oldest first, or those after an id, across disk and queue", async () => {
    for (const n of [1, 2, 3, 4]) record(`e${n}`, n % 2 === 0 ? "even" : "odd");
    await telemetry.flush();
    for (const n of [5, 6]) record(`e${n}`, n % 2 === 0 ? "even" : "odd");
    expect(await whats({ limit: 3 })).toEqual(["e4", "e5", "e6"]);
    expect(await whats({ afterId: 2, limit: 3 })).toEqual(["e3", "e4", "e5"]);
    expect(await whats({ node: "even" })).toEqual(["e2", "e4", "e6"]);
    expect(await whats({ node: "odd", afterId: 1, limit: 2 })).toEqual(["e3", "e5"]);
    expect(await whats({ limit: 0 })).toEqual([]);
  });

  it("reach listeners in order until they unsubscribe, and a listener that throws harms nobody", async () => {
    const heard: string[] = [];
    telemetry.onEvent(() => {
      throw new Error("broken");
    });
    const stop = telemetry.onEvent((event) => heard.push(`${event.id} ${event.what}`));
    record("one");
    record("two");
    stop();
    record("three");
    expect(heard).toEqual(["1 one", "2 two"]);
    expect(troubles).toEqual(Array.from({ length: 3 }, () => "a listener of events failed"));
  });

  it("are written by themselves, without flush", async () => {
    record("one");
    const onDisk = (): unknown => {
      const db = new Sqlite(path, { readonly: true });
      try {
        return db.prepare("select count(*) from events").pluck().get();
      } finally {
        db.close();
      }
    };
    await expect.poll(onDisk, { timeout: 5000 }).toBe(1);
  });
});

describe("boots", () => {
  it("are replaced by id and listed newest first", async () => {
    telemetry.recordBoot(boot("b1", { node: "c1" }));
    await telemetry.flush();
    nowMs += 1000;
    telemetry.recordBoot(boot("b2", { node: "c2" }));
    const done = boot("b1", {
      node: "c1",
      startedAt: new Date(START_MS),
      image: "debian12",
      imageVersion: 3,
      outcome: "failed",
      stages: [
        { stage: "fetch", startedMs: 10, endedMs: 20, detail: "97 MB" },
        { stage: "mount", startedMs: 20, detail: "" },
      ],
      readyAt: new Date(START_MS + 5000),
      failure: {
        stage: "mount",
        code: "mount-failed",
        what: "no squashfs",
        fix: "load it",
        kernelLogTail: "é\n",
      },
    });
    telemetry.recordBoot(done);
    const expected = [boot("b2", { node: "c2" }), done];
    expect(await telemetry.listBoots({ limit: 10 })).toEqual(expected);
    await reopen();
    expect(await telemetry.listBoots({ limit: 10 })).toEqual(expected);
    expect(await telemetry.listBoots({ node: "c1", limit: 10 })).toEqual([done]);
    expect(await telemetry.listBoots({ limit: 1 })).toEqual([boot("b2", { node: "c2" })]);
  });
});

describe("retention", () => {
  it("drops what is too old and what is too many", async () => {
    await reopen({ retention: { keepDays: 2, maxEvents: 3, maxBoots: 2, maxLogLines: 4 } });
    for (const day of [0, 1, 2, 3, 4]) {
      nowMs = START_MS + day * DAY_MS;
      record(`day ${day}`);
      telemetry.recordBoot(boot(`b${day}`));
      await telemetry.flush();
    }
    expect(await whats()).toEqual(["day 2", "day 3", "day 4"]);
    for (const n of [1, 2, 3]) record(`extra ${n}`);
    telemetry.recordBoot(boot("b5"));
    nowMs += 11 * 60_000;
    await telemetry.flush();
    expect(await whats()).toEqual(["extra 1", "extra 2", "extra 3"]);
    expect((await telemetry.listBoots({ limit: 10 })).map((b) => b.bootId)).toEqual(["b5", "b4"]);
  });
});

describe("what nodes said", () => {
  const line = (node: string, text: string, bootId = "b1"): Omit<LogLine, "id"> => ({
    at: new Date(START_MS - 1000),
    node,
    bootId,
    source: "agent",
    text,
  });
  const texts = async (query: Parameters<LogHistory["listLogs"]>[0]): Promise<readonly string[]> =>
    (await telemetry.listLogs(query)).map(({ text }) => text);

  it("is listed by node and by boot, also while part of it waits to be written and after a restart", async () => {
    telemetry.recordLogs([line("c1", "one"), line("c2", "other"), line("c1", "two", "b22")]);
    await telemetry.flush();
    telemetry.recordLogs([line("c1", "three", "b23")]);
    expect(await telemetry.listLogs({ node: "c1", limit: 10 })).toEqual([
      { id: 1, ...line("c1", "one") },
      { id: 3, ...line("c1", "two", "b22") },
      { id: 4, ...line("c1", "three", "b23") },
    ]);
    await reopen();
    telemetry.recordLogs([line("c1", "four", "b24")]);
    expect(await texts({ node: "c1", limit: 2 })).toEqual(["three", "four"]);
    expect(await texts({ node: "c1", limit: 2, afterId: 1 })).toEqual(["two", "three"]);
    expect(await texts({ node: "c1", boot: "b2", limit: 10 })).toEqual(["two", "three", "four"]);
    expect(await texts({ node: "c1", boot: "b1", limit: 10 })).toEqual(["one"]);
    expect(await texts({ node: "c3", limit: 10 })).toEqual([]);
  });

  it("is told to listeners with its ids; one that fails is reported and harms nobody", async () => {
    const heard: (readonly LogLine[])[] = [];
    telemetry.onLogs(() => {
      throw new Error("bug");
    });
    const unsubscribe = telemetry.onLogs((lines) => heard.push(lines));
    telemetry.recordLogs([line("c1", "one")]);
    unsubscribe();
    telemetry.recordLogs([line("c1", "two")]);
    expect(heard).toEqual([[{ id: 1, ...line("c1", "one") }]]);
    expect(troubles).toEqual(["a listener of events failed", "a listener of events failed"]);
  });

  it("goes when it is too old, when there is too much in all, and when one node said too much", async () => {
    const retention = { keepDays: 2, maxEvents: 10, maxBoots: 10, maxLogLines: 10_000 };
    await reopen({ retention });
    telemetry.recordLogs([line("c1", "old")]);
    await telemetry.flush();
    nowMs += 3 * DAY_MS;
    telemetry.recordLogs([line("c2", "quiet")]);
    telemetry.recordLogs(Array.from({ length: 5600 }, (_, n) => line("c1", `loop ${n}`)));
    await telemetry.flush();
    const kept = await texts({ node: "c1", limit: 10_000 });
    expect([kept.length, kept[0], kept.at(-1)]).toEqual([5000, "loop 600", "loop 5599"]);
    expect(await texts({ node: "c2", limit: 10 })).toEqual(["quiet"]);
    await reopen({ retention: { ...retention, maxLogLines: 100 } });
    telemetry.recordLogs([line("c1", "last")]);
    // In steps, and without anything new to write.
    await vi.waitFor(
      async () => {
        expect((await texts({ node: "c1", limit: 10_000 })).length).toBe(100);
      },
      { timeout: 10_000 },
    );
    expect(await texts({ node: "c2", limit: 10 })).toEqual([]);
  });

  it("is added to the history of a release that kept none", async () => {
    record("kept");
    await telemetry[Symbol.asyncDispose]();
    const before = new Sqlite(path);
    before.exec("drop table logs");
    before.close();
    await reopen();
    telemetry.recordLogs([line("c1", "one")]);
    await telemetry.flush();
    expect(await texts({ node: "c1", limit: 10 })).toEqual(["one"]);
    expect(await whats()).toEqual(["kept"]);
  });
});

describe("trouble with the file", () => {
  it("keeps the newest in memory, then writes them and says how many were lost", async () => {
    path = join(directory, "later", "telemetry.db");
    await reopen({ maxQueued: 4 });
    for (const n of [1, 2, 3, 4, 5, 6]) record(`e${n}`);
    for (const n of [1, 2, 3, 4, 5]) telemetry.recordBoot(boot(`b${n}`, { startedAt: new Date(n) }));
    await telemetry.flush();
    expect(await whats()).toEqual(["e3", "e4", "e5", "e6"]);
    expect((await telemetry.listBoots({ limit: 10 })).map((b) => b.bootId)).toEqual(["b5", "b4", "b3", "b2"]);
    mkdirSync(join(directory, "later"));
    nowMs += 60_000;
    await telemetry.flush();
    await reopen();
    const all = await telemetry.listEvents({ limit: 10 });
    expect(all.map((event) => event.what)).toEqual([
      "e3",
      "e4",
      "e5",
      "e6",
      "3 records of boots, events and logs were lost: the history could not be written",
    ]);
    expect(all.at(-1)).toMatchObject({ kind: "telemetry-lost", severity: "warning" });
  });

  it("does not let what came without the file replace what is in it", async () => {
    record("old");
    await telemetry[Symbol.asyncDispose]();
    const blocker = new Sqlite(path);
    blocker.exec("pragma locking_mode = exclusive; begin exclusive");
    telemetry = open();
    record("new");
    await telemetry.flush();
    expect(await whats()).toEqual(["new"]);
    blocker.exec("rollback");
    blocker.close();
    nowMs += 60_000;
    expect(await whats()).toEqual(["old", "new"]);
  });

  it("moves a file that is no database aside and starts anew", async () => {
    await telemetry[Symbol.asyncDispose]();
    const junk = "not a database ".repeat(1000);
    writeFileSync(path, junk);
    telemetry = open();
    record("one");
    await telemetry.flush();
    expect(await whats()).toEqual(["one"]);
    expect(readFileSync(`${path}.damaged`, "utf8")).toBe(junk);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(troubles).toEqual([`the history of boots and events ${path} cannot be opened`]);
  });

  it.each([
    ["events", "when it is opened", ["after"]],
    ["boots_by_start", "when it meets the page", ["after"]],
  ])("with damaged %s is moved aside %s, and nothing that waits is lost", async (table, _when, expected) => {
    record("before");
    await telemetry[Symbol.asyncDispose]();
    damage(table);
    telemetry = open();
    record("after");
    telemetry.recordBoot(boot("b1"));
    await telemetry.flush();
    await telemetry.flush();
    expect(await whats()).toEqual(expected);
    expect(existsSync(`${path}.damaged`)).toBe(true);
    await reopen();
    expect(await whats()).toEqual(expected);
    expect(await telemetry.listBoots({ limit: 10 })).toEqual([boot("b1")]);
  });

  it("never reaches the caller, also after it is closed", async () => {
    await telemetry[Symbol.asyncDispose]();
    record("too late");
    telemetry.recordBoot(boot("b1"));
    await telemetry.flush();
    await telemetry[Symbol.asyncDispose]();
    expect(troubles).toEqual([]);
  });
});

describe("when nodes were last seen", () => {
  const day = (days: number): Date => new Date(START_MS + days * DAY_MS);

  it("survives a restart, the newest of each node", async () => {
    telemetry.recordSeen(
      new Map([
        ["c001", day(0)],
        ["c002", day(1)],
      ]),
    );
    expect(await telemetry.listSeen()).toEqual(
      new Map([
        ["c001", day(0)],
        ["c002", day(1)],
      ]),
    );
    await telemetry.flush();
    telemetry.recordSeen(new Map([["c001", day(2)]]));
    await reopen();
    expect(await telemetry.listSeen()).toEqual(
      new Map([
        ["c001", day(2)],
        ["c002", day(1)],
      ]),
    );
    expect(troubles).toEqual([]);
  });

  it("is forgotten when it is as old as events get", async () => {
    telemetry.recordSeen(new Map([["c001", day(0)]]));
    await telemetry.flush();
    nowMs += 31 * DAY_MS;
    telemetry.recordSeen(new Map([["c002", day(31)]]));
    await telemetry.flush();
    expect(await telemetry.listSeen()).toEqual(new Map([["c002", day(31)]]));
  });

  it("of ten thousand nodes is one write that holds nobody up", async () => {
    const seen = new Map(Array.from({ length: 10_000 }, (_, i) => [`c${i}`, day(0)]));
    telemetry.recordSeen(seen);
    const started = performance.now();
    await telemetry.flush();
    expect(performance.now() - started).toBeLessThan(1000);
    await reopen();
    expect((await telemetry.listSeen()).size).toBe(10_000);
  });
});
