import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";

import type { OverlaySchedule, OverlayStatus } from "#proto/gen/muster/v1/overlay.ts";
import {
  BlobsService,
  type FetchBlobRequest,
  type FetchBlobResponse,
} from "#proto/gen/muster/v1/provisioning.ts";
import { ConnectRequest, type ConnectResponse, SessionService } from "#proto/gen/muster/v1/session.ts";

import { hostPathsAt } from "../host-paths.ts";
import { storeIdentity } from "../identity/store-identity.ts";
import { storeNodeRecord } from "../node-record.ts";
import { openControllerLink } from "../session/controller-link.ts";
import { runSession } from "../session/run-session.ts";
import { makeTestAuthority, serveOnLoopback, type TestAuthority } from "../testing/loopback-controller.ts";
import { keepRuntimeOverlay, type OverlayDutyHost, type RuntimeOverlay } from "./keep-runtime-overlay.ts";
import { overlayOf, readTree, type TestOverlay } from "./testing/overlay-node.ts";

type Call = ServerDuplexStream<ConnectRequest, ConnectResponse>;
type Request = NonNullable<ConnectRequest["message"]>;

/** Above this a content comes from the blob servers. */
const LARGE_BYTES = 100_000;

let authority: TestAuthority;
beforeAll(async () => {
  authority = await makeTestAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

/** The controller's half, speaking the real protocol. */
interface FakeController extends AsyncDisposable {
  readonly address: string;
  readonly requests: Request[];
  /** Sizes of the agent's messages on the wire. */
  readonly bytes: number[];
  readonly statuses: () => readonly OverlayStatus[];
  overlay: TestOverlay;
  /** Why it cannot say what the overlay is. */
  trouble: string;
  /** Questions about the overlay get no answer. */
  isSilent: boolean;
  schedule: OverlaySchedule | undefined;
  /** To every session. */
  readonly push: () => void;
}

async function startController(overlay: TestOverlay, port = 0): Promise<FakeController> {
  const calls = new Set<Call>();
  const requests: Request[] = [];
  const bytes: number[] = [];
  const update = (asked: string): ConnectResponse => {
    const { digest, manifest } = controller.overlay;
    const isNew = digest !== asked;
    const value = { digest, manifest: isNew ? manifest : Buffer.alloc(0), contents: [] };
    const { trouble } = controller;
    if (trouble !== "") {
      const nothing = { digest: "", manifest: Buffer.alloc(0), contents: [], trouble };
      return { message: { $case: "overlayUpdate", value: nothing } };
    }
    return { message: { $case: "overlayUpdate", value: { ...value, trouble } } };
  };
  const fetch = (digests: readonly string[]): ConnectResponse => {
    const { contents } = controller.overlay;
    const known = digests.flatMap((digest) => {
      const data = contents.get(digest);
      return data === undefined ? [] : [{ digest, data }];
    });
    const value = {
      // Two at a time, so that the agent has to ask again.
      contents: known.filter(({ data }) => data.length <= LARGE_BYTES).slice(0, 2),
      blobs: known
        .filter(({ data }) => data.length > LARGE_BYTES)
        .map(({ digest, data }) => ({ digest, sizeBytes: data.length, ticket: Buffer.from("ticket") })),
      missing: digests.filter((digest) => !contents.has(digest)),
    };
    return { message: { $case: "contents", value } };
  };
  const connect = (call: Call): void => {
    calls.add(call);
    call.on("data", (request: ConnectRequest) => {
      const { message } = request;
      if (message === undefined) return;
      requests.push(message);
      bytes.push(ConnectRequest.encode(request).finish().length);
      if (message.$case === "hello") {
        const rest = { hardwareDigest: "", agent: undefined, overlaySchedule: controller.schedule };
        const value = { protocolVersion: 1, heartbeatSeconds: 60, ...rest };
        call.write({ message: { $case: "welcome", value } });
      }
      if (message.$case === "checkOverlay" && !controller.isSilent) call.write(update(message.value.digest));
      if (message.$case === "fetchContents") call.write(fetch(message.value.digests));
    });
    call.on("end", () => {
      calls.delete(call);
      call.end();
    });
    call.on("error", () => calls.delete(call));
  };
  const fetchBlob = (call: ServerWritableStream<FetchBlobRequest, FetchBlobResponse>): void => {
    const data = controller.overlay.contents.get(call.request.digest) ?? Buffer.alloc(0);
    for (let at = call.request.offset; at < data.length; at += 1 << 20) {
      call.write({ data: data.subarray(at, at + (1 << 20)) });
    }
    call.end();
  };
  const server = await serveOnLoopback(
    authority,
    [
      { definition: SessionService, handlers: { connect } },
      { definition: BlobsService, handlers: { fetchBlob } },
    ],
    { mutual: true, port },
  );
  const controller: FakeController = {
    ...server,
    overlay,
    trouble: "",
    isSilent: false,
    schedule: undefined,
    requests,
    bytes,
    statuses: () => requests.flatMap((each) => (each.$case === "overlayStatus" ? [each.value] : [])),
    push: () => {
      for (const call of calls) call.write(update(""));
    },
  };
  return controller;
}

interface Node extends AsyncDisposable {
  readonly root: string;
  readonly overlay: RuntimeOverlay;
  readonly log: string[];
}

/** The agent's session and its overlay duty on a root of their own. */
async function startNode(address: string, root: string): Promise<Node> {
  const stop = new AbortController();
  const paths = { ...hostPathsAt(root), mountInfo: "/proc/self/mountinfo" };
  const log: string[] = [];
  const host: OverlayDutyHost = {
    root,
    paths,
    agentVersion: "1",
    agentDigest: "",
    log: (line) => log.push(line),
    uptimeMs: () => performance.now(),
    now: Date.now,
    random: () => 0,
    // A reconnect waits for a second and more: a tenth does for a test.
    sleep: (ms, signal) => sleep(ms / 10, undefined, { signal }),
  };
  await storeIdentity(paths.identity, await authority.makeIdentity("c001", [address]));
  await mkdir(dirname(paths.node), { recursive: true });
  await mkdir(join(root, "var/lib"), { recursive: true });
  const addresses = { enrolmentAddresses: [], agentAddresses: [address], blobAddresses: [address] };
  const image = { image: "debian12", imageVersion: 3, bootId: "boot-1", bootMac: "52:54:00:00:00:01" };
  await storeNodeRecord(paths, { name: "c001", ...image, ...addresses }, []);
  const { link, sessions } = openControllerLink((line) => log.push(line));
  const overlay = keepRuntimeOverlay(host, link, stop.signal);
  const session = runSession(host, sessions, stop.signal);
  return {
    root,
    overlay,
    log,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all([session, overlay.ended]);
    },
  };
}

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "muster-keep-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const never = new AbortController().signal;
const at = (path: string): string => join(root, path);
const tree = (): Promise<Record<string, string>> => readTree(root);

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited 20 s for ${what}`);
    await sleep(10);
  }
}

test("the overlay is applied when the session opens, kept true, and follows what the controller pushes", async () => {
  const large = randomBytes(3_000_000);
  const reaction = { globs: ["/etc/*.conf"], command: "echo said; exit 3", deadlineSeconds: 10 };
  const first = overlayOf(
    { "/etc/a.conf": "a", "/etc/b": "b", "/etc/c": "c", "/etc/d": "d", "/opt/large": { file: large } },
    { reactions: [reaction] },
  );
  await using controller = await startController(first);
  await using node = await startNode(controller.address, root);
  await until(() => controller.statuses().some(({ digest }) => digest === first.digest), "the first status");
  expect(await readFile(at("/opt/large"))).toEqual(large);
  expect(controller.statuses().at(-1)).toEqual({
    digest: first.digest,
    appliedAtMs: expect.any(Number) as number,
    failure: undefined,
    drift: [],
    driftCount: 0,
    reactions: [
      {
        command: "echo said; exit 3",
        failure: "exit status 3",
        outputTail: "said\n",
        durationMs: expect.any(Number) as number,
      },
    ],
    changed: 5,
  });

  controller.overlay = overlayOf({ "/etc/a.conf": "a2" }, { reactions: [{ ...reaction, command: "true" }] });
  controller.push();
  await until(() => controller.statuses().at(-1)?.digest === controller.overlay.digest, "the second status");
  expect((await tree())["/etc/a.conf"]).toBe("file 0644 0:0 a2");
  expect((await tree())["/opt/large"]).toBeUndefined();

  await writeFile(at("/etc/a.conf"), "edited");
  expect(await node.overlay.verify(never)).toEqual(["/etc/a.conf: content"]);
  expect(await node.overlay.refresh(never)).toEqual(["1 paths changed", "/etc/a.conf: content (put right)"]);
  await until(() => controller.statuses().at(-1)?.driftCount === 1, "the report of the drift");
  expect(controller.statuses().at(-1)?.drift).toEqual([
    { path: "/etc/a.conf", what: "content", repaired: true },
  ]);
  expect(await node.overlay.verify(never)).toEqual([]);

  expect(await node.overlay.refresh(never)).toEqual(["nothing to change"]);
  await until(() => controller.statuses().at(-1)?.driftCount === 0, "the report that all is well");
  const asked = controller.requests.length;
  expect(await node.overlay.refresh(never)).toEqual(["nothing to change"]);
  // An unchanged look is one question, and its answer.
  expect(controller.requests.slice(asked).map(({ $case }) => $case)).toEqual(["checkOverlay"]);
  expect(controller.bytes.at(-1)).toBeLessThan(100);
});

test("what cannot be applied is told, and the node keeps what it has", async () => {
  const good = overlayOf({ "/etc/a": "a" });
  await using controller = await startController(good);
  await using node = await startNode(controller.address, root);
  await until(() => controller.statuses().length > 0, "a status");
  await mkdir(at("/etc/dir"));
  controller.overlay = overlayOf({ "/etc/a": "a2", "/etc/dir": "a file" });
  await expect(node.overlay.refresh(never)).rejects.toMatchObject({ code: "overlay-apply-failed" });
  expect(controller.requests.filter(({ $case }) => $case === "fetchContents")).toHaveLength(1);
  await until(() => controller.statuses().at(-1)?.failure !== undefined, "the report of the failure");
  expect(controller.statuses().at(-1)).toMatchObject({
    digest: good.digest,
    failure: { digest: controller.overlay.digest, code: "overlay-apply-failed" },
  });
  controller.overlay = { ...overlayOf({ "/etc/a": "a3" }), contents: new Map() };
  await expect(node.overlay.refresh(never)).rejects.toMatchObject({
    code: "fetch-gave-up",
    message: expect.stringContaining("the controller has another version by now") as string,
  });
  controller.overlay = overlayOf({ "/etc/../a": "a" });
  await expect(node.overlay.refresh(never)).rejects.toMatchObject({ code: "overlay-invalid" });
  controller.overlay = { ...overlayOf({}), digest: `sha256:${"0".repeat(64)}` };
  await expect(node.overlay.refresh(never)).rejects.toMatchObject({ code: "blob-corrupt" });
  expect(await readFile(at("/etc/a"), "utf8")).toBe("a");
});

test("without a controller for several intervals drift is repaired on schedule, and a new agent begins with what there is", async () => {
  const overlay = overlayOf({ "/etc/a": "a", "/etc/b": { file: "b", mode: 0o600 } });
  {
    await using controller = await startController(overlay);
    // Every second, which no controller's configuration allows.
    controller.schedule = { cron: "* * * * * *", jitterSeconds: 0 };
    await using node = await startNode(controller.address, root);
    await until(() => controller.statuses().length > 0, "a status");
    await controller[Symbol.asyncDispose]();
    for (const round of [1, 2, 3]) {
      await writeFile(at("/etc/a"), `edited ${round}`);
      await until(async () => (await readFile(at("/etc/a"), "utf8")) === "a", "the repair");
    }
    const repairs = (): number => node.log.filter((line) => line === "overlay: 1 paths changed").length;
    await until(() => repairs() >= 3, "three lines in the log");
  }
  await writeFile(at("/etc/b"), "edited while no agent ran");
  await using node = await startNode("127.0.0.1:1", root);
  await until(async () => (await readFile(at("/etc/b"), "utf8")) === "b", "the repair at the start");
  expect(await node.overlay.verify(never)).toEqual([]);
});

test("what was put right while no controller answered is told to the next one, once", async () => {
  const overlay = overlayOf(
    { "/etc/a": "a", "/etc/b": "b", "/etc/c": "c" },
    { reactions: [{ globs: ["/etc/a"], command: "echo no; exit 3", deadlineSeconds: 10 }] },
  );
  const first = await startController(overlay);
  await using node = await startNode(first.address, root);
  await until(() => first.statuses().length > 0, "a status");
  await first[Symbol.asyncDispose]();
  for (const path of ["/etc/a", "/etc/b", "/etc/a"]) {
    await writeFile(at(path), "edited");
    await until(
      () => node.overlay.refresh(never).then(([found]) => found === "1 paths changed"),
      "the repair",
    );
  }
  await using next = await startController(overlay, Number(first.address.split(":")[1]));
  await until(() => next.statuses().length > 0, "a status for the next controller");
  const repaired = { what: "content", repaired: true };
  expect(next.statuses()[0]).toMatchObject({
    digest: overlay.digest,
    drift: [
      { path: "/etc/a", ...repaired },
      { path: "/etc/b", ...repaired },
    ],
    driftCount: 2,
    reactions: [{ failure: "exit status 3" }],
  });
  await node.overlay.refresh(never);
  await until(() => next.statuses().at(-1)?.driftCount === 0, "the report that all is well");
});

test("a check does not wait for a controller that leaves a question unanswered, nor does what it pushes", async () => {
  await using controller = await startController(overlayOf({ "/etc/v": "1" }));
  await using node = await startNode(controller.address, root);
  await until(() => controller.statuses().length > 0, "a status");
  controller.isSilent = true;
  const asked = controller.requests.length;
  const refreshed = node.overlay.refresh(never);
  await until(() => controller.requests.length > asked, "the question");
  expect(await node.overlay.verify(never)).toEqual([]);
  expect(node.overlay.isBusy()).toBe(false);
  controller.overlay = overlayOf({ "/etc/v": "2" });
  controller.push();
  expect(await refreshed).toEqual(["1 paths changed"]);
});

test("while the controller cannot say what is right, what was right is kept true", async () => {
  await using controller = await startController(overlayOf({ "/etc/v": "1" }));
  await using node = await startNode(controller.address, root);
  await until(() => controller.statuses().length > 0, "a status");
  controller.trouble = "overlay site: /etc/v cannot be read";
  await writeFile(at("/etc/v"), "edited");
  await expect(node.overlay.refresh(never)).rejects.toMatchObject({ code: "overlay-invalid" });
  expect(await readFile(at("/etc/v"), "utf8")).toBe("1");
  await until(() => controller.statuses().at(-1)?.failure !== undefined, "the report of the failure");
  expect(controller.statuses().at(-1)).toMatchObject({
    digest: controller.overlay.digest,
    failure: { code: "overlay-invalid" },
    drift: [{ path: "/etc/v", what: "content", repaired: true }],
  });
});

test("a report of many edits at long paths fits in a message", async () => {
  const deep = `/etc${`/${"d".repeat(200)}`.repeat(14)}`;
  const paths = Array.from({ length: 120 }, (_, at) => `${deep}/${"f".repeat(200)}${at}`);
  await using controller = await startController(
    overlayOf(Object.fromEntries(paths.map((path) => [path, "x"]))),
  );
  await using node = await startNode(controller.address, root);
  await until(() => controller.statuses().length > 0, "a status");
  for (const path of paths) await writeFile(at(path), "y");
  await node.overlay.refresh(never);
  await until(() => controller.statuses().at(-1)?.driftCount === 120, "the report of the edits");
  expect(controller.statuses().at(-1)?.drift).toHaveLength(100);
  expect(Math.max(...controller.bytes)).toBeLessThan(100_000);
});

test("a record of the overlay that is damaged is told, with what to do", async () => {
  await using controller = await startController(overlayOf({ "/etc/v": "1" }));
  await using node = await startNode(controller.address, root);
  await until(() => controller.statuses().length > 0, "a status");
  await writeFile(join(node.root, "var/lib/muster/overlay/applied.json"), "{");
  await expect(node.overlay.refresh(never)).rejects.toThrow("applied.json is damaged");
  await until(() => controller.statuses().at(-1)?.failure !== undefined, "the report of the failure");
  expect(controller.statuses().at(-1)?.failure?.fix).toMatch(
    /^restart the node; if its root outlives that, remove /,
  );
});

test("of versions that come faster than they are applied the last one stands", async () => {
  await using controller = await startController(overlayOf({ "/etc/v": "0" }));
  await using node = await startNode(controller.address, root);
  await until(() => controller.statuses().length > 0, "a status");
  for (let version = 1; version <= 20; version++) {
    controller.overlay = overlayOf({ "/etc/v": String(version) });
    controller.push();
  }
  await until(() => controller.statuses().at(-1)?.digest === controller.overlay.digest, "the last version");
  expect(await readFile(at("/etc/v"), "utf8")).toBe("20");
  expect(await node.overlay.verify(never)).toEqual([]);
  expect(controller.statuses().filter(({ failure }) => failure !== undefined)).toEqual([]);
});
