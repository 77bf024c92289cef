import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import type { BootRecord } from "../events/telemetry.ts";
import type { AgentStages, NodeStatus } from "./fleet.ts";
import { trackFleet, type TrackedFleet } from "./track-fleet.ts";

const C001 = parseNodeName("c001");
const MAC = parseMacAddress("52:54:00:12:34:56");
const ADDRESS = "10.77.0.101";
const T0 = Date.parse("2026-11-20T12:00:00Z");
const SESSION = { bootId: "b1", address: ADDRESS, agentVersion: "0.1.0", image: "debian12", imageVersion: 3 };
const FAILURE = { stage: "fetch", code: "fetch-gave-up", what: "w", fix: "f", kernelLogTail: "" };

let records: Map<string, BootRecord>;
let kinds: string[];
let seen: Map<string, Date>;
let seenWrites: number;
let fleet: TrackedFleet;

const at = (seconds: number): Date => new Date(T0 + seconds * 1000);
const client = { mac: MAC, address: ADDRESS, node: C001 };
const stages = (uptimeMs: number, ...list: AgentStages["stages"]): AgentStages => ({
  bootId: "b1",
  uptimeMs,
  stages: list,
});
const state = (): string => fleet.statusOf(C001).state;
const written = async (): Promise<readonly BootRecord[]> => {
  await fleet[Symbol.asyncDispose]();
  return [...records.values()];
};

async function open(): Promise<TrackedFleet> {
  return trackFleet({
    telemetry: {
      recordBoot: (boot) => records.set(boot.bootId, boot),
      recordEvent: ({ kind }) => kinds.push(kind),
      listBoots: async ({ node, limit }) =>
        [...records.values()]
          .filter((boot) => node === undefined || boot.node === node)
          .sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime())
          .slice(0, limit),
    },
    seen: {
      recordSeen: (news) => {
        seenWrites += 1;
        for (const [node, when] of news) seen.set(node, when);
      },
      listSeen: async () => new Map(seen),
    },
    nodes: [C001],
    now: () => at(0),
    abandonAfterMs: 600_000,
  });
}

function bootToReady(): void {
  fleet.dhcpSeen(MAC, at(0));
  fleet.dhcpSeen(MAC, at(2));
  fleet.scriptServed(client, at(3));
  fleet.artifactServed(ADDRESS, "kernel", 8_000_000, at(3), at(4));
  fleet.artifactServed(ADDRESS, "base", 40_000_000, at(4), at(6));
  fleet.dhcpSeen(MAC, at(9));
  fleet.enrolled({ ...stages(4000), mac: MAC, address: ADDRESS, node: C001 }, at(10));
  fleet.planServed(C001, "b1", "debian12", 3);
  fleet.stagesReported(
    C001,
    // Half a second late: the enrolment told better where the kernel's start is.
    stages(
      6000,
      { stage: "kernel", startedMs: 0, endedMs: 1000, detail: "" },
      { stage: "fetch", startedMs: 5000, detail: "" },
    ),
    at(12.5),
  );
  fleet.sessionOpened(C001, SESSION, at(20));
  fleet.sessionReady(
    C001,
    stages(15_000, { stage: "fetch", startedMs: 5000, endedMs: 8000, detail: "97 MB" }),
    at(21),
  );
}

beforeEach(async () => {
  records = new Map();
  kinds = [];
  seen = new Map();
  seenWrites = 0;
  fleet = await open();
});
afterEach(() => fleet[Symbol.asyncDispose]());

