import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { startDaemon } from "#proto/host/run-command.ts";
import { databaseError } from "./database-error.ts";
import { openDatabase } from "./open-database.ts";
import { openInventory } from "./open-inventory.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "muster-database-"));
  path = join(directory, "inventory.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("openDatabase", () => {
  it("reports a full disk as such, keeps what was there and works again when there is space", async () => {
    const database = await openDatabase(path);
    const { db } = database;
    await db.insertInto("images").values({ name: "before" }).execute();
    await sql`pragma max_page_count = 60`.execute(db);
    const filling = db.transaction().execute(async (tx) => {
      for (let n = 0; n < 1000; n += 1) {
        await tx
          .insertInto("images")
          .values({ name: `${n} ${"x".repeat(4000)}` })
          .execute();
      }
    });
    const error: unknown = await filling.catch((reason: unknown) => databaseError(reason, path));
    expect(error).toMatchObject({
      code: "disk-full",
      message: `nothing was changed: no space left for the inventory ${path}`,
    });
    await sql`pragma max_page_count = 100000`.execute(db);
    await db.insertInto("images").values({ name: "after" }).execute();
    expect(await db.selectFrom("images").select("name").orderBy("name").execute()).toEqual([
      { name: "after" },
      { name: "before" },
    ]);
    await database.close();
  });

  it("serialises transactions that run at once", async () => {
    const database = await openDatabase(path);
    await database.db.insertInto("image_series").values({ name: "i", last_version: 0 }).execute();
    await Promise.all(
      Array.from({ length: 50 }, () =>
        database.db.transaction().execute(async (tx) => {
          const { last_version } = await tx
            .selectFrom("image_series")
            .select("last_version")
            .executeTakeFirstOrThrow();
          await new Promise(setImmediate);
          await tx
            .updateTable("image_series")
            .set({ last_version: last_version + 1 })
            .execute();
        }),
      ),
    );
    const row = await database.db.selectFrom("image_series").select("last_version").executeTakeFirst();
    expect(row).toEqual({ last_version: 50 });
    await database.close();
  });
});

describe("kill -9 while it writes", () => {
  it("loses nothing that was acknowledged and leaves no change half done", async () => {
    for (const killAfter of [3, 17, 40]) {
      const from = 1000 * killAfter;
      const lines = await writeUntilKilled(from, killAfter);
      const inventory = await openInventory({ path, now: () => new Date() });
      const nodes = await inventory.listNodes();
      await inventory[Symbol.asyncDispose]();
      const names = new Set(nodes.map((node) => String(node.name)));
      const missing = lines.flatMap((n) => [`a${n}`, `b${n}`]).filter((name) => !names.has(name));
      expect(missing).toEqual([]);
      const single = nodes.filter(
        (node) => !names.has((node.name.startsWith("a") ? "b" : "a") + node.name.slice(1)),
      );
      expect(single).toEqual([]);
      expect(nodes.filter((node) => node.devices.length !== 1)).toEqual([]);
      const db = new Sqlite(path, { readonly: true });
      const facts = {
        check: db.pragma("integrity_check", { simple: true }),
        orphans: db.pragma("foreign_key_check"),
        changes: db.prepare("select count(*) from changes").pluck().get(),
      };
      db.close();
      expect(facts).toEqual({ check: "ok", orphans: [], changes: nodes.length });
    }
  });

  /** The numbers of the pairs of nodes the writer was told are stored. */
  async function writeUntilKilled(from: number, killAfter: number): Promise<readonly number[]> {
    const program = `
      import { openInventory } from ${JSON.stringify(new URL("./open-inventory.ts", import.meta.url).href)};
      const inventory = await openInventory({ path: ${JSON.stringify(path)}, now: () => new Date() });
      const fields = (n, k) => ({ kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [
        { name: "eno1", type: "ethernet", address: "10." + k + "." + (n >> 8) + "." + (n & 255) } ] });
      for (let n = ${from}; ; n += 1) {
        await inventory.addNodes([{ name: "a" + n, fields: fields(n, 1) }, { name: "b" + n, fields: fields(n, 2) }], { user: "x" });
        process.stdout.write(n + "\\n");
      }`;
    const stored: number[] = [];
    const errors: string[] = [];
    const enough = Promise.withResolvers<undefined>();
    const daemon = await startDaemon({
      program: process.execPath,
      args: ["--input-type=module", "--eval", program],
      onLine: (line, stream) => {
        if (stream === "stderr") errors.push(line);
        else stored.push(Number(line));
        if (stored.length >= killAfter) enough.resolve(undefined);
      },
    });
    await Promise.race([enough.promise, daemon.exited]);
    daemon.kill("SIGKILL");
    expect(await daemon.exited).toEqual({ code: null, signal: "SIGKILL" });
    expect(errors).toEqual([]);
    return stored;
  }
});
