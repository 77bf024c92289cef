import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { EventView } from "../../controller/api/rest/schemas.ts";
import { addDirectMachine } from "../bench/direct-boot.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { waitFor } from "../lab/wait-for.ts";
import {
  type Cluster,
  describeTrouble,
  listEvents,
  listNodes,
  openCluster,
  waitForReady,
  writeOverlay,
} from "./cluster.ts";
import { type JobFacts, type NodeLogin, openLogin, RUNNING_OVERLAY } from "./running-node.ts";

/** Nodes look at their files once a minute, all at its beginning: as often as can be. */
const CONFIG = `overlays: { schedule: "* * * * *", jitter: 0s, runtime: [site] }\n`;
const NODES = ["c001", "c002", "c003", "c004"] as const;
const FIRST = NODES[0];
/** A node that has waited for its controller for minutes asks again within a minute. */
const RETURN_DEADLINE_MS = 75_000;
/** Six machines' worth of work on two cores: what a job notices of that is not what this is about. */
const MOST_GAP_SECONDS = 10;

describe("musterd, killed while four nodes run jobs", () => {
  let cluster: Cluster;
  let login: NodeLogin;
  const machines = new Map<string, VirtualMachine>();
  let bootIds: readonly (string | undefined)[];
  let jobs: readonly JobFacts[];
  let lastEvent: EventView | undefined;

  const addressOf = (node: string): string => `10.77.0.2${node.at(-1)}`;
  const bootsNow = async () => (await listNodes(cluster)).map(({ status }) => status.bootId);
  /** While no controller answers there is no `muster ssh`. */
  const sshTo = async (node: string, command: string): Promise<string> => {
    const unknown = [
      "-o",
      "StrictHostKeyChecking=no",
      "-o",
      "UserKnownHostsFile=/dev/null",
      "-o",
      "LogLevel=ERROR",
    ];
    const { exitCode, stdout, stderr } = await cluster.lab.run({
      program: "ssh",
      args: [...unknown, ...login.sshOptions, addressOf(node), command],
    });
    if (exitCode !== 0) throw new Error(`ssh ${node} ${command}: ${stderr}`);
    return stdout.trimEnd();
  };

  beforeAll(async () => {
    cluster = await openCluster({ moreConfig: CONFIG });
    login = await openLogin(cluster);
    await writeOverlay(cluster, "site", [{ path: "etc/site/first", text: "first\n" }]);
    // Two by two, as many as there are cores.
    for (const pair of [NODES.slice(0, 2), NODES.slice(2)]) {
      for (const name of pair) {
        const mac = `52:54:00:77:35:0${name.at(-1)}`;
        const fields = ["--mac", mac, "--address", addressOf(name), "--overlay", RUNNING_OVERLAY];
        await cluster.controller.mustMuster(["node", "add", name, ...fields]);
        const machine = await addDirectMachine(cluster, { name, mac }, addressOf(name));
        machines.set(name, machine);
        await machine.powerOn();
      }
      for (const name of pair) {
        await waitForReady(cluster, name, machineOf(name));
        await login.waitFor(name);
      }
    }
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  function machineOf(name: string): VirtualMachine {
    const machine = machines.get(name);
    if (machine === undefined) throw new Error(`there is no ${name}`);
    return machine;
  }

  test("is not needed by nodes to keep their overlay true", async () => {
    bootIds = await bootsNow();
    expect(new Set(bootIds).size).toBe(NODES.length);
    jobs = await Promise.all(NODES.map((name) => login.job(name)));
    lastEvent = (await listEvents(cluster)).at(-1);
    await cluster.controller.kill9();
    await sshTo(FIRST, "rm /etc/site/first");
    await waitFor(async () => (await sshTo(FIRST, "cat /etc/site/first 2>&1; true")) === "first", {
      what: `${FIRST} to have its file again`,
      deadlineMs: 75_000,
      intervalMs: 1000,
      instead: () => describeTrouble(cluster, machineOf(FIRST)),
    });
    expect(await sshTo(FIRST, "systemctl is-active muster-agent")).toBe("active");
  });

  test("gets all sessions back when it returns, and says nothing else of the nodes", async () => {
    const startedMs = performance.now();
    await cluster.controller.start();
    const seen = new Set<string>();
    await waitFor(
      async () => {
        const states = (await listNodes(cluster)).map(({ status }) => status.state);
        for (const state of states) seen.add(state);
        return states.every((state) => state === "ready");
      },
      {
        what: "all nodes to be ready",
        deadlineMs: RETURN_DEADLINE_MS,
        intervalMs: 200,
        instead: () => describeTrouble(cluster, machineOf(FIRST)),
      },
    );
    process.stderr.write(`all back ${Math.round(performance.now() - startedMs)} ms after the start\n`);
    expect([...seen]).toEqual(["unreachable", "ready"]);
    expect(await bootsNow()).toEqual(bootIds);
  });

  test("has harmed no job, and restarted no node", async () => {
    for (const [index, name] of NODES.entries()) {
      const before = jobs[index];
      const after = await login.job(name);
      expect(after).toMatchObject({ invocation: before?.invocation, kernelBoot: before?.kernelBoot });
      expect(after.ticks).toBeGreaterThan(before?.ticks ?? 0);
      expect(after.longestGapSeconds).toBeLessThan(MOST_GAP_SECONDS);
      const failed = await login.on(name, "systemctl list-units --failed --plain --no-legend");
      expect(failed).toBe("");
    }
    // All there is to tell: what one node put right meanwhile. No node failed, and none became ready anew.
    const events = (await listEvents(cluster)).filter(({ id }) => id > (lastEvent?.id ?? 0));
    expect(events.map(({ kind, node, what }) => [kind, node, what])).toEqual([
      ["overlay-drift", FIRST, `${FIRST}: changed on the node: /etc/site/first (missing); put right`],
    ]);
  });
});
