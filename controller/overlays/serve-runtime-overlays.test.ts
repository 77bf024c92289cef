import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Digest } from "#proto/contract/digest.ts";
import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";
import { type OverlayStatus, type OverlayUpdate, RuntimeManifest } from "#proto/gen/muster/v1/overlay.ts";
import type { ConnectResponse } from "#proto/gen/muster/v1/session.ts";
import type { MusterConfig } from "../config/muster-config.ts";
import type { MusterEvent } from "../events/telemetry.ts";
import { openBlobTicket } from "../images/blob-tickets.ts";
import { openBlobStore } from "../images/open-blob-store.ts";
import type { Node } from "../inventory/inventory.ts";
import type { LiveSession } from "../sessions/serve-session.ts";
import { type RuntimeOverlays, serveRuntimeOverlays } from "./serve-runtime-overlays.ts";

type ControllerMessage = NonNullable<ConnectResponse["message"]>;

const [C1, C2] = [parseNodeName("c001"), parseNodeName("c002")];
const TICKET_KEY = Buffer.alloc(32, 7);
const SETTINGS: MusterConfig["overlays"] = {
  schedule: "*/5 * * * *",
  jitterSeconds: 60,
  onDrift: "repair",
  runtime: ["base"],
};

let root: string;
let events: Omit<MusterEvent, "id" | "at">[];
let nodes: Pick<Node, "name" | "runtimeOverlays">[];
let changed: () => void;
let overlays: RuntimeOverlays;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "muster-runtime-"));
  events = [];
  nodes = [
    { name: C1, runtimeOverlays: [] },
    { name: C2, runtimeOverlays: ["gpu"] },
  ];
  put("base/rootfs/etc/motd", "hello\n");
  put("gpu/rootfs/etc/gpu", "secret of gpu nodes\n");
});
afterEach(() => {
  overlays[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

async function start(
  more: { readonly settings?: typeof SETTINGS; readonly answerMs?: number } = {},
): Promise<void> {
  const blobs = await openBlobStore({ directory: join(root, "blobs") });
  overlays = await serveRuntimeOverlays({
    settings: more.settings ?? SETTINGS,
    root: join(root, "overlays"),
    inventory: {
      listNodes: async () => nodes as never,
      onNodesChanged: (listener) => {
        changed = listener;
        return () => undefined;
      },
    },
    blobs,
    telemetry: { recordEvent: (event) => events.push(event) },
    ticketKey: TICKET_KEY,
    ticketSeconds: 3600,
    now: () => new Date("2026-11-20T12:00:00Z"),
    onBug: (error) => {
      throw error;
    },
    timings: { quietMs: 30, patienceMs: 2000, rescanMs: 60_000, answerMs: more.answerMs ?? 60_000 },
  });
}

function put(path: string, content: string | Buffer): void {
  mkdirSync(join(root, "overlays", path, ".."), { recursive: true });
  writeFileSync(join(root, "overlays", path), content);
}

/** A node as far as its stream goes. */
class Scripted {
  readonly received: ControllerMessage[] = [];
  readonly session: LiveSession;
  constructor(node: NodeName, bootId = `boot-of-${node}`) {
    this.session = {
      node,
      bootId,
      address: "127.0.0.1",
      send: (message) => void this.received.push(message),
    };
    overlays.opened?.(this.session, {} as never);
  }
  async check(digest: string): Promise<OverlayUpdate> {
    await overlays.received?.(this.session, { $case: "checkOverlay", value: { digest } });
    return this.lastUpdate();
  }
  async fetch(digests: string[]): Promise<Extract<ControllerMessage, { $case: "contents" }>["value"]> {
    await overlays.received?.(this.session, { $case: "fetchContents", value: { digests } });
    const last = this.received.at(-1);
    if (last?.$case !== "contents") throw new Error("no contents");
    return last.value;
  }
  async report(status: Partial<OverlayStatus>): Promise<void> {
    const value = { ...NOTHING, ...status };
    await overlays.received?.(this.session, { $case: "overlayStatus", value });
  }
  lastUpdate(): OverlayUpdate {
    const last = this.received.at(-1);
    if (last?.$case !== "overlayUpdate") throw new Error(`no update but ${last?.$case ?? "nothing"}`);
    return last.value;
  }
  async nextUpdate(count: number): Promise<OverlayUpdate> {
    await vi.waitFor(
      () => {
        expect(this.received.length).toBeGreaterThanOrEqual(count);
      },
      { timeout: 5000, interval: 5 },
    );
    return this.lastUpdate();
  }
}

const NOTHING: OverlayStatus = {
  digest: "",
  appliedAtMs: 0,
  failure: undefined,
  drift: [],
  driftCount: 0,
  reactions: [],
  changed: 0,
};

/** "/etc/motd file", in the order of the manifest. */
function pathsOf({ manifest }: OverlayUpdate): readonly string[] {
  return RuntimeManifest.decode(manifest).entries.map(({ path, kind }) => `${path} ${kind?.$case ?? ""}`);
}

function digestsOf({ manifest }: OverlayUpdate): readonly string[] {
  return RuntimeManifest.decode(manifest).entries.flatMap(({ kind }) =>
    kind?.$case === "file" ? [kind.value.digest] : [],
  );
}

describe("a node that asks", () => {
  it("is told its own overlay after that of the site, with the contents, and in one word when nothing changed", async () => {
    put("base/overlay.yaml", 'onChange: {"/etc/**": {command: "true", deadline: 5s}}\n');
    await start();
    const c2 = new Scripted(C2);
    const update = await c2.check("");
    expect(pathsOf(update)).toEqual(["/etc directory", "/etc/gpu file", "/etc/motd file"]);
    expect(update.contents.map(({ data }) => data.toString()).sort()).toEqual([
      "hello\n",
      "secret of gpu nodes\n",
    ]);
    expect(RuntimeManifest.decode(update.manifest).reactions).toEqual([
      { globs: ["/etc/**"], command: "true", deadlineSeconds: 5 },
    ]);
    const same = await c2.check(update.digest);
    expect(same).toEqual({ digest: update.digest, manifest: Buffer.alloc(0), contents: [], trouble: "" });
    // What is unchanged costs less than a kilobyte.
    expect(JSON.stringify(same).length).toBeLessThan(300);
  });

  it("is guessed nothing about when it has a version nobody here remembers", async () => {
    await start();
    const update = await new Scripted(C1).check(`sha256:${"ab".repeat(32)}`);
    expect(update.contents).toEqual([]);
    expect(pathsOf(update)).toEqual(["/etc directory", "/etc/motd file"]);
  });

  it("is told to keep what it has when an overlay of it cannot be read", async () => {
    put("base/overlay.yaml", "onChang: {}\n");
    await start();
    const update = await new Scripted(C1).check("");
    expect({ ...update, trouble: "" }).toEqual({
      digest: "",
      manifest: Buffer.alloc(0),
      contents: [],
      trouble: "",
    });
    expect(update.trouble).toMatch(/^overlay base: .*overlay.yaml:1:1: onChang: is not a key muster knows/);
    expect(events.map(({ kind }) => kind)).toEqual(["overlay-invalid"]);
  });

  it("again and again without end loses its session", async () => {
    await start();
    const c1 = new Scripted(C1);
    for (let asked = 0; asked < 60; asked += 1) await c1.check("");
    await expect(c1.check("")).rejects.toMatchObject({ code: "too-many-requests" });
  });
});

describe("contents", () => {
  it("of another node's overlay are refused, of its own given, large ones as a ticket for it alone", async () => {
    put("base/rootfs/big", Buffer.alloc(70_000, 1));
    await start();
    const [c1, c2] = [new Scripted(C1), new Scripted(C2)];
    const mine = digestsOf(await c1.check(""));
    const others = digestsOf(await c2.check("")).filter((digest) => !mine.includes(digest));
    expect(others).toHaveLength(1);
    const answer = await c1.fetch([...mine, ...others, "../../etc/shadow"]);
    expect(answer.contents.map(({ data }) => data.toString())).toEqual(["hello\n"]);
    expect(answer.missing).toEqual([...others, "../../etc/shadow"]);
    const [blob] = answer.blobs;
    expect(
      openBlobTicket(TICKET_KEY, blob?.ticket ?? Buffer.alloc(0), new Date("2026-11-20T12:30:00Z")),
    ).toEqual({
      node: C1,
      bootId: "boot-of-c001",
      digest: blob?.digest,
      sizeBytes: 70_000,
      expiresAt: new Date("2026-11-20T13:00:00Z"),
    });
    expect(overlays.referencedBlobs()).toEqual([blob?.digest]);
  });

  it("are refused before the node was sent any manifest, and after its overlay went", async () => {
    await start();
    const c2 = new Scripted(C2);
    const early = new Scripted(C1);
    const digests = [...digestsOf(await c2.check(""))];
    expect((await early.fetch(digests)).missing).toEqual(digests);
    await c2.report({ digest: c2.lastUpdate().digest, appliedAtMs: 1 });
    nodes = nodes.map((node) => ({ ...node, runtimeOverlays: [] }));
    changed();
    const update = await c2.nextUpdate(2);
    expect(pathsOf(update)).toEqual(["/etc directory", "/etc/motd file"]);
    const [kept = "", ...gone] = digestsOf(update).concat(
      digests.filter((digest) => !digestsOf(update).includes(digest)),
    );
    const answer = await c2.fetch([kept, ...gone]);
    expect([answer.contents.map(({ digest }) => digest), answer.missing]).toEqual([[kept], gone]);
  });
});

describe("a change on disk", () => {
  it("is pushed with the contents the node lacks, and only to nodes that have the overlay", async () => {
    await start();
    const [c1, c2] = [new Scripted(C1), new Scripted(C2)];
    for (const node of [c1, c2]) await node.report({ digest: (await node.check("")).digest, appliedAtMs: 1 });
    put("gpu/rootfs/etc/gpu", "another secret\n");
    const update = await c2.nextUpdate(2);
    expect(update.contents.map(({ data }) => data.toString())).toEqual(["another secret\n"]);
    expect(c1.received).toHaveLength(1);
    put("base/rootfs/etc/motd", "changed\n");
    expect((await c1.nextUpdate(2)).contents.map(({ data }) => data.toString())).toEqual(["changed\n"]);
  });

  it("waits while the node is at work on the one before, and of several only the last is sent", async () => {
    await start();
    const c1 = new Scripted(C1);
    const first = await c1.check("");
    for (const text of ["one\n", "two\n", "three\n"]) {
      put("base/rootfs/etc/motd", text);
      await vi.waitFor(() => {
        expect(overlays.statusOf(C1)?.wanted).not.toBe(c1.lastUpdate().digest);
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 100)); // longer than a tree has to be quiet
    expect(c1.received).toHaveLength(1);
    await c1.report({ digest: first.digest, appliedAtMs: 1 });
    expect(c1.received).toHaveLength(2);
    expect(c1.lastUpdate().contents.map(({ data }) => data.toString())).toEqual(["three\n"]);
  });

  it("is sent after a while to a node that never says what became of the last one", async () => {
    await start({ answerMs: 50 });
    const c1 = new Scripted(C1);
    await c1.check("");
    put("base/rootfs/etc/motd", "changed\n");
    expect(pathsOf(await c1.nextUpdate(2))).toEqual(["/etc directory", "/etc/motd file"]);
  });

  it("that makes a tree invalid reaches nobody, is one event, and another when it is right again", async () => {
    await start();
    const c1 = new Scripted(C1);
    await c1.report({ digest: (await c1.check("")).digest, appliedAtMs: 1 });
    put("base/overlay.yaml", "nonsense: 1\n");
    await vi.waitFor(() => {
      expect(overlays.troubles().map(({ overlay }) => overlay)).toEqual(["base"]);
    });
    put("base/rootfs/etc/motd", "not yet\n");
    expect(overlays.statusOf(C1)).toMatchObject({ verdict: "current", trouble: undefined });
    put("base/overlay.yaml", "");
    expect((await c1.nextUpdate(2)).contents.map(({ data }) => data.toString())).toEqual(["not yet\n"]);
    expect(events.map(({ kind }) => kind)).toEqual(["overlay-invalid", "overlay-valid"]);
    expect(overlays.troubles()).toEqual([]);
  });
});

describe("what nodes report", () => {
  it("is their state, and an event when it is news", async () => {
    await start();
    expect(overlays.statusOf(C1)?.verdict).toBe("unreachable");
    expect(overlays.statusOf(parseNodeName("nobody"))).toBeUndefined();
    const c1 = new Scripted(C1);
    expect(overlays.statusOf(C1)?.verdict).toBe("unknown");
    const { digest } = await c1.check("");
    const failure = { digest, code: "disk-full", what: "no space left on /", fix: "make some" };
    await c1.report({ failure });
    await c1.report({ failure });
    expect(overlays.statusOf(C1)).toMatchObject({ verdict: "failed", report: { failure } });
    const reactions = [{ command: "false", failure: "exit status 1", outputTail: "a\nb\n", durationMs: 5 }];
    await c1.report({ digest, appliedAtMs: 1000, reactions, changed: 2 });
    // The next look says nothing of reactions; nobody has put right what went wrong, though.
    await c1.report({ digest, appliedAtMs: 1000 });
    expect(overlays.statusOf(C1)?.verdict).toBe("reaction-failed");
    const drift = [{ path: "/etc/motd", what: "content", repaired: false }];
    await c1.report({ digest, appliedAtMs: 2000, drift, driftCount: 1 });
    await c1.report({ digest, appliedAtMs: 2000, drift, driftCount: 1 });
    expect(overlays.statusOf(C1)?.verdict).toBe("drifted");
    await c1.report({ digest: `sha256:${"0".repeat(64)}` as Digest, appliedAtMs: 3000 });
    expect(overlays.statusOf(C1)?.verdict).toBe("outdated");
    overlays.closed?.(c1.session);
    expect(overlays.statusOf(C1)).toMatchObject({
      verdict: "unreachable",
      report: { appliedAt: new Date(3000) },
    });
    expect(events.map(({ kind, what }) => [kind, what])).toEqual([
      ["overlay-failed", "c001 cannot apply its runtime overlay and keeps what it has: no space left on /"],
      ["overlay-applied", "c001 has its runtime overlay again"],
      ["reaction-failed", 'c001: "false" after its runtime overlay changed: exit status 1: b'],
      ["overlay-drift", "c001: changed on the node: /etc/motd (content); left as it is"],
    ]);
  });

  it("outlives a session, and not the boot it is about: the next one begins with the image", async () => {
    await start();
    const c1 = new Scripted(C1);
    await c1.report({ digest: (await c1.check("")).digest, appliedAtMs: 1000 });
    overlays.closed?.(c1.session);
    const again = new Scripted(C1);
    expect(overlays.statusOf(C1)?.verdict).toBe("current");
    overlays.closed?.(again.session);
    const restarted = new Scripted(C1, "the-next-boot");
    expect(overlays.statusOf(C1)).toMatchObject({ verdict: "unknown", report: undefined });
    await restarted.report({ digest: (await restarted.check("")).digest, appliedAtMs: 2000 });
    expect(overlays.statusOf(C1)?.verdict).toBe("current");
  });

  it("is bounded and fit for a terminal, whatever they send", async () => {
    await start();
    const c1 = new Scripted(C1);
    const drift = Array.from({ length: 5000 }, () => ({
      path: `/\u001b[2J${"x".repeat(9000)}`,
      what: "\n",
      repaired: true,
    }));
    const reaction = { command: "\u0007", failure: "x", outputTail: "y".repeat(1e6), durationMs: 1e300 };
    await c1.report({
      digest: "nonsense",
      appliedAtMs: 1e300,
      failure: { digest: "x", code: "Not A Code", what: "\u001b[31mred".repeat(1000), fix: "" },
      drift,
      driftCount: 2 ** 32 - 1,
      reactions: Array.from({ length: 100 }, () => reaction),
    });
    const { report } = overlays.statusOf(C1) ?? {};
    expect(report).toMatchObject({ digest: undefined, failure: { digest: "", code: "internal" } });
    expect([report?.drift.length, report?.driftCount, report?.reactions.length]).toEqual([
      100, 1_000_000, 32,
    ]);
    expect(JSON.stringify(report).length).toBeLessThan(300_000);
    expect(JSON.stringify(report)).not.toMatch(/\\u001b|\\u0007/);
  });

  it("is forgotten with the node", async () => {
    await start();
    const c1 = new Scripted(C1);
    await c1.report({ digest: (await c1.check("")).digest, appliedAtMs: 1 });
    const all = nodes;
    nodes = [];
    changed();
    await vi.waitFor(() => {
      expect(overlays.statusOf(C1)).toBeUndefined();
    });
    nodes = all;
    changed();
    await vi.waitFor(() => {
      expect(overlays.statusOf(C1)).toMatchObject({ verdict: "unknown" });
    });
  });
});

it("two thousand nodes are told of a change in well under a second, without asking anybody anything", async () => {
  nodes = Array.from({ length: 2000 }, (_, at) => ({ name: parseNodeName(`n${at}`), runtimeOverlays: [] }));
  for (let at = 0; at < 1000; at += 1) put(`base/rootfs/etc/many/file${at}`, `content ${at}\n`);
  await start();
  const fleet = nodes.map(({ name }) => new Scripted(name));
  for (const node of fleet) {
    await overlays.received?.(node.session, { $case: "checkOverlay", value: { digest: "" } });
    await node.report({ digest: node.lastUpdate().digest, appliedAtMs: 1 });
  }
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  put("base/rootfs/etc/many/file7", "changed\n");
  await fleet[1999]?.nextUpdate(2);
  const tookMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  expect(fleet.every((node) => node.received.length === 2)).toBe(true);
  const updates = new Set(fleet.map((node) => node.lastUpdate()));
  expect(updates.size).toBe(1);
  process.stderr.write(
    `2,000 nodes, 1,000 files: ${tookMs.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of CPU\n`,
  );
  expect(tookMs).toBeLessThan(5000);
});
