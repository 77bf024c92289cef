import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";

import type { Fields } from "../fields/fields.ts";
import type { ChangeDetails } from "./changes.ts";
import type { DeniedBoot, Inventory } from "./inventory.ts";
import { openInventory } from "./open-inventory.ts";

const [C017, C018] = [parseNodeName("c017"), parseNodeName("c018")];
const [OLD, OTHER, NEW] = ["52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"].map(
  parseMacAddress,
) as [
  ReturnType<typeof parseMacAddress>,
  ReturnType<typeof parseMacAddress>,
  ReturnType<typeof parseMacAddress>,
];
const UUID = "4c4c4544-0000-1000-8000-000000000017";
const NOW = new Date("2026-11-20T12:00:00.000Z");
const ANNA = { user: "anna", reason: "board dead" };
const FIELDS: Fields = {
  devices: { eno1: { mac: OLD, address: "10.77.0.17" } },
  bmc: { address: "10.9.0.17" },
};

let directory: string;
let inventory: Inventory;
let denied: DeniedBoot[];
let committed: ChangeDetails[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-machines-"));
  inventory = await openInventory({ path: join(directory, "inventory.db"), now: () => NOW });
  denied = [];
  committed = [];
  await inventory.commit(
    [
      { kind: "node", name: C017, revision: 0, fields: FIELDS },
      { kind: "node", name: C018, revision: 0, fields: { devices: { eno1: { mac: OTHER } } } },
    ],
    { user: "root" },
  );
  await inventory.recordMachine(C017, { smbiosUuid: UUID, serial: "S17" });
  for (const node of [C017, C018]) {
    await inventory.recordIdentity({
      ...{ node, bootId: `boot-${node}`, keyHash: "k", certificateSerial: "s", issuedAt: NOW },
      expiresAt: new Date(NOW.getTime() + 3_600_000),
    });
  }
  inventory.onBootsDenied((boots) => denied.push(...boots));
  inventory.onCommitted((change) => committed.push(change));
});
afterEach(async () => {
  await inventory[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

describe("replaceMachine", () => {
  test("is one change: the MAC, nothing learned any more, no identity, and the old machine is refused", async () => {
    const { id } = await inventory.replaceMachine(C017, { mac: NEW, revision: 1 }, ANNA);
    expect(await inventory.findNodeByMac(OLD)).toBeUndefined();
    expect(await inventory.findNodeByMac(NEW)).toMatchObject({ name: C017, revision: 2, machine: {} });
    expect(await inventory.findIdentity(C017)).toBeUndefined();
    expect(await inventory.findIdentity(C018)).toBeDefined();
    expect(denied).toMatchObject([
      { node: C017, bootId: "boot-c017", why: "another machine is c017 now (replaced by anna: board dead)" },
    ]);
    const refused = { mac: OLD, macs: [OLD], smbiosUuid: UUID, serial: "S17", node: C017 };
    expect(await inventory.listRefusedMachines()).toEqual([
      { ...refused, user: "anna", reason: "board dead", at: NOW },
    ]);
    expect(
      committed.map((change) => [change.id, change.effects.map(({ kind, name }) => `${kind} ${name}`)]),
    ).toEqual([[id, ["node c017", "machine c017", "identity c017", `refused-machine ${OLD}`]]]);
    expect((await inventory.findChange(id ?? 0))?.effects.map(({ kind }) => kind)).toEqual([
      "node",
      "machine",
      "identity",
      "refused-machine",
    ]);
  });

  test("is what the next musterd finds", async () => {
    await inventory.replaceMachine(C017, { mac: NEW, serial: "S99", revision: 1 }, ANNA);
    await inventory[Symbol.asyncDispose]();
    inventory = await openInventory({ path: join(directory, "inventory.db"), now: () => NOW });
    expect((await inventory.findNode(C017))?.machine).toEqual({ serial: "S99" });
    expect(await inventory.listRefusedMachines()).toHaveLength(1);
  });

  test("with the MAC of another node says to swap, and changes nothing", async () => {
    await expect(inventory.replaceMachine(C017, { mac: OTHER, revision: 1 }, ANNA)).rejects.toMatchObject({
      code: "mac-in-use",
      fix: "exchange the machines of the two (muster node swap c017 c018), or delete c018 first",
    });
    await expect(inventory.replaceMachine(C017, { mac: OLD, revision: 1 }, ANNA)).rejects.toMatchObject({
      code: "argument-invalid",
    });
    await expect(inventory.replaceMachine(C017, { mac: NEW, revision: 7 }, ANNA)).rejects.toMatchObject({
      code: "revision-stale",
    });
    expect([await inventory.listRefusedMachines(), denied, committed]).toEqual([[], [], []]);
  });

  test("only looked at changes nothing", async () => {
    const { id } = await inventory.replaceMachine(C017, { mac: NEW, revision: 1 }, ANNA, { dryRun: true });
    expect([id, await inventory.listRefusedMachines(), denied]).toEqual([undefined, [], []]);
    expect((await inventory.findNodeByMac(OLD))?.name).toBe(C017);
  });

  test("by the machine that was replaced before lets it in again, and refuses the one it had meanwhile", async () => {
    await inventory.replaceMachine(C017, { mac: NEW, revision: 1 }, ANNA);
    await inventory.replaceMachine(C017, { mac: OLD, revision: 2 }, ANNA);
    expect((await inventory.listRefusedMachines()).map(({ mac }) => mac)).toEqual([NEW]);
  });

  test("by the same board with a new card refuses only the old card", async () => {
    await inventory.recordPending(
      {
        ...{ claimCode: "AB12", machineKey: `${UUID}/${NEW}`, bootMac: NEW, macs: [NEW], smbiosUuid: UUID },
        ...{ serial: "S17", vendor: "", product: "", architecture: "x86_64", firmware: "efi", cpus: 1 },
        ...{ sockets: 1, memoryBytes: 1, cpuModel: "", address: "10.77.0.130" },
      },
      NOW,
    );
    await inventory.replaceMachine(C017, { mac: NEW, revision: 1 }, ANNA);
    const [refused] = await inventory.listRefusedMachines();
    expect([refused?.mac, refused?.smbiosUuid, refused?.serial]).toEqual([OLD, undefined, undefined]);
  });
});

describe("swapMachines", () => {
  const nodes = [
    { name: C017, revision: 1 },
    { name: C018, revision: 1 },
  ] as const;

  test("exchanges MACs, BMC and what was learned, and voids both identities, in one change", async () => {
    await inventory.swapMachines(nodes, { user: "anna" });
    const [a, b] = await inventory.listNodes();
    expect([a?.devices[0]?.mac, a?.devices[0]?.address, a?.bmc, a?.machine]).toEqual([
      OTHER,
      "10.77.0.17",
      undefined,
      {},
    ]);
    expect([b?.devices[0]?.mac, b?.bmc, b?.machine]).toEqual([
      OLD,
      FIELDS.bmc,
      { smbiosUuid: UUID, serial: "S17" },
    ]);
    expect(denied.map(({ node }) => node)).toEqual([C017, C018]);
    expect(committed).toHaveLength(1);
    expect(await inventory.listRefusedMachines()).toEqual([]);
  });

  test("of a node with itself, or at a revision that is past, is refused", async () => {
    await expect(inventory.swapMachines([nodes[0], nodes[0]], ANNA)).rejects.toMatchObject({
      code: "argument-invalid",
    });
    await expect(inventory.swapMachines([nodes[0], { name: C018, revision: 9 }], ANNA)).rejects.toMatchObject(
      { code: "revision-stale" },
    );
    expect(denied).toEqual([]);
  });
});

describe("readmitMachine", () => {
  test("takes a machine off the list, whichever of its MACs is named; another MAC is not found", async () => {
    await inventory.replaceMachine(C017, { mac: NEW, revision: 1 }, ANNA);
    await expect(inventory.readmitMachine(OTHER, ANNA)).rejects.toMatchObject({ code: "not-found" });
    await inventory.readmitMachine(OLD, ANNA);
    expect(await inventory.listRefusedMachines()).toEqual([]);
    const [last] = await inventory.listChanges({ limit: 1 });
    expect(last?.groups).toEqual([
      { kind: "refused-machine", action: "deleted", fields: [], names: OLD, count: 1 },
    ]);
  });
});
