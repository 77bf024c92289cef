import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { openInventory } from "../inventory/open-inventory.ts";
import type { NodeStatusAlert } from "../sessions/fleet.ts";
import { type ImpostorWatch, watchImpostors } from "./watch-impostors.ts";

const C001 = parseNodeName("c001");
const ATTEMPT = { node: C001, address: "10.77.0.9", presented: "a one-time token" };
const WHAT = "10.77.0.9 claimed to be c001, which it is not, with a one-time token";
const ROOT = { user: "root" };

let directory: string;
let inventory: Inventory;
let now: Date;
let events: string[];
let shown: Map<string, NodeStatusAlert | undefined>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-impostors-"));
  now = new Date("2026-11-20T12:00:00Z");
  inventory = await openInventory({ path: join(directory, "inventory.db"), now: () => now });
  const fields = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  await inventory.addNodes([{ name: C001, fields }], ROOT);
  events = [];
  shown = new Map();
});
afterEach(async () => {
  await inventory[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** As a musterd that starts: nothing but the inventory is left of the one before. */
function start(): Promise<ImpostorWatch> {
  shown = new Map();
  return watchImpostors({
    inventory,
    telemetry: { recordEvent: ({ kind, what }) => events.push(`${kind}: ${what}`) },
    fleet: { alerted: (node, alert) => void shown.set(node, alert) },
    now: () => now,
    onBug: (error) => {
      throw error;
    },
  });
}

async function kept(): Promise<readonly string[]> {
  return (await inventory.listAlerts()).map(({ what }) => what);
}

test("an attempt is an event and an alert that survives a restart; the same again is neither for ten minutes", async () => {
  using watch = await start();
  for (let time = 0; time < 5; time += 1) watch.seen(ATTEMPT);
  expect(events).toEqual([`impostor: ${WHAT}`]);
  now = new Date(now.getTime() + 601_000);
  watch.seen(ATTEMPT);
  watch.seen({ ...ATTEMPT, address: "10.77.0.10", mac: "52:54:00:00:00:01", serial: "S\u001b[31m" });
  const latest =
    "10.77.0.10 (52:54:00:00:00:01, serial S [31m) claimed to be c001, which it is not, with a one-time token";
  expect(events.slice(1)).toEqual([`impostor: ${WHAT}`, `impostor: ${latest}`]);
  await vi.waitUntil(async () => (await kept())[0] === latest);
  using again = await start();
  expect(again).toBeDefined();
  expect([...shown]).toMatchObject([["c001", { kind: "impostor", what: latest, at: now }]]);
});

test("an alert goes when it is cleared, and the next attempt is news", async () => {
  using watch = await start();
  watch.seen(ATTEMPT);
  expect([await watch.clear([C001], ROOT), await watch.clear([C001], ROOT)]).toEqual([[C001], []]);
  expect([await kept(), shown.get("c001")]).toEqual([[], undefined]);
  watch.seen(ATTEMPT);
  expect(events).toEqual([
    `impostor: ${WHAT}`,
    "alert-cleared: alerts of c001 cleared by root",
    `impostor: ${WHAT}`,
  ]);
});

test("an alert goes by itself after a day without another attempt, also while musterd was down", async () => {
  const watch = await start();
  watch.seen(ATTEMPT);
  await vi.waitUntil(async () => (await kept()).length === 1);
  watch[Symbol.dispose]();
  now = new Date(now.getTime() + 24 * 3600_000 - 1);
  const still = await start();
  expect(shown.get("c001")).toMatchObject({ what: WHAT });
  still[Symbol.dispose]();
  now = new Date(now.getTime() + 1);
  using gone = await start();
  expect(gone).toBeDefined();
  expect([shown.get("c001"), await kept()]).toEqual([undefined, []]);
});

test("an attempt on a node that was deleted meanwhile does no harm", async () => {
  using watch = await start();
  await inventory.deleteNodes([C001], ROOT);
  watch.seen(ATTEMPT);
  expect(await kept()).toEqual([]);
});

test("an alert that could not be written is shown, and can be cleared", async () => {
  vi.spyOn(inventory, "putAlert").mockRejectedValue(new Error("disk full"));
  using watch = await start();
  watch.seen(ATTEMPT);
  expect(shown.get("c001")).toMatchObject({ what: WHAT });
  expect(await watch.clear([C001], ROOT)).toEqual([C001]);
  expect([...shown]).toEqual([["c001", undefined]]);
});