describe("a boot", () => {
  test("is one record from DHCP to ready, on one clock", async () => {
    bootToReady();
    expect(await written()).toEqual([
      {
        bootId: "b1",
        node: "c001",
        mac: MAC,
        startedAt: at(0),
        image: "debian12",
        imageVersion: 3,
        outcome: "ready",
        stages: [
          { stage: "dhcp", startedMs: 0, endedMs: 2000, detail: ADDRESS },
          { stage: "script", startedMs: 3000, endedMs: 3000, detail: "" },
          { stage: "artifacts", startedMs: 3000, endedMs: 6000, detail: "kernel 8.0 MB, base 40.0 MB" },
          { stage: "kernel", startedMs: 6000, endedMs: 7000, detail: "" },
          { stage: "fetch", startedMs: 11_000, endedMs: 14_000, detail: "97 MB" },
        ],
        readyAt: at(21),
      },
    ]);
    expect(kinds).toEqual(["node-ready"]);
  });

  test("is in the history as ready, or as failed, in the same moment as the node is", () => {
    bootToReady();
    expect(records.get("b1")?.outcome).toBe("ready");
    fleet.failureReported(C001, { ...stages(1000), bootId: "b2" }, FAILURE, at(60));
    expect(records.get("b2")?.failure).toEqual(FAILURE);
  });

  test("does not begin with the DHCP request that Linux made during the boot before", async () => {
    bootToReady();
    fleet.sessionClosed(C001, "b1", at(30));
    fleet.scriptServed(client, at(40));
    fleet.enrolled({ ...stages(4000), bootId: "b2", mac: MAC, address: ADDRESS, node: C001 }, at(50));
    const next = (await written()).find(({ bootId }) => bootId === "b2");
    expect([next?.startedAt, next?.stages.map(({ stage }) => stage)]).toEqual([at(40), ["script"]]);
  });

  test("shows its state at every step", () => {
    const seen = [state()];
    fleet.dhcpSeen(MAC, at(0));
    seen.push(state());
    fleet.scriptServed(client, at(1));
    seen.push(`${state()} ${fleet.statusOf(C001).stage ?? ""}`);
    fleet.enrolled({ ...stages(1), mac: MAC, address: ADDRESS, node: C001 }, at(5));
    fleet.failureReported(C001, stages(2000), FAILURE, at(7));
    seen.push(`${state()} ${fleet.statusOf(C001).stage ?? ""}`);
    fleet.enrolled({ ...stages(3000), mac: MAC, address: ADDRESS, node: C001 }, at(8));
    seen.push(state());
    fleet.sessionOpened(C001, SESSION, at(20));
    seen.push(state());
    fleet.sessionReady(C001, stages(20_000), at(21));
    seen.push(state());
    fleet.sessionClosed(C001, "another", at(22));
    seen.push(state());
    fleet.sessionClosed(C001, "b1", at(23));
    seen.push(state());
    fleet.forget(C001);
    seen.push(state());
    expect(seen).toEqual([
      "new",
      "new",
      "booting script",
      "failed fetch",
      "booting",
      "booting",
      "ready",
      "ready",
      "unreachable",
      "new",
    ]);
  });

  test("of an unknown machine becomes the node's when it is approved", async () => {
    fleet.dhcpSeen(MAC, at(0));
    fleet.scriptServed({ mac: MAC, address: ADDRESS }, at(1));
    fleet.pendingSeen({ ...stages(4000), mac: MAC, address: ADDRESS }, at(10));
    fleet.enrolled({ ...stages(600_000), mac: MAC, address: ADDRESS, node: C001 }, at(606));
    expect(state()).toBe("booting");
    expect(await written()).toMatchObject([{ bootId: "b1", node: "c001", startedAt: at(0) }]);
  });

  test("without the controller's boot script starts with its kernel", async () => {
    fleet.enrolled({ ...stages(4000), mac: MAC, address: ADDRESS, node: C001 }, at(10));
    expect(await written()).toMatchObject([{ bootId: "b1", startedAt: at(6), outcome: "booting" }]);
  });

  test("without news is abandoned, with a reason; one that waits for approval is not", async () => {
    fleet.scriptServed(client, at(0));
    fleet.pendingSeen(
      {
        ...stages(1, { stage: "enrol", startedMs: 0, detail: "" }),
        bootId: "p",
        mac: parseMacAddress("52:54:00:00:00:01"),
        address: "10.77.0.9",
      },
      at(0),
    );
    fleet.sweep(at(599));
    expect(state()).toBe("booting");
    fleet.sweep(at(601));
    expect(fleet.statusOf(C001)).toMatchObject({
      state: "failed",
      stage: "script",
      failure: { code: "deadline-exceeded", what: "no news from c001 for 10 minutes" },
    });
    expect(kinds).toEqual(["boot-abandoned"]);
    expect((await written()).map(({ bootId, outcome }) => [bootId, outcome])).toEqual([
      ["p", "booting"],
      [`mac/${MAC}/${T0}`, "abandoned"],
    ]);
  });

  test("that begins again replaces the one under way", async () => {
    fleet.scriptServed(client, at(0));
    fleet.scriptServed(client, at(100));
    fleet.enrolled({ ...stages(4000), mac: MAC, address: ADDRESS, node: C001 }, at(110));
    expect((await written()).map(({ outcome, startedAt }) => [outcome, startedAt])).toEqual([
      ["abandoned", at(0)],
      ["booting", at(100)],
    ]);
  });
});

