import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";

import type { NodeStatus } from "../sessions/fleet.ts";
import { type Hooks, openHooks } from "./open-hooks.ts";

const C001 = parseNodeName("c001");
const C002 = parseNodeName("c002");
let directory: string;
let opened: Hooks[];
let events: { readonly kind: string; readonly what: string }[];
let statuses: Map<string, NodeStatus>;
let nowMs: number;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-hooks-"));
  await mkdir(join(directory, "hooks.d"), { mode: 0o755 });
  opened = [];
  events = [];
  statuses = new Map();
  nowMs = Date.parse("2026-11-20T12:00:00.000Z");
});
afterEach(async () => {
  for (const one of opened) await one[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function open(): Promise<Hooks> {
  const hooks = await openHooks({
    directory: join(directory, "hooks.d"),
    deadlineMs: 5000,
    userId: process.getuid?.() ?? 0,
    toldPath: join(directory, "told.json"),
    fleet: { statusOf: (node) => statuses.get(node) ?? { node, state: "new" } },
    telemetry: { recordEvent: ({ kind, what }) => void events.push({ kind, what }) },
    now: () => new Date(nowMs),
    onBug: (error) => {
      throw error;
    },
    collectMs: 20,
  });
  opened.push(hooks);
  return hooks;
}
async function writeHook(name: string, script: string, mode = 0o755): Promise<void> {
  await writeFile(join(directory, "hooks.d", name), `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, "hooks.d", name), mode);
}
const become = (hooks: Hooks, node: NodeName, status: Omit<NodeStatus, "node">): void => {
  statuses.set(node, { node, ...status });
  hooks.nodeChanged({ node, ...status });
};
const log = async (): Promise<readonly string[]> =>
  (await readFile(join(directory, "log"), "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
const logger = (): string => `echo "$1 $MUSTER_NODES$MUSTER_CHANGES" >>${directory}/log`;
const READY = { state: "ready", bootId: "b1" } as const;

describe("hooks", () => {
  test("are told once of nodes that come up together, and at once of those that restart", async () => {
    await writeHook("log.sh", logger());
    const hooks = await open();
    become(hooks, C001, READY);
    become(hooks, C002, READY);
    become(hooks, C002, READY);
    await vi.waitFor(async () => {
      expect(await log()).toEqual(["node-up c[001-002]"]);
    });
    become(hooks, C002, { state: "booting", stage: "restarting", bootId: "b1" });
    hooks.nodeApproved(C001);
    hooks.changeCommitted({ id: 7, at: new Date(nowMs), user: "root", touched: [] });
    await vi.waitFor(async () => {
      expect((await log()).slice(1)).toEqual(["node-down c002", "node-approved c001", "change-committed 7"]);
    });
  });

  test("are told of a node whose session is gone for 30 s, and not before", async () => {
    await writeHook("log.sh", logger());
    const hooks = await open();
    become(hooks, C001, READY);
    become(hooks, C002, READY);
    become(hooks, C001, { state: "unreachable", bootId: "b1" });
    become(hooks, C002, { state: "unreachable", bootId: "b1" });
    nowMs += 29_000;
    become(hooks, C002, READY);
    nowMs += 1000;
    await vi.waitFor(async () => {
      expect(await log()).toEqual(["node-up c[001-002]", "node-down c001"]);
    });
  });

  test("are told of a node that was deleted", async () => {
    await writeHook("log.sh", logger());
    const hooks = await open();
    become(hooks, C001, READY);
    statuses.delete(C001);
    const touched = [{ kind: "node", name: C001 }];
    hooks.changeCommitted({ id: 8, at: new Date(nowMs), user: "root", touched });
    await vi.waitFor(async () => {
      expect(await log()).toEqual(["node-up c001", "change-committed 8", "node-down c001"]);
    });
  });

  test("are told by the next musterd what happened while none ran, and nothing twice", async () => {
    await writeHook("log.sh", logger());
    const first = await open();
    become(first, C001, READY);
    become(first, C002, READY);
    await vi.waitFor(async () => {
      expect(JSON.parse(await readFile(join(directory, "told.json"), "utf8"))).toEqual({
        up: { c001: "b1", c002: "b1" },
      });
    });
    await first[Symbol.asyncDispose]();
    statuses.set(C001, { node: C001, state: "unreachable", bootId: "b1" });
    const second = await open();
    become(second, C002, READY);
    nowMs += 179_000;
    await second.list();
    nowMs += 2000;
    await vi.waitFor(async () => {
      expect(await log()).toEqual(["node-up c[001-002]", "node-down c001"]);
    });
  });

  test("one that is slow is told later and together, in order, and holds up no other", async () => {
    await writeHook("fast", logger());
    await writeHook(
      "slow",
      `echo "slow $1 $MUSTER_NODES" >>${directory}/slow; while [ ! -e ${directory}/go ]; do sleep 0.02; done`,
    );
    const hooks = await open();
    become(hooks, C001, READY);
    await vi.waitFor(async () => {
      expect(await readFile(join(directory, "slow"), "utf8")).toBe("slow node-up c001\n");
    });
    become(hooks, C001, { state: "booting", stage: "restarting" });
    await vi.waitFor(async () => {
      expect(await log()).toHaveLength(2);
    });
    become(hooks, C002, READY);
    become(hooks, C001, { state: "ready", bootId: "b2" });
    await vi.waitFor(async () => {
      expect(await log()).toEqual(["node-up c001", "node-down c001", "node-up c[001-002]"]);
    });
    expect((await hooks.list()).map(({ name, waiting }) => [name, waiting])).toEqual([
      ["fast", 0],
      ["slow", 3],
    ]);
    await writeFile(join(directory, "go"), "");
    await vi.waitFor(async () => {
      expect((await readFile(join(directory, "slow"), "utf8")).split("\n").slice(1, 3)).toEqual([
        "slow node-down c001",
        "slow node-up c[001-002]",
      ]);
    });
  });

  test("that fail are an event with status and words, once in a minute, and are listed with it", async () => {
    await writeHook("bad", "echo no such partition >&2; exit 3");
    const hooks = await open();
    hooks.nodeApproved(C001);
    await vi.waitFor(async () => {
      expect((await hooks.list())[0]?.last).toMatchObject({
        ...{ event: "node-approved", about: "c001", outcome: "failed", exitCode: 3 },
        stderr: "no such partition",
      });
    });
    const [tested] = await hooks.test({
      event: "node-approved",
      nodes: [hooks.describeNode(C001)],
      changes: [],
    });
    expect(tested).toMatchObject({ name: "bad", outcome: "failed" });
    expect(events).toEqual([
      {
        kind: "hook-failed",
        what: "hook bad at node-approved of c001: exited with 3: no such partition",
      },
    ]);
  });

  test("that others may write are not run: an event, and no other hook suffers", async () => {
    await writeHook("evil", `touch ${directory}/evil`, 0o777);
    await writeHook("good", logger());
    await writeHook("notes.txt", "", 0o644);
    const hooks = await open();
    hooks.nodeApproved(C001);
    await vi.waitFor(async () => {
      expect(await log()).toEqual(["node-approved c001"]);
    });
    const path = join(directory, "hooks.d", "evil");
    expect(events).toEqual([
      {
        kind: "hook-refused",
        what: `hook evil is not run: ${path} may be written by others than its owner (mode 777)`,
      },
    ]);
    expect((await hooks.list()).map(({ name, trust }) => [name, trust.verdict])).toEqual([
      ["evil", "refuse"],
      ["good", "run"],
      ["notes.txt", "ignore"],
    ]);
    await expect(readFile(join(directory, "evil"))).rejects.toThrow("ENOENT");
  });

  test("need not be there at all", async () => {
    await rm(join(directory, "hooks.d"), { recursive: true });
    const hooks = await open();
    become(hooks, C001, READY);
    expect(await hooks.list()).toEqual([]);
    expect(await hooks.test({ event: "node-up", nodes: [], changes: [] })).toEqual([]);
    expect(events).toEqual([]);
  });
});
