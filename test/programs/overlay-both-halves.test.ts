import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { expect, test } from "vitest";

import { keepRuntimeOverlay, type RuntimeOverlay } from "../../agent/overlays/keep-runtime-overlay.ts";
import { openControllerLink } from "../../agent/session/controller-link.ts";
import { runSession } from "../../agent/session/run-session.ts";
import { planConnectionLimits } from "../../controller/api/admit-connections.ts";
import { startBlobWorkers } from "../../controller/images/start-blob-workers.ts";
import type { NodeOverlay } from "../../controller/overlays/serve-runtime-overlays.ts";
import { bootNode } from "../fixtures/booted-node.ts";
import { startLoopbackController, TICKET_KEY } from "../fixtures/controller-on-loopback.ts";

const BLOB_WORKER = "controller/images/blob-worker.ts";

/** The agent's own code on a root of its own, and the controller's, with everything real between them. */
interface Halves extends AsyncDisposable {
  /** Writes a file of the overlay on the controller. */
  put(path: string, content: string | Buffer): Promise<void>;
  remove(path: string): Promise<void>;
  /** On the node. */
  read(path: string): Promise<string | undefined>;
  readonly nodeRoot: string;
  readonly agent: RuntimeOverlay;
  status(): NodeOverlay | undefined;
  eventKinds(): Promise<readonly string[]>;
}

async function startHalves(onDrift: "repair" | "report"): Promise<Halves> {
  const directory = await mkdtemp(join(tmpdir(), "muster-halves-"));
  const nodeRoot = join(directory, "root");
  await mkdir(join(nodeRoot, "etc"), { recursive: true });
  const put = async (path: string, content: string | Buffer): Promise<void> => {
    await mkdir(dirname(join(directory, "overlays/base", path)), { recursive: true });
    await writeFile(join(directory, "overlays/base", path), content);
  };
  await put("rootfs/etc/motd", "hello\n");
  const bugs: unknown[] = [];
  const blobRoot = join(directory, "blobs");
  const controller = await startLoopbackController({
    overlays: { root: join(directory, "overlays"), blobRoot, settings: { onDrift, runtime: ["base"] } },
  });
  const server = await controller.authority.issueServer({ names: ["localhost"], addresses: ["127.0.0.1"] });
  const workers = await startBlobWorkers({
    ...{ program: BLOB_WORKER, count: 1, denied: [], telemetry: controller.telemetry },
    config: {
      ...{ ...server, address: "127.0.0.1", port: 0, caPem: controller.authority.certificatePem },
      ...{ ticketKey: TICKET_KEY, blobRoot, limits: planConnectionLimits(256, 1) },
    },
    onLimited: () => undefined,
    onBug: (error) => bugs.push(error),
  });
  const node = await bootNode(controller, { blobAddresses: [`127.0.0.1:${workers.port}`] });
  const stop = new AbortController();
  const { link, sessions } = openControllerLink(node.host.log);
  const agent = keepRuntimeOverlay({ ...node.host, root: nodeRoot }, link, stop.signal);
  const session = runSession(node.host, sessions, stop.signal);
  return {
    ...{ put, nodeRoot, agent },
    remove: (path) => rm(join(directory, "overlays/base", path)),
    read: (path) => readFile(join(nodeRoot, path), "utf8").catch(() => undefined),
    status: () => controller.overlays?.statusOf(node.node),
    eventKinds: () => controller.eventKinds(),
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all([session, agent.ended]);
      await node[Symbol.asyncDispose]();
      await workers[Symbol.asyncDispose]();
      await controller[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
      expect([...controller.bugs, ...bugs]).toEqual([]);
    },
  };
}

const LARGE_BYTES = 20_000_000;
const SOON = { timeout: 10_000, interval: 10 };

test("a file that changes, comes and goes on the controller does so on the node, with its command, within a second or two", async () => {
  await using halves = await startHalves("repair");
  await expect.poll(() => halves.read("etc/motd"), SOON).toBe("hello\n");
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
  await halves.put("overlay.yaml", `onChange: {"/etc/m*": "echo once >> ${halves.nodeRoot}/ran"}\n`);
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
  const startedMs = performance.now();
  await halves.put("rootfs/etc/motd", "changed\n");
  await expect.poll(() => halves.read("etc/motd"), SOON).toBe("changed\n");
  process.stderr.write(`change to applied: ${Math.round(performance.now() - startedMs)} ms\n`);
  await expect.poll(() => halves.read("ran"), SOON).toBe("once\n");
  await halves.put("rootfs/opt/new", "new\n");
  await expect.poll(() => halves.read("opt/new"), SOON).toBe("new\n");
  await halves.remove("rootfs/opt/new");
  await expect.poll(() => halves.read("opt/new"), SOON).toBeUndefined();
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
  expect(await halves.read("ran")).toBe("once\n");
  expect(await halves.eventKinds()).not.toContain("overlay-failed");
});

test("what is changed on the node is put right and told of once", async () => {
  await using halves = await startHalves("repair");
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
  await writeFile(join(halves.nodeRoot, "etc/motd"), "mine\n");
  const signal = AbortSignal.timeout(10_000);
  expect((await halves.agent.refresh(signal)).join("; ")).toContain("/etc/motd");
  expect(await halves.read("etc/motd")).toBe("hello\n");
  await halves.agent.refresh(signal);
  await expect
    .poll(async () => (await halves.eventKinds()).filter((kind) => kind === "overlay-drift"), SOON)
    .toHaveLength(1);
  expect(halves.status()?.verdict).toBe("current");
});

test("what is changed on the node is left and shown where the site says so", async () => {
  await using halves = await startHalves("report");
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
  await chmod(join(halves.nodeRoot, "etc/motd"), 0o600);
  await halves.agent.refresh(AbortSignal.timeout(10_000));
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("drifted");
  expect((await stat(join(halves.nodeRoot, "etc/motd"))).mode & 0o777).toBe(0o600);
  expect(halves.status()?.report?.drift).toMatchObject([{ path: "/etc/motd", repaired: false }]);
});

test("a command that fails leaves the files, and is shown until the next update", async () => {
  await using halves = await startHalves("repair");
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
  await halves.put("overlay.yaml", 'onChange: {"/etc/motd": "echo it went wrong; exit 3"}\n');
  await halves.put("rootfs/etc/motd", "changed\n");
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("reaction-failed");
  expect(await halves.read("etc/motd")).toBe("changed\n");
  await halves.agent.refresh(AbortSignal.timeout(10_000));
  expect(halves.status()?.report?.reactions).toMatchObject([
    { failure: "exit status 3", outputTail: expect.stringContaining("it went wrong") as string },
  ]);
  await halves.put("overlay.yaml", "");
  await halves.put("rootfs/etc/motd", "again\n");
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
  expect((await halves.eventKinds()).filter((kind) => kind === "reaction-failed")).toHaveLength(1);
});

test("a large file comes from the blob servers, whole, and again when it changed", async () => {
  await using halves = await startHalves("repair");
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
  for (const fill of ["a", "b"]) {
    await halves.put("rootfs/opt/large", Buffer.alloc(LARGE_BYTES, fill));
    const content = async (): Promise<string> => {
      const text = await halves.read("opt/large");
      return `${text?.length ?? 0} ${text?.at(0) ?? ""} ${text?.at(-1) ?? ""}`;
    };
    await expect.poll(content, SOON).toBe(`${LARGE_BYTES} ${fill} ${fill}`);
  }
  await expect.poll(() => halves.status()?.verdict, SOON).toBe("current");
}, 30_000);
