import { createHash } from "node:crypto";
import { chmod, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { zstdCompressSync } from "node:zlib";

import { expect, test } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";
import { runCommand } from "#proto/host/run-command.ts";
import { openControllerLink } from "../../agent/session/controller-link.ts";
import { runSession } from "../../agent/session/run-session.ts";
import { makeTestHost } from "../../agent/testing/test-host.ts";
import { keepAgentCurrent } from "../../agent/upgrade/keep-agent-current.ts";
import { openAgentOffers } from "../../controller/agents/offer-agents.ts";
import { guardCalls } from "../../controller/api/grpc/authorize-calls.ts";
import { type GrpcServer, startGrpcServer } from "../../controller/api/grpc/start-grpc-server.ts";
import { sealBlobTicket } from "../../controller/images/blob-tickets.ts";
import { openDeniedBoots } from "../../controller/images/denied-boots.ts";
import { openBlobStore } from "../../controller/images/open-blob-store.ts";
import {
  BLOB_CHANNEL_OPTIONS,
  BLOB_SERVICE_DEFINITION,
  serveBlobs,
} from "../../controller/images/serve-blobs.ts";
import { bootNode, type BootedNode } from "../fixtures/booted-node.ts";
import { type LoopbackController, startLoopbackController } from "../fixtures/controller-on-loopback.ts";

const KEY = Buffer.alloc(32, 7);
const OLD = digestOfHex("1".repeat(64));
const NEW = digestOfHex("2".repeat(64));
const scriptOf = (build: string): string => `#!/bin/sh\necho "muster-agent 2"\necho "build ${build}"\n`;

/** A controller of a release whose agent is this script, and its blob server. */
async function startRelease(
  site: { readonly root: string },
  script: string,
): Promise<AsyncDisposable & { readonly controller: LoopbackController; readonly blobs: GrpcServer }> {
  const stack = new AsyncDisposableStack();
  const artifacts = join(site.root, "artifacts");
  await mkdir(artifacts, { recursive: true });
  const packed = zstdCompressSync(Buffer.from(script));
  const digest = `sha256:${createHash("sha256").update(packed).digest("hex")}`;
  await writeFile(join(artifacts, "agent.zst"), packed);
  const blob = { digest, sizeBytes: packed.length };
  const about = { version: "2", build: NEW, sizeBytes: script.length, blob };
  await writeFile(join(artifacts, "agent.json"), JSON.stringify(about));
  const blobRoot = join(site.root, "blobs");
  const store = await openBlobStore({ directory: blobRoot });
  let offers: Awaited<ReturnType<typeof openAgentOffers>> | undefined;
  const controller = stack.use(
    await startLoopbackController({
      openListeners: async ({ inventory, telemetry }) => {
        offers = await openAgentOffers({
          ...{ isEnabled: true, artifacts, blobs: store, inventory, telemetry },
          sealTicket: ({ node, bootId }, wanted) =>
            sealBlobTicket(KEY, { node, bootId, ...wanted, expiresAt: new Date(Date.now() + 60_000) }),
        });
        return [];
      },
      offerAgent: (caller, hello) => offers?.offerTo(caller, hello),
    }),
  );
  stack.defer(() => offers?.[Symbol.dispose]());
  const server = await controller.authority.issueServer({ names: ["localhost"], addresses: ["127.0.0.1"] });
  const now = (): Date => new Date();
  const denied = openDeniedBoots(now);
  const onBug = (error: unknown): void => void controller.bugs.push(error);
  const serving = { blobRoot, ticketKey: KEY, denied, cut: () => undefined, now, onBug };
  const blobs = stack.use(
    await startGrpcServer(
      { address: "127.0.0.1", port: 0, ...server, clientAuthorityPem: controller.authority.certificatePem },
      {
        services: [{ definition: BLOB_SERVICE_DEFINITION, implementation: serveBlobs(serving) }],
        guard: guardCalls({ now, onBug, findDenied: (node, bootId) => denied.find(node, bootId) }),
        maxRequestBytes: BLOB_CHANNEL_OPTIONS["grpc.max_receive_message_length"],
        options: BLOB_CHANNEL_OPTIONS,
      },
    ),
  );
  return { controller, blobs, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Runs the node's agent, of build OLD, until it ends itself or says the line. */
async function runUntil(
  node: BootedNode,
  line: RegExp | "ended",
  isBusy = (): boolean => false,
): Promise<void> {
  const { host, boot, log } = node;
  const program = join(boot.root, "usr/lib/muster/muster-agent");
  await mkdir(dirname(program), { recursive: true });
  if (!(await stat(program).catch(() => undefined))) {
    await writeFile(program, scriptOf(OLD));
    await chmod(program, 0o755);
    await mkdir(dirname(boot.paths.ownExecutable), { recursive: true });
    await symlink(`${program} (deleted)`, boot.paths.ownExecutable);
  }
  const stop = new AbortController();
  const said = (text: string): void => {
    log.push(text);
    if (line !== "ended" && line.test(text)) stop.abort();
  };
  const { link, sessions } = openControllerLink(said);
  const end = (): void => {
    log.push("ended");
    stop.abort();
  };
  const watched = { ...host, log: said };
  keepAgentCurrent({ ...watched, run: runCommand, program, ownBuild: OLD, isBusy, end }, link, stop.signal);
  await runSession(watched, sessions, stop.signal);
}

async function withNode(
  script: string,
  use: (node: BootedNode, installed: () => Promise<string>) => Promise<void>,
): Promise<void> {
  await using room = await makeTestHost();
  await using release = await startRelease(room, script);
  const blobAddresses = [`127.0.0.1:${release.blobs.port}`];
  await using node = await bootNode(release.controller, { agentDigest: OLD, blobAddresses });
  await use(node, () => readFile(join(node.boot.root, "usr/lib/muster/muster-agent"), "utf8"));
  expect(release.controller.bugs).toEqual([]);
}

test("a node that runs another agent fetches the controller's, puts it in place, and ends for it", async () => {
  await withNode(scriptOf(NEW), async (node, installed) => {
    let asked = 0;
    await runUntil(node, "ended", () => (asked += 1) < 3);
    expect(await installed()).toBe(scriptOf(NEW));
    expect((await stat(join(node.boot.root, "usr/lib/muster/muster-agent"))).mode & 0o777).toBe(0o755);
    expect(node.log.slice(1)).toEqual([
      "fetching agent 2 in 0 s",
      "agent 2 installed",
      "another agent was put in place of this one; ending for it",
      "ended",
    ]);
    // Waited while something was under way.
    expect(node.boot.slept.filter((ms) => ms === 10_000)).toHaveLength(2);
    expect(JSON.parse(await readFile(join(node.boot.paths.update, "tried.json"), "utf8"))).toEqual({
      attempts: { [NEW]: 1 },
      installed: [NEW],
    });
    expect(await readFile(join(node.boot.paths.update, "trying"), "utf8")).toBe("");
  });
});

test("an agent that was put in place and is not there any more is not fetched again in this boot", async () => {
  await withNode(scriptOf(NEW), async (node) => {
    await mkdir(node.boot.paths.update, { recursive: true });
    const record = { attempts: { [NEW]: 1 }, installed: [NEW] };
    await writeFile(join(node.boot.paths.update, "tried.json"), JSON.stringify(record));
    await runUntil(node, /is left/);
    expect(node.log.at(-1)).toBe("agent 2 is left: it was put in place in this boot and did not stay");
  });
});

test("an agent that does not say its build is not put in place, and leaves nothing but the attempt", async () => {
  await withNode(scriptOf(OLD), async (node, installed) => {
    await runUntil(node, /not installed/);
    expect(node.log.at(-1)).toMatch(/^agent 2 not installed: the new agent is not build sha256:2+: it says/);
    expect(await installed()).toBe(scriptOf(OLD));
    const left = [
      join(node.boot.root, "usr/lib/muster/muster-agent.new"),
      join(node.boot.paths.update, "agent.zst"),
    ];
    for (const path of left) await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
    expect(JSON.parse(await readFile(join(node.boot.paths.update, "tried.json"), "utf8"))).toEqual({
      attempts: { [NEW]: 1 },
      installed: [],
    });
  });
});

test("a new agent stays once it was welcomed", async () => {
  await withNode(scriptOf(NEW), async (node) => {
    await mkdir(node.boot.paths.update, { recursive: true });
    await writeFile(join(node.boot.paths.update, "trying"), "\n");
    const record = { attempts: { [OLD]: 2, [NEW]: 1 }, installed: [OLD, NEW] };
    await writeFile(join(node.boot.paths.update, "tried.json"), JSON.stringify(record));
    await runUntil({ ...node, host: { ...node.host, agentDigest: NEW, sleep: neverWoken } }, /it stays$/);
    expect(node.log.at(-1)).toBe("the new agent was welcomed: it stays");
    await expect(stat(join(node.boot.paths.update, "trying"))).rejects.toMatchObject({ code: "ENOENT" });
    // It works: a controller that goes on and comes back to it later is not refused. (This test runs it as OLD.)
    expect(JSON.parse(await readFile(join(node.boot.paths.update, "tried.json"), "utf8"))).toEqual({
      attempts: { [NEW]: 1 },
      installed: [NEW],
    });
  });
});

test("what an agent left that ended in the middle of an update is removed by the next", async () => {
  await withNode(scriptOf(NEW), async (node) => {
    const left = [
      join(node.boot.root, "usr/lib/muster/muster-agent.new"),
      join(node.boot.paths.update, "agent.zst"),
    ];
    for (const path of left) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, "half of it");
    }
    const record = { attempts: { [NEW]: 3 }, installed: [] };
    await writeFile(join(node.boot.paths.update, "tried.json"), JSON.stringify(record));
    await runUntil(node, /is left: tried 3 times/);
    for (const path of left) await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

function neverWoken(_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => {
      reject(signal.reason as Error);
    });
  });
}
