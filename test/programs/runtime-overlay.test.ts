import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { type ClientDuplexStream, type ServiceError } from "@grpc/grpc-js";
import { expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import { type OverlayUpdate, RuntimeManifest } from "#proto/gen/muster/v1/overlay.ts";
import { type ConnectRequest, type ConnectResponse, SessionClient } from "#proto/gen/muster/v1/session.ts";
import { mintToken } from "../../controller/identity/enrolment-tokens.ts";
import type { RuntimeOverlays } from "../../controller/overlays/serve-runtime-overlays.ts";
import type { SessionListener } from "../../controller/sessions/serve-session.ts";
import {
  enrolAsNode,
  type LoopbackController,
  makeMachine,
  startLoopbackController,
} from "../fixtures/controller-on-loopback.ts";

/** A controller with runtime overlays, on a directory of its own. */
interface OverlaySite extends AsyncDisposable {
  readonly controller: LoopbackController;
  readonly overlays: () => RuntimeOverlays;
  put(path: string, content: string): Promise<void>;
}

async function startSite(
  more: readonly SessionListener[] = [],
  files: Readonly<Record<string, string>> = {},
): Promise<OverlaySite> {
  const root = await mkdtemp(join(tmpdir(), "muster-overlay-"));
  const put = async (path: string, content: string): Promise<void> => {
    const file = join(root, "overlays", path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  };
  await put("base/rootfs/etc/motd", "hello\n");
  await put("gpu/rootfs/etc/gpu", "for gpu nodes\n");
  for (const [path, content] of Object.entries(files)) await put(path, content);
  const controller = await startLoopbackController({
    overlays: {
      root: join(root, "overlays"),
      blobRoot: join(root, "blobs"),
      settings: { runtime: ["base"] },
    },
    openListeners: async () => more,
  });
  return {
    controller,
    put,
    overlays: () => {
      if (controller.overlays === undefined) throw new Error("opened with the controller");
      return controller.overlays;
    },
    [Symbol.asyncDispose]: async () => {
      await controller[Symbol.asyncDispose]();
      await rm(root, { recursive: true, force: true });
      expect(controller.bugs).toEqual([]);
    },
  };
}

type AgentMessage = NonNullable<ConnectRequest["message"]>;
type ControllerMessage = NonNullable<ConnectResponse["message"]>;
type Said<C extends ControllerMessage["$case"]> = Extract<ControllerMessage, { $case: C }>["value"];

/** A node with a session, played by hand. */
interface ScriptedNode extends Disposable {
  say(message: AgentMessage): void;
  /** Reads nothing more until `read`. */
  ignore(): void;
  read(): void;
  /** The next message, which has to be of this kind. */
  hear<C extends ControllerMessage["$case"]>(kind: C): Promise<Said<C>>;
}

async function connectNode(controller: LoopbackController, name: string, mac: string): Promise<ScriptedNode> {
  await controller.addNode(name, mac);
  const bootId = `11111111-0000-0000-0000-${mac.replaceAll(":", "")}`;
  const token = await mintToken({
    ...{ inventory: controller.inventory, node: parseNodeName(name), lifetimeSeconds: 300 },
    ...{ bootMac: parseMacAddress(mac), sourceAddress: "127.0.0.1", now: controller.clock.now },
  });
  const { tls } = await enrolAsNode(controller, await makeMachine(mac, { token, bootId, serial: name }));
  const client = new SessionClient(`localhost:${controller.agents.port}`, tls, {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": 16 * 1024 * 1024,
  });
  const stream: ClientDuplexStream<ConnectRequest, ConnectResponse> = client.connect();
  const heard: (ControllerMessage | Error)[] = [];
  let wake = Promise.withResolvers<undefined>();
  const take = (message: ControllerMessage | Error | undefined): void => {
    if (message !== undefined) heard.push(message);
    wake.resolve(undefined);
  };
  stream.on("data", ({ message }: ConnectResponse) => {
    take(message);
  });
  stream.on("error", (error: ServiceError) => {
    take(error);
  });
  const node: ScriptedNode = {
    say: (message) => void stream.write({ message }),
    ignore: () => void stream.pause(),
    read: () => void stream.resume(),
    hear: async (kind) => {
      while (heard.length === 0) {
        await wake.promise;
        wake = Promise.withResolvers();
      }
      const message = heard.shift();
      if (message instanceof Error) throw message;
      if (message?.$case !== kind) throw new Error(`heard ${message?.$case ?? "nothing"}, not ${kind}`);
      return message.value as never;
    },
    [Symbol.dispose]: () => {
      stream.end();
      client.close();
    },
  };
  const hello = { protocolVersion: 1, agentVersion: "1", bootId, imageName: "d", imageVersion: 1 };
  node.say({ $case: "hello", value: { ...hello, machine: undefined, agentDigest: "" } });
  await node.hear("welcome");
  return node;
}

async function bringUpToDate(node: ScriptedNode): Promise<OverlayUpdate> {
  node.say({ $case: "checkOverlay", value: { digest: "" } });
  const update = await node.hear("overlayUpdate");
  node.say(appliedStatus(update));
  return update;
}

function appliedStatus({ digest }: OverlayUpdate): AgentMessage {
  const nothing = { failure: undefined, drift: [], driftCount: 0, reactions: [], changed: 1 };
  return { $case: "overlayStatus", value: { ...nothing, digest, appliedAtMs: Date.now() } };
}

function textsOf({ contents }: OverlayUpdate): readonly string[] {
  return contents.map(({ data }) => data.toString());
}

test("a change on the controller's disk is with the node at once, and the node's word about it is its state", async () => {
  await using site = await startSite();
  using c001 = await connectNode(site.controller, "c001", "52:54:00:00:00:01");
  const first = await bringUpToDate(c001);
  expect(textsOf(first)).toEqual(["hello\n"]);
  const startedMs = performance.now();
  await site.put("base/rootfs/etc/motd", "changed\n");
  const update = await c001.hear("overlayUpdate");
  expect(performance.now() - startedMs).toBeLessThan(5000);
  expect(textsOf(update)).toEqual(["changed\n"]);
  expect(site.overlays().statusOf(parseNodeName("c001"))?.verdict).toBe("outdated");
  c001.say(appliedStatus(update));
  await expect.poll(() => site.overlays().statusOf(parseNodeName("c001"))?.verdict).toBe("current");
  c001.say({ $case: "checkOverlay", value: { digest: update.digest } });
  expect(await c001.hear("overlayUpdate")).toEqual({
    digest: update.digest,
    manifest: Buffer.alloc(0),
    contents: [],
    trouble: "",
  });
});

test("a node whose list changes in the inventory is told at once, and gets no content of another node's overlay", async () => {
  await using site = await startSite();
  const { inventory } = site.controller;
  using c001 = await connectNode(site.controller, "c001", "52:54:00:00:00:01");
  using c002 = await connectNode(site.controller, "c002", "52:54:00:00:00:02");
  await bringUpToDate(c001);
  await bringUpToDate(c002);
  const node = await inventory.findNode("c002");
  if (node === undefined) throw new Error("added above");
  const fields = { ...node, runtimeOverlays: ["gpu"] };
  await inventory.updateNodes([{ name: node.name, revision: node.revision, fields }], { user: "test" });
  const update = await c002.hear("overlayUpdate");
  expect(textsOf(update)).toEqual(["for gpu nodes\n"]);
  const entries = RuntimeManifest.decode(update.manifest).entries;
  expect(entries.map(({ path }) => path)).toEqual(["/etc", "/etc/gpu", "/etc/motd"]);
  const digests = entries.flatMap(({ kind }) => (kind?.$case === "file" ? [kind.value.digest] : []));
  c001.say({ $case: "fetchContents", value: { digests } });
  const { contents, missing, blobs } = await c001.hear("contents");
  expect(contents.map(({ data }) => data.toString())).toEqual(["hello\n"]);
  expect([missing, blobs]).toEqual([[digests[0]], []]);
});

test("a session that ends and comes again starts from what the node says it has", async () => {
  await using site = await startSite();
  using first = await connectNode(site.controller, "c001", "52:54:00:00:00:01");
  const update = await bringUpToDate(first);
  first[Symbol.dispose]();
  await expect.poll(() => site.overlays().statusOf(parseNodeName("c001"))?.verdict).toBe("unreachable");
  expect(site.overlays().statusOf(parseNodeName("c001"))?.report?.digest).toBe(update.digest);
});

test("a node that asks without end and reads nothing is answered no further, and harms nobody", async () => {
  let answered = 0;
  const received: SessionListener["received"] = async (_session, { $case }) => {
    if ($case === "fetchContents") answered += 1;
  };
  const files = Array.from({ length: 16 }, (_, at) => [`base/rootfs/etc/file${at}`, `${at}`.repeat(30_000)]);
  await using site = await startSite([{ received }], Object.fromEntries(files) as Record<string, string>);
  using greedy = await connectNode(site.controller, "c001", "52:54:00:00:00:01");
  using other = await connectNode(site.controller, "c002", "52:54:00:00:00:02");
  const { manifest } = await bringUpToDate(greedy);
  const entries = RuntimeManifest.decode(manifest).entries;
  const digests = entries.flatMap(({ kind }) => (kind?.$case === "file" ? [kind.value.digest] : []));
  greedy.ignore();
  // 700 KB of answers to each.
  const asked = 200;
  for (let at = 0; at < asked; at += 1) greedy.say({ $case: "fetchContents", value: { digests } });
  const { digest } = await bringUpToDate(other);
  for (let at = 0; at < 50; at += 1) {
    other.say({ $case: "checkOverlay", value: { digest } });
    await other.hear("overlayUpdate");
  }
  expect(answered).toBeLessThan(asked / 4);
  greedy.read();
  for (let at = 0; at < asked; at += 1) await greedy.hear("contents");
  expect(answered).toBe(asked);
});