describe("a session", () => {
  test("that lives on shows that a boot script was not for its machine", () => {
    bootToReady();
    fleet.scriptServed({ ...client, address: "10.77.0.250" }, at(100));
    expect(state()).toBe("booting");
    fleet.heartbeat(C001, "b1", at(130));
    expect(state()).toBe("booting");
    fleet.heartbeat(C001, "b1", at(161));
    expect(fleet.statusOf(C001)).toMatchObject({ state: "ready", bootId: "b1", lastSeenAt: at(161) });
  });

  test("that ends because the node reboots leaves it booting", () => {
    bootToReady();
    fleet.scriptServed(client, at(100));
    fleet.sessionClosed(C001, "b1", at(101));
    expect(state()).toBe("booting");
    expect(kinds).toEqual(["node-ready"]);
  });

  test("that ends because musterd stops is no event and no loss", async () => {
    bootToReady();
    await fleet[Symbol.asyncDispose]();
    fleet.sessionClosed(C001, "b1", at(50));
    expect({ state: state(), kinds }).toEqual({ state: "ready", kinds: ["node-ready"] });
  });
});

describe("a node whose session ended", () => {
  test("is unreachable at once, and told of when it is not back within 30 s; then also that it is back", () => {
    bootToReady();
    fleet.sessionClosed(C001, "b1", at(100));
    expect(state()).toBe("unreachable");
    fleet.sweep(at(129));
    fleet.sessionOpened(C001, SESSION, at(129));
    fleet.sweep(at(145));
    expect(kinds).toEqual(["node-ready"]);

    fleet.sessionClosed(C001, "b1", at(200));
    fleet.sweep(at(230));
    fleet.sweep(at(245));
    expect(kinds).toEqual(["node-ready", "node-unreachable"]);
    fleet.sessionOpened(C001, SESSION, at(260));
    fleet.sweep(at(300));
    expect(kinds).toEqual(["node-ready", "node-unreachable", "node-reachable"]);
  });

  test("and begins another boot within 30 s was never missed", () => {
    bootToReady();
    fleet.sessionClosed(C001, "b1", at(100));
    fleet.scriptServed(client, at(125));
    fleet.sweep(at(135));
    expect(kinds).toEqual(["node-ready"]);
  });
});

