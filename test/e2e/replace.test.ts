import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { waitFor } from "../lab/wait-for.ts";
import {
  BOOT_DEADLINE_MS,
  type Cluster,
  describeTrouble,
  getNode,
  listEvents,
  listPending,
  openCluster,
  waitForPending,
  waitForReady,
} from "./cluster.ts";

const OLD = { mac: "52:54:00:77:17:01", serial: "SN-OLD", firmware: "bios" } as const;
const SPARE = { mac: "52:54:00:77:17:02", serial: "SN-SPARE", firmware: "bios" } as const;
const SENTENCE =
  /muster: cannot boot: this machine was replaced as c017 by \S+ on \d{4}-\d\d-\d\d \(board dead\)/;

/** The console without the line ends that the firmware puts after 80 characters. */
async function readLines(machine: VirtualMachine): Promise<string> {
  return (await machine.readConsole()).replaceAll(/[\r\n]/g, "");
}

/** One cluster and two machines for all of this file: each test goes on where the one before left off. */
describe("a hot spare that takes the place of a node", () => {
  let cluster: Cluster;
  let old: VirtualMachine;
  let spare: VirtualMachine;
  let log: string;

  beforeAll(async () => {
    cluster = await openCluster();
    const { lab, controller } = cluster;
    log = join(lab.directory, "hook.log");
    const hooks = join(lab.directory, "hooks.d");
    await mkdir(hooks, { mode: 0o755 });
    await writeFile(join(hooks, "log"), `#!/bin/sh\necho "$1 $MUSTER_NODES" >>${log}\n`);
    await chmod(join(hooks, "log"), 0o755);
    await controller.mustMuster(["node", "add", "c017", "--mac", OLD.mac, "-y"]);
    old = await lab.addMachine({ name: "old", ...OLD });
    spare = await lab.addMachine({ name: "spare", ...SPARE });
    await old.powerOn();
    await spare.powerOn();
    await waitForReady(cluster, "c017", old);
    await waitForPending(cluster, spare);
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  const hooksSaw = async (line: string, times = 1): Promise<void> => {
    await waitFor(async () => (await readLog()).filter((one) => one === line).length >= times, {
      what: `the hook to see ${line}`,
      deadlineMs: 60_000,
      instead: async () => (await readLog()).join("\n"),
    });
  };
  const readLog = async (): Promise<readonly string[]> =>
    (await readFile(log, "utf8").catch(() => "")).trim().split("\n");

  test("is the node as soon as the operator says so, although the old machine is still on", async () => {
    await hooksSaw("node-up c017");
    const { bootId } = (await getNode(cluster, "c017")).status;
    const said = await cluster.controller.muster([
      ...["node", "replace", "c017", "--mac", SPARE.mac, "-y", "-m", "board dead"],
    ]);
    expect([said.exitCode, said.stderr]).toEqual([
      0,
      expect.stringMatching(/it waited as \S+: approved/) as string,
    ]);
    const node = await waitForReady(cluster, "c017", spare, bootId);
    expect(node.devices[0]?.mac).toBe(SPARE.mac);
    expect(await listPending(cluster)).toEqual([]);
    await hooksSaw("node-down c017");
    await hooksSaw("node-up c017", 2);
    await hooksSaw("node-approved c017");
    expect((await readLog()).some((line) => line.startsWith("change-committed"))).toBe(true);
  });

  test("keeps the place when the old machine is restarted: it is told by whom it was replaced, and waits", async () => {
    const { bootId } = (await getNode(cluster, "c017")).status;
    await old.powerOff();
    await old.powerOn();
    await waitFor(async () => SENTENCE.test(await readLines(old)), {
      what: "the old machine to be told",
      deadlineMs: BOOT_DEADLINE_MS,
      intervalMs: 500,
      instead: () => describeTrouble(cluster, old),
    });
    expect(await readLines(old)).toContain(
      `ask the operator; to let it in again: muster node refused readmit ${OLD.mac}`,
    );
    expect((await getNode(cluster, "c017")).status).toMatchObject({ state: "ready", bootId });
    expect(await listPending(cluster)).toEqual([]);
    const told = (await listEvents(cluster))
      .filter(({ kind }) => kind === "nothing-to-boot")
      .map(({ what }) => what);
    expect(told).toEqual([
      expect.stringContaining(`${OLD.mac}) cannot boot: this machine was replaced as c017`),
    ]);
    expect(await cluster.controller.mustMuster(["node", "refused", "list"])).toMatch(
      new RegExp(`^${OLD.mac} +c017 .*board dead +SN-OLD`, "m"),
    );
  });

  test("the old machine is another one after it was readmitted", async () => {
    await cluster.controller.mustMuster(["node", "refused", "readmit", OLD.mac]);
    await old.powerOff();
    await old.powerOn();
    expect((await waitForPending(cluster, old)).serial).toBe("SN-OLD");
  });
});
