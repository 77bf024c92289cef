import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";

import { afterEach, beforeEach, expect, test } from "vitest";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";
import type { MusterEvent } from "../events/telemetry.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { openInventory } from "../inventory/open-inventory.ts";
import type { LiveSession } from "../sessions/serve-session.ts";
import { type HardwareKeeper, keepHardware } from "./keep-hardware.ts";
import { makeTestReport } from "./make-test-report.ts";

const NOW = new Date("2026-11-20T12:00:00.000Z");
const C1 = parseNodeName("c017");
const SMALLER = { memory: { totalBytes: 480 * 2 ** 30 } };

let directory: string;
let inventory: Inventory;
let events: Omit<MusterEvent, "id" | "at">[];
let keeper: HardwareKeeper;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-keep-hardware-"));
  inventory = await openInventory({ path: join(directory, "inventory.db"), now: () => NOW });
  await addNodes([C1]);
  events = [];
  keeper = keepHardware({
    inventory,
    telemetry: { recordEvent: (event) => void events.push(event) },
    now: () => NOW,
    reportIntervalMs: 0,
  });
});

afterEach(async () => {
  await inventory[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function addNodes(names: readonly NodeName[]): Promise<void> {
  const fields = { kernelArguments: [], overlays: [], runtimeOverlays: [], tags: {}, devices: [] };
  await inventory.addNodes(
    names.map((name) => ({ name, fields })),
    { user: "test" },
  );
}

function sessionOf(node: NodeName, bootId: string): LiveSession {
  return { node, bootId, address: "10.77.0.11", send: () => undefined };
}

async function report(session: LiveSession, content: HardwareReport, digest?: string): Promise<string> {
  const bytes = Buffer.from(JSON.stringify(content));
  const real = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  await keeper.received?.(session, {
    $case: "hardwareReport",
    value: { digest: digest ?? real, report: bytes },
  });
  return real;
}

test("a welcome names what the node reported in this boot, and nothing of another", async () => {
  expect(await keeper.digestOf(C1, "boot-1")).toBe("");
  const digest = await report(sessionOf(C1, "boot-1"), makeTestReport());
  expect(await keeper.digestOf(C1, "boot-1")).toBe(digest);
  expect(await keeper.digestOf(C1, "boot-2")).toBe("");
  expect(await inventory.listHardware([C1], 2)).toEqual([
    { node: C1, bootId: "boot-1", digest, report: makeTestReport(), reportedAt: NOW },
  ]);
  expect(events).toEqual([]);
});

test("a machine that lost memory since its last boot is one event, and only once", async () => {
  const [before] = [makeTestReport({ memory: { totalBytes: 512 * 2 ** 30 } })];
  await report(sessionOf(C1, "boot-1"), before);
  await report(sessionOf(C1, "boot-2"), makeTestReport({ ...SMALLER, disks: [] }));
  await report(sessionOf(C1, "boot-2"), makeTestReport({ ...SMALLER, disks: [] }));
  await report(sessionOf(C1, "boot-3"), makeTestReport({ ...SMALLER, disks: [] }));
  expect(events).toEqual([
    {
      severity: "warning",
      kind: "hardware-changed",
      node: C1,
      what: "c017: memory 512 -> 480 GiB, disk nvme0n1 gone (1.92 TB, SAMSUNG MZQL21T9)",
      fix: "muster hardware diff c017 shows all of it",
    },
  ]);
});

test("what differs without a person calling it a change is kept and no event", async () => {
  await report(sessionOf(C1, "boot-1"), makeTestReport());
  const digest = await report(sessionOf(C1, "boot-2"), makeTestReport({ kernel: "6.1.0-50-amd64" }));
  expect(await keeper.digestOf(C1, "boot-2")).toBe(digest);
  expect(events).toEqual([]);
});

test("a report that is refused is one event a boot and leaves the session alone", async () => {
  const wrong = `sha256:${"0".repeat(64)}`;
  await report(sessionOf(C1, "boot-1"), makeTestReport(), wrong);
  await report(sessionOf(C1, "boot-1"), makeTestReport(), wrong);
  await report(sessionOf(C1, "boot-2"), makeTestReport(), wrong);
  const event = {
    severity: "warning",
    kind: "hardware-refused",
    node: C1,
    what: "c017: hardware report refused: it does not have the digest it came with",
    fix: "see that agent and controller are of the same release, or one apart",
  };
  expect(events).toEqual([event, event]);
  expect(await inventory.listHardware([C1], 1)).toEqual([]);
});

test("a disk that is full is an event and leaves the session alone", async () => {
  const full = new MusterError({ code: "disk-full", what: "no space left", fix: "free some" });
  keeper = keepHardware({
    inventory: { recordHardware: () => Promise.reject(full), findHardwareDigest: async () => undefined },
    telemetry: { recordEvent: (event) => void events.push(event) },
    now: () => NOW,
  });
  await report(sessionOf(C1, "boot-1"), makeTestReport());
  expect(events).toEqual([
    {
      severity: "error",
      kind: "hardware-lost",
      node: C1,
      what: "c017: its hardware report was not kept: no space left",
      fix: "free some",
    },
  ]);
});

test("messages about other things are not for this", async () => {
  await keeper.received?.(sessionOf(C1, "boot-1"), { $case: "heartbeat", value: { uptimeSeconds: 1 } });
  expect([events, await inventory.listHardware([C1], 1)]).toEqual([[], []]);
});

test("2,000 nodes that report at once are kept in full, and hold nobody else up", async () => {
  const nodes = Array.from({ length: 2000 }, (_, n) => parseNodeName(`n${n}`));
  await addNodes(nodes);
  // The size of a report of a large server: about 40 KB.
  const pci = Array.from({ length: 250 }, (_, n) => ({
    address: `0000:${n.toString(16).padStart(2, "0")}:00.0`,
    class: "088000",
    vendor: "8086",
    device: "09a2",
    subsystem: "80860000",
    link: { speedGts: 16, width: 16, maxSpeedGts: 16, maxWidth: 16 },
  }));
  const delay = monitorEventLoopDelay({ resolution: 2 });
  delay.enable();
  const kept: Promise<string>[] = [];
  for (const node of nodes) {
    // Each comes from a connection of its own.
    await new Promise(setImmediate);
    kept.push(report(sessionOf(node, "b"), makeTestReport({ pci, system: { serial: node } })));
  }
  await Promise.all(kept);
  delay.disable();
  expect((await inventory.listHardware(nodes, 1)).length).toBe(2000);
  // 10 ms on a machine with nothing else to do.
  expect(delay.max / 1e6).toBeLessThan(1000);
}, 60_000);
