import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, expect, it } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import { makeTestReport } from "../hardware/make-test-report.ts";
import type { Inventory, StoredHardware } from "./inventory.ts";
import { openInventory } from "./open-inventory.ts";

const NOW = new Date("2026-01-02T03:04:05.678Z");
const C1 = parseNodeName("c1");
const C2 = parseNodeName("c2");
const FIELDS = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
const LARGE = makeTestReport();
const SMALL = makeTestReport({ memory: { totalBytes: 2 ** 38 } });

let directory: string;
let inventory: Inventory;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "muster-hardware-"));
  inventory = await openInventory({ path: join(directory, "inventory.db"), now: () => NOW });
  await inventory.addNodes(
    [C1, C2].map((name) => ({ name, fields: FIELDS })),
    { user: "root" },
  );
});

afterEach(async () => {
  await inventory[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

function stored(node: typeof C1, boot: number, report = LARGE): StoredHardware {
  const digest = digestOfHex((report === LARGE ? "a" : "b").repeat(64));
  return { node, bootId: `boot-${boot}`, digest, report, reportedAt: new Date(NOW.getTime() + boot * 1000) };
}

function countContents(): unknown {
  const db = new Sqlite(join(directory, "inventory.db"), { readonly: true });
  try {
    return db.prepare("select node, digest from hardware_contents order by node, digest").all();
  } finally {
    db.close();
  }
}

it("the first report of a node has none before it, and a report like the last one neither", async () => {
  expect(await inventory.findHardwareDigest(C1, "boot-1")).toBeUndefined();
  expect(await inventory.recordHardware([stored(C1, 1)])).toEqual([undefined]);
  expect(await inventory.findHardwareDigest(C1, "boot-1")).toBe(stored(C1, 1).digest);
  expect(await inventory.findHardwareDigest(C2, "boot-1")).toBeUndefined();
  expect(await inventory.recordHardware([stored(C1, 1), stored(C1, 2)])).toEqual([undefined, undefined]);
});

it("a report unlike the last one gives the last one, of this boot or of one before", async () => {
  await inventory.recordHardware([stored(C1, 1)]);
  expect(await inventory.recordHardware([stored(C1, 2, SMALL)])).toEqual([LARGE]);
  expect(await inventory.recordHardware([stored(C1, 2)])).toEqual([SMALL]);
  expect(await inventory.listHardware([C1, C2], 5)).toEqual([stored(C1, 2), stored(C1, 1)]);
});

it("equal reports of a node are kept once, and what no boot names any more goes", async () => {
  await inventory.recordHardware([stored(C1, 1), stored(C1, 2), stored(C1, 3, SMALL), stored(C2, 1)]);
  const [a, b] = [stored(C1, 1).digest, stored(C1, 3, SMALL).digest];
  expect(countContents()).toEqual([
    { node: "c1", digest: a },
    { node: "c1", digest: b },
    { node: "c2", digest: a },
  ]);
  await inventory.recordHardware([stored(C1, 3)]);
  expect(countContents()).toEqual([
    { node: "c1", digest: a },
    { node: "c2", digest: a },
  ]);
});

it("of each node the last five boots are kept", async () => {
  for (let boot = 1; boot <= 7; boot += 1) await inventory.recordHardware([stored(C1, boot)]);
  await inventory.recordHardware([stored(C2, 1, SMALL)]);
  expect((await inventory.listHardware([C1, C2], 9)).map(({ node, bootId }) => `${node} ${bootId}`)).toEqual([
    "c1 boot-7",
    "c1 boot-6",
    "c1 boot-5",
    "c1 boot-4",
    "c1 boot-3",
    "c2 boot-1",
  ]);
  expect(await inventory.listHardware([C1, C2], 1)).toEqual([stored(C1, 7), stored(C2, 1, SMALL)]);
});

it("reports survive a restart, and go with their node", async () => {
  await inventory.recordHardware([stored(C1, 1), stored(C2, 1)]);
  await inventory[Symbol.asyncDispose]();
  inventory = await openInventory({ path: join(directory, "inventory.db"), now: () => NOW });
  expect(await inventory.listHardware([C1], 1)).toEqual([stored(C1, 1)]);
  await inventory.deleteNodes([C1], { user: "root" });
  expect(await inventory.listHardware([C1, C2], 1)).toEqual([stored(C2, 1)]);
  expect(countContents()).toEqual([{ node: "c2", digest: stored(C2, 1).digest }]);
});

it("a report of a node that is gone by now is dropped, and the others of its batch are kept", async () => {
  const gone = parseNodeName("c9");
  expect(await inventory.recordHardware([stored(gone, 1), stored(C1, 1)])).toEqual([undefined, undefined]);
  expect(await inventory.listHardware([gone, C1], 1)).toEqual([stored(C1, 1)]);
});
