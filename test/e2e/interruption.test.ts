import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { BOOT_STAGES } from "#proto/contract/boot-stage.ts";

import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { waitFor } from "../lab/wait-for.ts";
import {
  BOOT_DEADLINE_MS,
  type Cluster,
  countOnConsole,
  describeTrouble,
  getNode,
  IMAGE,
  listBoots,
  listEvents,
  listNodes,
  listPending,
  openCluster,
  waitForPending,
  waitForReady,
} from "./cluster.ts";

const KNOWN_MAC = "52:54:00:77:21:01";
const UNKNOWN_MAC = "52:54:00:77:21:02";

/** One cluster for all of this file: each test goes on where the one before left off. */
describe("a controller that is killed and comes back", () => {
  let cluster: Cluster;
  let known: VirtualMachine;
  let unknown: VirtualMachine;
  let claimCode = "";

  beforeAll(async () => {
    cluster = await openCluster();
    await cluster.controller.mustMuster(["node", "add", "c001", "--mac", KNOWN_MAC, "--image", IMAGE]);
    known = await cluster.lab.addMachine({ name: "m1", mac: KNOWN_MAC, firmware: "bios" });
    unknown = await cluster.lab.addMachine({ name: "m2", mac: UNKNOWN_MAC, firmware: "bios" });
  });

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  test("a root file system that was streaming is fetched on from where it broke off, and verified", async () => {
    await unknown.powerOn();
    ({ claimCode } = await waitForPending(cluster, unknown));
    await known.powerOn();
    await known.waitForConsole(/muster: fetching: \d/, { deadlineMs: BOOT_DEADLINE_MS });
    await cluster.controller.kill9();
    // The node noticed: from here on it depends on the next musterd.
    const broke = await known.waitForConsole(/; resuming at (\d+) of (\d+) MB/, { deadlineMs: 60_000 });
    await cluster.controller.start();

    await waitForReady(cluster, "c001", known);
    const [, offset = "", size = ""] = broke;
    expect(Number(offset)).toBeGreaterThan(0);
    expect(Number(offset)).toBeLessThan(Number(size));
    const resumed = [...(await known.readConsole()).matchAll(/; resuming at (\d+) of/g)];
    // It never began anew.
    expect(resumed.map(([, at]) => Number(at) >= Number(offset))).not.toContain(false);
    expect(await countOnConsole(known, /muster: fetched and verified /g)).toBe(1);
    expect(await countOnConsole(known, /arrived with wrong bytes/g)).toBe(0);
    expect(await countOnConsole(known, /FAILED/g), await describeTrouble(cluster, known)).toBe(0);
  });

  test("that boot is one boot: one pass through firmware and network, all stages in one waterfall", async () => {
    expect(await countOnConsole(known, /SeaBIOS \(version/g)).toBe(1);
    expect(await countOnConsole(known, /muster: network: /g)).toBe(1);
    const boots = await listBoots(cluster, "c001");
    expect(boots.map(({ outcome, stages }) => [outcome, stages.map(({ stage }) => stage)])).toEqual([
      ["ready", BOOT_STAGES.map(({ name }) => name).filter((stage) => stage !== "approval")],
    ]);
  });

  test("a machine that waited for approval waits again with the same claim code, and carries on when approved", async () => {
    await waitFor(async () => (await countOnConsole(unknown, /its claim code is/g)) >= 2, {
      what: "the machine to ask again",
      deadlineMs: 90_000,
      instead: () => describeTrouble(cluster, unknown),
    });
    const codes = [...(await unknown.readConsole()).matchAll(/its claim code is {3}(\S+)/g)];
    expect(new Set(codes.map(([, code]) => code))).toEqual(new Set([claimCode]));
    expect((await listPending(cluster)).map((machine) => [machine.claimCode, machine.bootMac])).toEqual([
      [claimCode, UNKNOWN_MAC],
    ]);
    await cluster.controller.mustMuster(["node", "approve", claimCode, "--name", "c002"]);
    await waitForReady(cluster, "c002", unknown);
    expect(await countOnConsole(unknown, /SeaBIOS \(version/g)).toBe(1);
    expect(await countOnConsole(unknown, /muster: network: /g)).toBe(1);
    expect(await listBoots(cluster, "c002")).toHaveLength(1);
  });

  test("nodes that are ready are ready again after another kill, in the boot they were in", async () => {
    const bootIds = async (): Promise<unknown> =>
      (await listNodes(cluster)).map(({ name, status }) => [name, status.bootId]);
    const before = await bootIds();
    await cluster.controller.kill9();
    await cluster.controller.start();
    for (const [name, machine] of [
      ["c001", known],
      ["c002", unknown],
    ] as const) {
      await waitForReady(cluster, name, machine);
      expect(await listBoots(cluster, name)).toHaveLength(1);
      expect((await getNode(cluster, name)).status.imageVersion).toBe(1);
    }
    expect(await bootIds()).toEqual(before);
    const kinds = (await listEvents(cluster)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => /corrupt|failed|refused/.test(kind))).toEqual([]);
  });
});
