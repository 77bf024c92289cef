import { type ChannelCredentials, type ClientDuplexStream, type ServiceError } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { parseDigest } from "#proto/contract/digest.ts";
import { parseMacAddress } from "#proto/contract/mac-address.ts";
import type { MusterError } from "#proto/contract/muster-error.ts";
import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";
import {
  type BootPlan,
  type OverlayEntry,
  ProvisioningClient,
  type ReportFailureRequest,
  RootMode,
} from "#proto/gen/muster/v1/provisioning.ts";
import { type ConnectRequest, type ConnectResponse, SessionClient } from "#proto/gen/muster/v1/session.ts";
import { musterErrorFromGrpc } from "#proto/host/grpc-errors.ts";
import {
  enrolAsNode,
  type LoopbackController,
  makeMachine,
  startLoopbackController,
  type TestMachine,
} from "../../test/fixtures/controller-on-loopback.ts";
import { makeCertificateRequest } from "../../test/fixtures/make-certificate-request.ts";
import { mintToken } from "../identity/enrolment-tokens.ts";
import { parseNodeCertificate } from "../identity/parse-node-certificate.ts";
import { openBlobTicket } from "../images/blob-tickets.ts";

const MAC = "52:54:00:12:34:56";
const C001 = parseNodeName("c001");
const BOOT = "11111111-0000-0000-0000-000000000001";
const LAYER = parseDigest(`sha256:${"aa".repeat(32)}`);
const KERNEL = parseDigest(`sha256:${"bb".repeat(32)}`);
const MODULES = parseDigest(`sha256:${"cc".repeat(32)}`);
const OVERLAY_BLOB = parseDigest(`sha256:${"dd".repeat(32)}`);
const OVERLAY: OverlayEntry[] = [
  entry("/etc/hostname", { $case: "inlineFile", value: Buffer.from("c001\n") }),
  entry("/opt/big", {
    $case: "blobFile",
    value: { digest: OVERLAY_BLOB, sizeBytes: 7, ticket: Buffer.alloc(0) },
  }),
];

const OTHER_BOOT = "22222222-0000-0000-0000-000000000002";

function entry(path: string, kind: OverlayEntry["kind"]): OverlayEntry {
  return { path, mode: 0o644, uid: 0, gid: 0, xattrs: {}, kind };
}

let controller: LoopbackController;
let closers: (() => void)[] = [];
beforeEach(async () => {
  controller = await startLoopbackController({ overlay: OVERLAY });
  await controller.addNode("c001", MAC);
});
afterEach(async () => {
  for (const close of closers) close();
  closers = [];
  const { bugs } = controller;
  await controller[Symbol.asyncDispose]();
  expect(bugs).toEqual([]);
});

async function bootNode(node: NodeName = C001, mac = MAC, bootId = BOOT): Promise<ChannelCredentials> {
  const token = await mintToken({
    ...{ inventory: controller.inventory, node, lifetimeSeconds: 300, now: controller.clock.now },
    ...{ bootMac: parseMacAddress(mac), sourceAddress: "127.0.0.1" },
  });
  const machine: TestMachine = await makeMachine(mac, { token, bootId });
  return (await enrolAsNode(controller, machine)).tls;
}

async function addImage(name: string): Promise<void> {
  const blob = (digest: typeof LAYER, sizeBytes: number): { digest: typeof LAYER; sizeBytes: number } => ({
    digest,
    sizeBytes,
  });
  await controller.inventory.addImageVersion(
    {
      image: name,
      kernelRelease: "6.1.0",
      architecture: "x86_64",
      features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
      kernel: blob(KERNEL, 10),
      modules: blob(MODULES, 20),
      layers: [blob(LAYER, 30)],
      source: "/srv/trees/debian",
    },
    { user: "root" },
  );
}

function provisioning(tls: ChannelCredentials): ProvisioningClient {
  const client = new ProvisioningClient(`localhost:${controller.agents.port}`, tls);
  closers.push(() => {
    client.close();
  });
  return client;
}

function getPlan(tls: ChannelCredentials, bootId = BOOT): Promise<BootPlan | MusterError | undefined> {
  return new Promise((resolve) => {
    provisioning(tls).getBootPlan({ protocolVersion: 1, bootId, kernelDigest: KERNEL }, (error, response) => {
      resolve(error === null ? response.plan : musterErrorFromGrpc(error));
    });
  });
}

function reportFailure(
  tls: ChannelCredentials,
  report: Partial<ReportFailureRequest>,
): Promise<MusterError | "ok"> {
  const whole = { bootId: BOOT, stages: [], stage: "fetch", code: "fetch-gave-up", what: "w", fix: "f" };
  const rest = { kernelLogTail: "", blobDigest: "", retryInSeconds: 5, uptimeMs: 1 };
  return new Promise((resolve) => {
    provisioning(tls).reportFailure({ ...whole, ...rest, ...report }, (error) => {
      resolve(error === null ? "ok" : musterErrorFromGrpc(error));
    });
  });
}

