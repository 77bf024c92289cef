import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { waitFor } from "../lab/wait-for.ts";
import {
  BOOT_DEADLINE_MS,
  type Cluster,
  countOnConsole,
  describeTrouble,
  getNode,
  listBoots,
  listEvents,
  listNodes,
  listPending,
  openCluster,
  waitForReady,
} from "./cluster.ts";

/** What the thief has copied: everything a machine says of itself. */
const STOLEN = {
  mac: "52:54:00:77:31:01",
  uuid: "31313131-3131-4131-8131-313131313131",
  serial: "SN-31",
  firmware: "bios",
} as const;

/** One cluster and one node for all of this file: each test goes on where the one before left off. */
describe("a machine with the MAC address, SMBIOS UUID and serial number of a node that is up", () => {
  let cluster: Cluster;
  let node: VirtualMachine;
  let thief: VirtualMachine;
  let bootId: string | undefined;

  beforeAll(async () => {
    cluster = await openCluster();
    await cluster.controller.mustMuster(["node", "add", "c001", "--mac", STOLEN.mac]);
    node = await cluster.lab.addMachine({ name: "node", ...STOLEN });
    thief = await cluster.lab.addMachine({ name: "thief", ...STOLEN });
    await node.powerOn();
    ({ bootId } = (await waitForReady(cluster, "c001", node)).status);
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  /** Not waitForReady: the newest boot in the history is the thief's, which came to nothing. */
  async function waitUntilUp(): Promise<void> {
    await waitFor(
      async () => {
        const { state, bootId: now } = (await getNode(cluster, "c001")).status;
        return state === "ready" && now === bootId;
      },
      {
        what: "c001 to be ready in its boot",
        deadlineMs: 90_000,
        instead: () => describeTrouble(cluster, node),
      },
    );
  }

  test("gets a boot script, and no identity with it", async () => {
    await thief.powerOn();
    // Its firmware, its DHCP lease and its address are the node's: only the node itself can tell them apart. The
    // refusal may not reach it: the bridge delivers to whoever spoke last.
    await waitFor(
      async () =>
        (await listEvents(cluster)).some(
          ({ kind, what }) => kind === "impostor" && what.endsWith("with a one-time token"),
        ),
      {
        what: "the thief to be refused",
        deadlineMs: BOOT_DEADLINE_MS,
        instead: () => describeTrouble(cluster, thief),
      },
    );
    expect(await countOnConsole(thief, /muster: controller \S+ verified/g)).toBe(1);
    expect(await countOnConsole(thief, /muster: (enrolled as|fetched and verified|handing over)/g)).toBe(0);
    expect(await listPending(cluster)).toEqual([]);
  });

  test("is an event with what it claimed, and makes its node stand out in the list", async () => {
    const events = (await listEvents(cluster)).filter(({ kind }) => kind === "impostor");
    expect(events.map(({ severity, node: name }) => [severity, name])).toContainEqual(["error", "c001"]);
    expect(events.at(-1)?.what).toMatch(
      /^10\.77\.0\.\d+ \(52:54:00:77:31:01, SMBIOS UUID 31313131-[0-9a-f-]+, serial SN-31\) claimed to be c001/,
    );
    expect(await cluster.controller.mustMuster(["node", "list"])).toMatch(/ALERT\nc001 .* impostor\n$/);
    const [listed] = await listNodes(cluster);
    expect(listed?.status.alert?.kind).toBe("impostor");
  });

  test("does not disturb the node, which goes on in its boot and its session", async () => {
    await thief.powerOff();
    await waitUntilUp();
    const boots = await listBoots(cluster, "c001");
    expect(boots.filter(({ outcome }) => outcome === "ready").map((boot) => boot.bootId)).toEqual([bootId]);
    expect(await countOnConsole(node, /SeaBIOS \(version/g)).toBe(1);
  });

  test("is remembered by the next musterd, until the operator has settled it", async () => {
    await cluster.controller.kill9();
    await cluster.controller.start();
    expect((await getNode(cluster, "c001")).status.alert?.kind).toBe("impostor");
    await waitUntilUp();
    await cluster.controller.mustMuster(["node", "clear-alert", "c001"]);
    expect((await getNode(cluster, "c001")).status.alert).toBeUndefined();
  });

  test("is no hindrance to the node's own restart: pulled plug, power, ready, without an alert", async () => {
    await node.powerOff();
    await node.powerOn();
    const again = await waitForReady(cluster, "c001", node, bootId);
    expect(again.status.alert).toBeUndefined();
    bootId = again.status.bootId;
  });

  test("a node that is revoked goes on running without a session", async () => {
    await cluster.controller.mustMuster(["node", "revoke", "c001", "-y", "-m", "a test"]);
    await waitFor(async () => (await getNode(cluster, "c001")).status.state === "unreachable", {
      what: "c001 to lose its session",
      deadlineMs: 5000,
    });
    expect((await listEvents(cluster)).map(({ kind }) => kind)).toContain("identity-revoked");
    expect(node.isRunning).toBe(true);
    expect(await countOnConsole(node, /SeaBIOS \(version/g)).toBe(1);
  });
});
