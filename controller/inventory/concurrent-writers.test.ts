import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { startDaemon } from "#proto/host/run-command.ts";
import type { Fields } from "../fields/fields.ts";
import type { InventoryRecord, InventoryState, RecordChange } from "./changes.ts";
import type { Inventory } from "./inventory.ts";
import { openInventory } from "./open-inventory.ts";

const NOW = new Date("2026-01-02T03:04:05Z");
const ROOT = { user: "root" };

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "muster-writers-"));
  path = join(directory, "inventory.db");
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const open = (file = path): Promise<Inventory> => openInventory({ path: file, now: () => NOW });

/** What a writer makes of the node it read. */
type Edit = (seen: InventoryRecord | undefined) => RecordChange | undefined;

const edit = (seen: InventoryRecord | undefined, fields: Fields | undefined): RecordChange => ({
  kind: "node",
  name: "c1",
  revision: seen?.revision ?? 0,
  fields,
});
const EDITS: Readonly<Record<string, Edit>> = {
  comment: (seen) => edit(seen, { ...seen?.fields, comment: `${seen?.fields.comment ?? ""}a` }),
  cluster: (seen) => edit(seen, { ...seen?.fields, cluster: `${seen?.fields.cluster ?? ""}b` }),
  argument: (seen) =>
    edit(seen, { ...seen?.fields, kernelArguments: [...(seen?.fields.kernelArguments ?? []), "c"] }),
  // Nothing to delete: nothing is written.
  delete: (seen) => (seen === undefined ? undefined : edit(seen, undefined)),
};

async function read(inventory: Inventory): Promise<InventoryRecord | undefined> {
  return (await inventory.listRecords()).nodes.find(({ name }) => name === "c1");
}

async function write(
  inventory: Inventory,
  change: RecordChange | undefined,
): Promise<"done" | "refused" | "nothing"> {
  if (change === undefined) return "nothing";
  try {
    await inventory.commit([change], ROOT);
    return "done";
  } catch (error) {
    expect(error).toMatchObject({
      code: expect.stringMatching(/^(revision-stale|node-exists)$/) as unknown,
    });
    return "refused";
  }
}

const unnumbered = ({ nodes, profiles }: InventoryState): unknown =>
  [nodes, profiles].map((records) => records.map(({ kind, name, fields }) => ({ kind, name, fields })));