interface TestSession {
  readonly stream: ClientDuplexStream<ConnectRequest, ConnectResponse>;
  readonly say: (message: NonNullable<ConnectRequest["message"]>) => void;
  readonly hear: () => Promise<ConnectResponse["message"] | MusterError>;
}

function connect(tls: ChannelCredentials): TestSession {
  const client = new SessionClient(`localhost:${controller.agents.port}`, tls, {
    "grpc.use_local_subchannel_pool": 1,
  });
  closers.push(() => {
    client.close();
  });
  const stream = client.connect();
  const heard: (ConnectResponse["message"] | MusterError)[] = [];
  let wake = (): void => undefined;
  stream.on("data", ({ message }: ConnectResponse) => {
    heard.push(message);
    wake();
  });
  stream.on("error", (error: ServiceError) => {
    heard.push(musterErrorFromGrpc(error));
    wake();
  });
  return {
    stream,
    say: (message) => {
      stream.write({ message });
    },
    hear: async () => {
      while (heard.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return heard.shift();
    },
  };
}

function hello(bootId = BOOT): NonNullable<ConnectRequest["message"]> {
  const value = { protocolVersion: 1, agentVersion: "0.1.0", bootId, imageName: "debian12", imageVersion: 1 };
  return { $case: "hello", value: { ...value, machine: undefined, agentDigest: "" } };
}

async function openSession(tls: ChannelCredentials): Promise<TestSession> {
  const session = connect(tls);
  session.say(hello());
  expect(await session.hear()).toEqual({
    $case: "welcome",
    value: {
      protocolVersion: 1,
      heartbeatSeconds: 30,
      hardwareDigest: "",
      overlaySchedule: undefined,
      agent: undefined,
    },
  });
  return session;
}

function nextState(wanted: string): Promise<void> {
  if (controller.fleet.statusOf(C001).state === wanted) return Promise.resolve();
  return new Promise((resolve) => {
    const stop = controller.fleet.onChange(({ state }) => {
      if (state !== wanted) return;
      stop();
      resolve();
    });
  });
}

function nextEvent(kind: string): Promise<{ what: string; fix?: string; node?: string }> {
  return new Promise((resolve) => {
    const stop = controller.telemetry.onEvent((event) => {
      if (event.kind !== kind) return;
      stop();
      resolve(event);
    });
  });
}

describe("GetBootPlan", () => {
  test("names image, layers and overlay, with a ticket for each blob that only this boot can use", async () => {
    await addImage("debian12");
    const plan = await getPlan(await bootNode());
    if (plan === undefined || plan instanceof Error) throw plan ?? new Error("no plan");
    const [file, blobFile] = plan.overlay;
    if (blobFile?.kind?.$case !== "blobFile") throw new Error("no blob in the overlay");
    const tickets = [plan.layers[0]?.ticket, blobFile.kind.value.ticket].map((ticket) =>
      openBlobTicket(Buffer.alloc(32, 7), ticket ?? Buffer.alloc(0), controller.clock.now),
    );
    expect(tickets).toMatchObject([
      { node: "c001", bootId: BOOT, digest: LAYER, sizeBytes: 30 },
      { node: "c001", bootId: BOOT, digest: OVERLAY_BLOB, sizeBytes: 7 },
    ]);
    expect(file).toEqual(OVERLAY[0]);
    expect({ ...plan, overlay: [], layers: plan.layers.map(({ digest }) => digest) }).toEqual({
      nodeName: "c001",
      imageName: "debian12",
      imageVersion: 1,
      kernelDigest: KERNEL,
      layers: [LAYER],
      rootMode: RootMode.SQUASHFS,
      rootSizeBytes: 0,
      overlay: [],
      init: "/sbin/init",
      blobAddresses: ["127.0.0.1:9883"],
      retry: { giveUpAfterSeconds: 600, rebootAfterSeconds: 30 },
    });
    expect(controller.fleet.statusOf(C001)).toMatchObject({ image: "debian12", imageVersion: 1 });
  });

  test("without an image, or with several and none chosen, says what to type", async () => {
    const tls = await bootNode();
    expect(await getPlan(tls)).toMatchObject({
      code: "no-image",
      fix: "on the controller: muster image import DIR --name NAME",
    });
    await addImage("debian12");
    await addImage("rocky9");
    expect(await getPlan(tls)).toMatchObject({
      code: "no-image",
      message: "c001: no image is chosen and there are 2",
    });
  });

  test("is refused for another boot than the certificate's", async () => {
    await addImage("debian12");
    expect(await getPlan(await bootNode(), "another")).toMatchObject({ code: "permission-denied" });
  });
});

describe("ReportFailure", () => {
  test("shows in status and events, with the machine's text made harmless", async () => {
    const failed = nextEvent("boot-failed");
    await reportFailure(await bootNode(), {
      what: "no\u001b[2J space",
      fix: "add memory",
      kernelLogTail: "a\u0007\nb",
    });
    expect(await failed).toMatchObject({
      node: "c001",
      what: "c001 failed to boot at fetch: no [2J space; it tries again in 5 s",
      fix: "add memory",
    });
    expect(controller.fleet.statusOf(C001)).toMatchObject({
      state: "failed",
      stage: "fetch",
      failure: { code: "fetch-gave-up", what: "no [2J space", kernelLogTail: "a\nb" },
    });
  });

  test("of a blob makes the controller look at its copy and name blob, node and remedy", async () => {
    await addImage("debian12");
    controller.store.verdict = "corrupt";
    const corrupt = nextEvent("blob-corrupt");
    await reportFailure(await bootNode(), { blobDigest: LAYER });
    expect(await corrupt).toMatchObject({
      node: "c001",
      what: "blob aaaaaaaaaaaa of debian12 version 1 is corrupt in the store; c001 refused to boot from it",
      fix: "import the image again: muster image import /srv/trees/debian --name debian12; then check the controller's disk",
    });
  });

  test("of a blob that is good here points at the node, and is looked at once a minute", async () => {
    await addImage("debian12");
    const tls = await bootNode();
    const told = nextEvent("blob-transfer-corrupt");
    await reportFailure(tls, { blobDigest: LAYER });
    await told;
    await reportFailure(tls, { blobDigest: LAYER });
    await reportFailure(tls, { blobDigest: "sha256:junk" });
    await reportFailure(tls, { blobDigest: OVERLAY_BLOB });
    expect(controller.verified).toEqual([LAYER]);
  });
});

describe("a session", () => {
  test("makes its node ready, and unreachable when it ends", async () => {
    const session = await openSession(await bootNode());
    session.say({
      $case: "ready",
      value: {
        uptimeMs: 20_000,
        stages: [{ stage: "kernel", startedMs: 0, endedMs: 900, detail: "" }],
      },
    });
    await nextState("ready");
    expect(controller.fleet.statusOf(C001)).toMatchObject({ bootId: BOOT, agentVersion: "0.1.0" });
    session.stream.cancel();
    await nextState("unreachable");
    expect(controller.session.openSessions()).toBe(0);
  });

  test("renews the certificate for the same node and boot", async () => {
    const session = await openSession(await bootNode());
    const { csrDer } = await makeCertificateRequest();
    session.say({ $case: "renewCertificate", value: { certificateRequest: csrDer } });
    const heard = await session.hear();
    if (heard === undefined || heard instanceof Error || heard.$case !== "renewedCertificate") {
      throw new Error("not renewed");
    }
    expect(parseNodeCertificate(heard.value.certificate)).toEqual({ node: "c001", bootId: BOOT });
    session.say({ $case: "renewCertificate", value: { certificateRequest: csrDer } });
    expect(await session.hear()).toMatchObject({ code: "too-many-requests" });
  });

  test("ends when its node is deleted", async () => {
    const session = await openSession(await bootNode());
    await controller.inventory.deleteNodes([C001], { user: "root" });
    expect(await session.hear()).toMatchObject({
      code: "certificate-refused",
      message: "node c001 was deleted",
    });
  });

  test("ends when its certificate expired without being renewed", async () => {
    const session = await openSession(await bootNode());
    controller.clock.now = new Date(controller.clock.now.getTime() + 3_700_000);
    session.say({ $case: "heartbeat", value: { uptimeSeconds: 1 } });
    expect(await session.hear()).toMatchObject({ code: "certificate-refused" });
  });

  test("keeps another from enrolling as its node while it answers, and no longer than that", async () => {
    const session = await openSession(await bootNode());
    session.say({ $case: "heartbeat", value: { uptimeSeconds: 60 } });
    await expect(bootNode(C001, MAC, OTHER_BOOT)).rejects.toMatchObject({ code: "enrolment-refused" });
    expect(await controller.eventKinds()).toContain("impostor");

    session.stream.end();
    await expect(bootNode(C001, MAC, OTHER_BOOT)).resolves.toBeDefined();
  });

  test("gives way to a newer session of its node", async () => {
    const tls = await bootNode();
    const first = await openSession(tls);
    await openSession(tls);
    expect(await first.hear()).toMatchObject({ message: "c001 opened another session" });
    expect(controller.session.openSessions()).toBe(1);
  });

  test.each([
    [
      "starts with something else than a hello",
      [{ $case: "heartbeat" as const, value: { uptimeSeconds: 1 } }],
      "request-invalid",
    ],
    ["says hello twice", [hello(), hello()], "request-invalid"],
    ["speaks of another boot", [hello("another")], "permission-denied"],
  ])("that %s is refused", async (_title, messages, code) => {
    const session = connect(await bootNode());
    for (const message of messages) session.say(message);
    let heard = await session.hear();
    if (heard !== undefined && !(heard instanceof Error)) heard = await session.hear();
    expect(heard).toMatchObject({ code });
    expect(controller.session.openSessions()).toBe(0);
  });
});