describe("a node that answered that it restarts", () => {
  const restarting = (): unknown => {
    const { state: now, stage } = fleet.statusOf(C001);
    return [now, stage];
  };

  test("is ready, then booting until its next boot begins, and nobody is alarmed", () => {
    bootToReady();
    fleet.restartAnswered(C001, at(100));
    expect(restarting()).toEqual(["ready", "restarting"]);
    fleet.sessionClosed(C001, "b1", at(101));
    expect(restarting()).toEqual(["booting", "restarting"]);
    fleet.scriptServed(client, at(130));
    expect(restarting()).toEqual(["booting", "script"]);
    expect(kinds).toEqual(["node-ready"]);
  });

  test("and stays up is told of after 150 s, once", () => {
    bootToReady();
    fleet.restartAnswered(C001, at(100));
    fleet.sweep(at(250));
    expect(restarting()).toEqual(["ready", "restarting"]);
    fleet.sweep(at(251));
    fleet.sweep(at(300));
    expect(restarting()).toEqual(["ready", undefined]);
    expect(kinds).toEqual(["node-ready", "reboot-stuck"]);
  });

  test("and does not come back is unreachable when a boot would be abandoned", () => {
    bootToReady();
    fleet.restartAnswered(C001, at(100));
    fleet.sessionClosed(C001, "b1", at(101));
    fleet.sweep(at(700));
    expect(restarting()).toEqual(["booting", "restarting"]);
    fleet.sweep(at(701));
    expect(restarting()).toEqual(["unreachable", undefined]);
    expect(kinds).toEqual(["node-ready", "reboot-lost"]);
  });
});

describe("after a restart of musterd", () => {
  test("it is known when a node was last seen, within a minute; deleted nodes are not", async () => {
    bootToReady();
    fleet.heartbeat(C001, "b1", at(50));
    fleet.sweep(at(59));
    expect(seenWrites).toBe(0);
    fleet.sweep(at(60));
    fleet.heartbeat(C001, "b1", at(80));
    fleet.sweep(at(90));
    expect([seenWrites, seen]).toEqual([1, new Map([["c001", at(50)]])]);
    // killed
    seen.set("c999", at(70));
    fleet = await open();
    expect(fleet.statusOf(C001)).toMatchObject({ state: "unreachable", lastSeenAt: at(50) });
    expect(fleet.statusOf(parseNodeName("c999"))).toEqual({ node: "c999", state: "new" });
  });

  test("that was orderly, it is known exactly", async () => {
    bootToReady();
    fleet.heartbeat(C001, "b1", at(80));
    await fleet[Symbol.asyncDispose]();
    fleet = await open();
    expect(fleet.statusOf(C001).lastSeenAt).toEqual(at(80));
  });

  test("a node is unreachable until its session returns, and keeps its stages", async () => {
    bootToReady();
    const [before] = await written();
    fleet = await open();
    const statuses: NodeStatus["state"][] = [state() as NodeStatus["state"]];
    fleet.sessionOpened(C001, SESSION, at(90));
    statuses.push(fleet.statusOf(C001).state);
    fleet.sessionReady(C001, stages(84_000), at(90));
    expect(statuses).toEqual(["unreachable", "ready"]);
    expect(fleet.statusOf(C001).bootMs).toBe(21_000);
    expect((await written())[0]).toEqual(before);
    expect(kinds).toEqual(["node-ready"]);
  });

  test("a boot that was under way goes on under its record", async () => {
    fleet.scriptServed(client, at(0));
    fleet.enrolled({ ...stages(4000), mac: MAC, address: ADDRESS, node: C001 }, at(10));
    await fleet[Symbol.asyncDispose]();
    fleet = await open();
    expect(state()).toBe("booting");
    fleet.stagesReported(C001, stages(9000, { stage: "fetch", startedMs: 5000, detail: "" }), at(15));
    expect(await written()).toMatchObject([
      {
        bootId: "b1",
        outcome: "booting",
        stages: [{ stage: "script" }, { stage: "fetch", startedMs: 11_000 }],
      },
    ]);
  });
});

test("listeners hear of each change once it is made, and one that throws harms nobody", async () => {
  const heard: string[] = [];
  fleet.onChange(() => {
    throw new Error("listener");
  });
  const warning = new Promise((resolve) => process.once("warning", resolve));
  const stop = fleet.onChange((status) => heard.push(status.state));
  fleet.scriptServed(client, at(0));
  await Promise.resolve();
  await warning;
  fleet.forget(C001);
  stop();
  expect(heard).toEqual(["booting"]);
});