describe("two writers of one node", () => {
  it("end in one of the two serial results, or the second is told that it is late", async () => {
    await using mine = await open();
    await using theirs = await open();
    const interleaving = fc.record({
      first: fc.array(fc.constantFrom(...Object.keys(EDITS)), { minLength: 1, maxLength: 3 }),
      second: fc.array(fc.constantFrom(...Object.keys(EDITS)), { minLength: 1, maxLength: 3 }),
      // Whose step is next: to read, and then to commit what it made of that.
      order: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      sameProcess: fc.boolean(),
      existsBefore: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(interleaving, async ({ first, second, order, sameProcess, existsBefore }) => {
        await clear(mine, existsBefore);
        const writers = [
          { inventory: mine, edits: [...first] },
          { inventory: sameProcess ? mine : theirs, edits: [...second] },
        ].map((writer) => ({
          ...writer,
          seen: undefined as { record: InventoryRecord | undefined } | undefined,
        }));
        const accepted: string[] = [];
        for (const turn of [...order, ...Array<boolean>(12).fill(false), ...Array<boolean>(12).fill(true)]) {
          const writer = writers[turn ? 1 : 0];
          const [name] = writer?.edits ?? [];
          if (writer === undefined || name === undefined) continue;
          if (writer.seen === undefined) {
            writer.seen = { record: await read(writer.inventory) };
            continue;
          }
          const outcome = await write(writer.inventory, EDITS[name]?.(writer.seen.record));
          if (outcome === "done") accepted.push(name);
          writer.edits.shift();
          writer.seen = undefined;
        }
        const result = unnumbered(await mine.listRecords());
        expect(unnumbered(await theirs.listRecords())).toEqual(result);
        // What was accepted, one after the other in the order of acceptance: nothing was lost between them.
        await clear(mine, existsBefore);
        for (const name of accepted) expect(await write(mine, EDITS[name]?.(await read(mine)))).toBe("done");
        expect(unnumbered(await mine.listRecords())).toEqual(result);
      }),
      { numRuns: 40 },
    );
  });

  async function clear(inventory: Inventory, existsAfter: boolean): Promise<void> {
    const there = await read(inventory);
    if (there !== undefined) await inventory.commit([edit(there, undefined)], ROOT);
    if (existsAfter) await inventory.commit([edit(undefined, {})], ROOT);
  }
});

describe("processes that write one file", () => {
  it("take turns, see each other's changes, and give no address twice", async () => {
    await using inventory = await open();
    const lines = (await Promise.all(["a", "b", "c"].map(addNodes))).flat();
    const addressOf = (line: string): string => line.split(" ")[1] ?? "";
    expect(lines.map(addressOf).sort()).toEqual(Array.from({ length: 40 }, (_, n) => String(n + 10)));
    const nodes = await inventory.listNodes();
    expect(
      nodes
        .map(({ name, devices }) => `${name} ${devices[0]?.address?.slice("10.0.0.".length) ?? ""}`)
        .sort(),
    ).toEqual(lines.sort());
  });

  /** Adds a node with each address that nobody else was faster with; "NAME NUMBER" for each. */
  async function addNodes(prefix: string): Promise<string[]> {
    const program = `
      import { openInventory } from ${JSON.stringify(new URL("./open-inventory.ts", import.meta.url).href)};
      const inventory = await openInventory({ path: ${JSON.stringify(path)}, now: () => new Date() });
      for (let n = 10; n < 50; n += 1) {
        const fields = { devices: { eno1: { address: "10.0.0." + n } } };
        try {
          await inventory.commit([{ kind: "node", name: "${prefix}" + n, revision: 0, fields }], { user: "x" });
          process.stdout.write("${prefix}" + n + " " + n + "\\n");
        } catch (error) {
          if (error.code !== "address-in-use") throw error;
        }
      }
      await inventory[Symbol.asyncDispose]();`;
    const lines: string[] = [];
    const errors: string[] = [];
    const daemon = await startDaemon({
      program: process.execPath,
      args: ["--input-type=module", "--eval", program],
      onLine: (line, stream) => void (stream === "stderr" ? errors : lines).push(line),
    });
    expect(await daemon.exited).toEqual({ code: 0, signal: null });
    expect(errors).toEqual([]);
    return lines;
  }
});

describe("kill -9 in the middle of a change of many nodes", () => {
  it("leaves the state before it or the one after it, at whatever moment it comes", async () => {
    for (const killAfterMs of [0, 3, 10, 25, 60]) {
      await killedWhileChanging(killAfterMs);
      await using inventory = await open();
      const { nodes } = await inventory.listRecords();
      const comments = new Set(nodes.map(({ fields }) => fields.comment));
      expect([nodes.length, comments.size]).toEqual([2000, 1]);
      const [comment = ""] = comments;
      // The history says the same: as many whole changes as were made.
      const [last] = await inventory.listChanges({ limit: 1 });
      const details = await inventory.findChange(last?.id ?? 0);
      expect(new Set(details?.effects.map(({ after }) => JSON.stringify(after)))).toEqual(
        new Set([JSON.stringify({ comment })]),
      );
      expect(details?.effects).toHaveLength(2000);
      const db = new Sqlite(path, { readonly: true });
      const check = [db.pragma("integrity_check", { simple: true }), db.pragma("foreign_key_check")];
      db.close();
      expect(check).toEqual(["ok", []]);
    }
  });

  /** Changes all nodes over and over, and is killed some time after one of the changes has begun. */
  async function killedWhileChanging(killAfterMs: number): Promise<void> {
    const program = `
      import { openInventory } from ${JSON.stringify(new URL("./open-inventory.ts", import.meta.url).href)};
      const inventory = await openInventory({ path: ${JSON.stringify(path)}, now: () => new Date() });
      const names = Array.from({ length: 2000 }, (_, n) => "c" + n);
      for (let n = 0; ; n += 1) {
        const known = new Map((await inventory.listRecords()).nodes.map((node) => [node.name, node.revision]));
        const changes = names.map((name) => (
          { kind: "node", name, revision: known.get(name) ?? 0, fields: { comment: process.pid + "." + n } }));
        const committed = inventory.commit(changes, { user: "x" });
        if (n > 0) process.stdout.write("changing\\n");
        await committed;
      }`;
    const begun = Promise.withResolvers<undefined>();
    const errors: string[] = [];
    const daemon = await startDaemon({
      program: process.execPath,
      args: ["--input-type=module", "--eval", program],
      onLine: (line, stream) => {
        if (stream === "stderr") errors.push(line);
        else setTimeout(begun.resolve, killAfterMs, undefined);
      },
    });
    await Promise.race([begun.promise, daemon.exited]);
    daemon.kill("SIGKILL");
    expect(await daemon.exited).toEqual({ code: null, signal: "SIGKILL" });
    expect(errors).toEqual([]);
  }
});
