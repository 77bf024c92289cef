import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { type ChannelCredentials, credentials, type ServiceError } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Digest, digestOfHex } from "#proto/contract/digest.ts";
import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import { RuntimeManifest } from "#proto/gen/muster/v1/overlay.ts";
import {
  BlobsClient,
  type FetchBlobResponse,
  ProvisioningClient,
} from "#proto/gen/muster/v1/provisioning.ts";
import { type ConnectRequest, type ConnectResponse, SessionClient } from "#proto/gen/muster/v1/session.ts";
import { musterErrorFromGrpc } from "#proto/host/grpc-errors.ts";
import { planConnectionLimits } from "../../controller/api/admit-connections.ts";
import { openCertificateAuthority } from "../../controller/identity/certificate-authority.ts";
import { mintToken } from "../../controller/identity/enrolment-tokens.ts";
import { sealBlobTicket } from "../../controller/images/blob-tickets.ts";
import { blobPath } from "../../controller/images/serve-blobs.ts";
import { type BlobWorkers, startBlobWorkers } from "../../controller/images/start-blob-workers.ts";
import {
  enrol,
  type LoopbackController,
  makeMachine,
  nodeCredentials,
  startLoopbackController,
  type TestMachine,
  TICKET_KEY,
} from "../fixtures/controller-on-loopback.ts";
import { makeCertificateRequest } from "../fixtures/make-certificate-request.ts";
import { withSourceAddress } from "../fleet/bind-source-address.ts";

/*
 * "No impostors: a second claimant for a node with a live session is refused, logged as an event and shown in red in
 * `node list`; token replay, expired or foreign certificate, another node's blob of a secret class or overlay,
 * certificates after `node delete`/`muster node revoke` all refused, mid-session too; rate limits before
 * authentication." Against the real servers, on loopback.
 */

const [C001, C002] = [parseNodeName("c001"), parseNodeName("c002")];
const [MAC, MAC_2] = ["52:54:00:12:34:56", "52:54:00:12:34:57"];
const [HOME, ELSEWHERE] = ["127.0.0.1", "127.0.0.9"];
const [BOOT, OTHER_BOOT] = ["11111111-0000-0000-0000-000000000001", "22222222-0000-0000-0000-000000000002"];
const ROOT = { user: "root", reason: "stolen" };
const UNREACHABLE = /^(controller-unreachable|certificate-mismatch)$/;

let controller: LoopbackController;
let directory: string;
let closers: (() => unknown)[] = [];
/** Whatever must never be in an event or an error. */
let secrets: string[] = [];
/** All that anybody was told. */
let said: string[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-impostors-"));
  const [root, blobRoot] = [join(directory, "overlays"), join(directory, "blobs")];
  controller = await startLoopbackController({ overlays: { root, blobRoot } });
  await controller.addNode("c001", MAC);
  await controller.addNode("c002", MAC_2);
  [closers, secrets, said] = [[], [], []];
});
afterEach(async () => {
  for (const close of closers.toReversed()) await close();
  await controller.telemetry.flush();
  said.push(JSON.stringify(await controller.telemetry.listEvents({ limit: 1000 })));
  const { bugs } = controller;
  await controller[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
  expect(bugs).toEqual([]);
  expect(secrets.filter((secret) => said.some((text) => text.includes(secret)))).toEqual([]);
});

interface Booted {
  readonly machine: TestMachine;
  readonly tls: ChannelCredentials;
}

async function tokenFor(mac = MAC, address = HOME, node = C001): Promise<string> {
  const token = await mintToken({
    ...{ inventory: controller.inventory, node, lifetimeSeconds: 300, now: controller.clock.now },
    ...{ bootMac: parseMacAddress(mac), sourceAddress: address },
  });
  secrets.push(token);
  return token;
}

/** How an enrolment ends: a certificate, or the code of the refusal. */
async function ask(machine: TestMachine, from = HOME): Promise<Booted | string> {
  secrets.push(machine.keyPem.split("\n")[1] ?? "");
  const stream = withSourceAddress(from, () => enrol(controller, machine));
  try {
    const event = await stream.next();
    if (event?.$case !== "accepted") return event?.$case ?? "nothing";
    const { certificate } = event.value;
    return {
      machine,
      tls: nodeCredentials(controller.authority.certificatePem, machine.keyPem, certificate),
    };
  } catch (error) {
    return tell(error);
  } finally {
    stream.cancel();
  }
}

async function boot(bootId = BOOT, mac = MAC): Promise<Booted> {
  const token = await tokenFor(mac, HOME, mac === MAC ? C001 : C002);
  const booted = await ask(await makeMachine(mac, { token, bootId }));
  if (typeof booted === "string") throw new Error(`not accepted: ${booted}`);
  return booted;
}

function tell(error: unknown): string {
  const refusal = error instanceof MusterError ? error : musterErrorFromGrpc(error);
  said.push(`${refusal.message} ${refusal.fix ?? ""}`);
  return refusal.code;
}

type ControllerMessage = NonNullable<ConnectResponse["message"]>;
type Said<C extends ControllerMessage["$case"]> = Extract<ControllerMessage, { $case: C }>["value"];

/** A session that answers greetings, as agents do. `ended` is the code it ended with. */
async function openSession(
  { tls, machine }: Booted,
  from = HOME,
): Promise<{
  readonly ended: Promise<string>;
  readonly say: (message: ConnectRequest["message"]) => void;
  /** The next message of this kind. */
  readonly hear: <C extends ControllerMessage["$case"]>(kind: C) => Promise<Said<C>>;
  /** What an agent does that is stopped. */
  readonly sayGoodbye: () => void;
}> {
  return withSourceAddress(from, async () => {
    const client = new SessionClient(`127.0.0.1:${controller.agents.port}`, tls, {
      "grpc.use_local_subchannel_pool": 1,
    });
    const stream = client.connect();
    closers.push(() => {
      stream.cancel();
      client.close();
    });
    const say = (message: ConnectRequest["message"]): void => void stream.write({ message });
    const ended = new Promise<string>((resolve) => {
      stream.on("error", (error: ServiceError) => {
        resolve(tell(error));
      });
      stream.on("end", () => {
        resolve("end");
      });
    });
    const heard: ControllerMessage[] = [];
    const hear = async <C extends ControllerMessage["$case"]>(kind: C): Promise<Said<C>> => {
      const isThat = ({ $case }: ControllerMessage): boolean => $case === kind;
      await until(() => heard.some(isThat));
      const [message] = heard.splice(heard.findIndex(isThat), 1);
      return message?.value as Said<C>;
    };
    const welcome = new Promise<void>((resolve) => {
      stream.on("data", ({ message }: ConnectResponse) => {
        if (message !== undefined) heard.push(message);
        if (message?.$case !== "welcome") return;
        say({ $case: "ready", value: { uptimeMs: 60_000, stages: [] } });
        resolve();
      });
    });
    const { bootId } = machine.request;
    const image = { imageName: "debian12", imageVersion: 1, agentDigest: "" };
    const hello = { protocolVersion: 1, agentVersion: "1", bootId, machine: undefined, ...image };
    say({ $case: "hello", value: hello });
    await Promise.race([welcome, ended]);
    const sayGoodbye = (): void => void stream.end();
    return { ended, say, hear, sayGoodbye };
  });
}

/** A node that is up and known to be: its session, and that it is ready. */
async function upNode(): Promise<Booted & Awaited<ReturnType<typeof openSession>>> {
  const booted = await boot();
  const session = await openSession(booted);
  await until(() => controller.fleet.statusOf(C001).state === "ready");
  return { ...booted, ...session };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("the condition did not come true in time");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function planOf({ tls }: Pick<Booted, "tls">, bootId = BOOT): Promise<string> {
  const client = new ProvisioningClient(`127.0.0.1:${controller.agents.port}`, tls, {
    "grpc.use_local_subchannel_pool": 1,
  });
  return new Promise<string>((resolve) => {
    const digest = `sha256:${"0".repeat(64)}`;
    client.getBootPlan({ protocolVersion: 1, bootId, kernelDigest: digest }, (error) => {
      resolve(error === null ? "a plan" : tell(error));
    });
  }).finally(() => {
    client.close();
  });
}

/** Of a node's methods a site without images answers no plan, but that, to whoever may ask. */
const LET_IN = "no-image";

async function revoke(node = C001): Promise<void> {
  await controller.inventory.revokeIdentities([node], ROOT);
}

async function impostorEvents(): Promise<readonly string[]> {
  await controller.telemetry.flush();
  const events = await controller.telemetry.listEvents({ limit: 1000 });
  return events.filter(({ kind }) => kind === "impostor").map(({ what }) => what);
}

describe("a second claimant for a node with a live session", () => {
  test.each([
    ["another machine with a token for the node's MAC address", OTHER_BOOT, ELSEWHERE],
    ["a user of the node, who has its address, its MAC address and its boot id", BOOT, HOME],
  ])("is refused: %s", async (_title, bootId, address) => {
    const node = await upNode();
    const thief = await makeMachine(MAC, {
      bootId,
      token: await tokenFor(MAC, address),
      serial: "SN\u001b[2J9",
    });
    expect(await ask(thief, address)).toBe("enrolment-refused");
    const claim = `${address} (${MAC}, SMBIOS UUID 4c4c4544-0043-4810-8052-b4c04f4e3132, serial SN`;
    const [event, ...more] = await impostorEvents();
    expect([
      event?.startsWith(claim),
      event?.endsWith("claimed to be c001, which it is not, with a one-time token"),
    ]).toEqual([true, true]);
    expect(event).not.toMatch(/\p{Cc}/u);
    expect(more).toEqual([]);
    // Shown in red from then on, and the node goes on.
    expect(controller.fleet.statusOf(C001)).toMatchObject({
      state: "ready",
      alert: { kind: "impostor", what: event },
    });
    expect(await planOf(node)).toBe(LET_IN);
    expect(controller.session.openSessions()).toBe(1);
  });

  test("is refused, and not listed as pending, when it has nothing but the MAC address", async () => {
    await upNode();
    expect(await ask(await makeMachine(MAC, { bootId: OTHER_BOOT }), ELSEWHERE)).toBe("enrolment-refused");
    expect(await controller.inventory.listPending()).toEqual([]);
    expect(await impostorEvents()).toHaveLength(1);
  });

  test("is refused when it says that it is the booted node, with a key of its own", async () => {
    await upNode();
    expect(await ask(await makeMachine(MAC, { nodeName: "c001" }), ELSEWHERE)).toBe("certificate-refused");
    expect(await impostorEvents()).toHaveLength(1);
  });

  test("is refused from another address even with a copy of the node's key and certificate", async () => {
    const node = await upNode();
    const thief = await openSession(node, ELSEWHERE);
    expect(await thief.ended).toBe("permission-denied");
    expect(await impostorEvents()).toEqual([
      `${ELSEWHERE} claimed to be c001, which it is not, with the certificate of its present boot`,
    ]);
    expect(controller.session.find(C001)?.address).toBe(HOME);
  });

  test("gets in when it is the node after a restart, without an alert", async () => {
    const node = await boot();
    const session = await openSession(node);
    session.sayGoodbye();
    await session.ended;
    expect(typeof (await ask(await makeMachine(MAC, { bootId: OTHER_BOOT, token: await tokenFor() })))).toBe(
      "object",
    );
    expect(await impostorEvents()).toEqual([]);
  });

  test("gets in when an operator approved it: the old machine is out at once", async () => {
    const node = await upNode();
    const NEW_MAC = "52:54:00:12:34:99";
    const machine = await makeMachine(NEW_MAC, { bootId: OTHER_BOOT });
    const stream = enrol(controller, machine);
    const pending = await stream.next();
    if (pending?.$case !== "pending") throw new Error("not pending");
    await controller.desk.approve(pending.value.claimCode, { name: C001, fields: {} }, ROOT);
    expect((await stream.next())?.$case).toBe("accepted");
    expect(await node.ended).toBe("certificate-refused");
    expect(await planOf(node)).toBe("certificate-refused");
    // Two machines now have a certificate of c001: that is worth a look.
    expect(await impostorEvents()).toEqual([
      `${HOME} claimed to be c001, which it is not, with the certificate of its earlier boot ${BOOT}`,
    ]);
  });
});

describe("a token", () => {
  test.each<[string, () => Promise<Booted | string>]>([
    [
      "used by another key",
      async () => {
        const token = await tokenFor();
        await ask(await makeMachine(MAC, { token }));
        return ask(await makeMachine(MAC, { token }));
      },
    ],
    [
      "that has expired",
      async () => {
        const token = await tokenFor();
        controller.clock.now = new Date(controller.clock.now.getTime() + 301_000);
        return ask(await makeMachine(MAC, { token }));
      },
    ],
    ["from another address", async () => ask(await makeMachine(MAC, { token: await tokenFor() }), ELSEWHERE)],
    ["of another MAC address", async () => ask(await makeMachine(MAC_2, { token: await tokenFor() }))],
    [
      "that was void before it was used, since the node was revoked",
      async () => {
        const token = await tokenFor();
        await revoke();
        return ask(await makeMachine(MAC, { token }));
      },
    ],
    ["that nobody issued", async () => ask(await makeMachine(MAC, { token: "guess" }))],
  ])("%s is refused", async (_title, attempt) => {
    expect(await attempt()).toBe("token-refused");
    expect(await controller.eventKinds()).toContain("token-refused");
  });

  test("of a node that was deleted since is refused", async () => {
    const token = await tokenFor();
    await controller.inventory.deleteNodes([C001], ROOT);
    expect(await ask(await makeMachine(MAC, { token }))).toBe("token-refused");
  });
});

describe("a certificate", () => {
  test("that is missing, of a foreign authority, or expired, is refused", async () => {
    const { machine, tls } = await boot();
    const authorityPem = controller.authority.certificatePem;
    expect(await planOf({ tls: credentials.createSsl(Buffer.from(authorityPem)) })).toMatch(UNREACHABLE);
    const directory = await mkdtemp(join(tmpdir(), "muster-foreign-"));
    closers.push(() => rm(directory, { recursive: true }));
    const foreign = await openCertificateAuthority(directory, () => new Date());
    const { csrDer, keyPem } = await makeCertificateRequest();
    const names = { csrDer, node: C001, bootId: machine.request.bootId, lifetimeSeconds: 3600 };
    const { certificateDer } = await foreign.issueNode(names);
    expect(await planOf({ tls: nodeCredentials(authorityPem, keyPem, certificateDer) })).toMatch(UNREACHABLE);
    controller.clock.now = new Date(controller.clock.now.getTime() + 3_601_000);
    expect(await planOf({ tls })).toBe("certificate-refused");
  });

  test("of this authority, this node and this boot, but for another key, is refused", async () => {
    await boot();
    const { csrDer, keyPem } = await makeCertificateRequest();
    const { certificateDer } = await controller.authority.issueNode({
      ...{ csrDer, node: C001, bootId: BOOT, lifetimeSeconds: 3600 },
    });
    const tls = nodeCredentials(controller.authority.certificatePem, keyPem, certificateDer);
    expect(await planOf({ tls })).toBe("certificate-refused");
    expect(await impostorEvents()).toHaveLength(1);
  });

  test("of an earlier boot is refused, and says that two machines have the node's name", async () => {
    const earlier = await boot();
    await boot(OTHER_BOOT);
    expect(await planOf(earlier)).toBe("certificate-refused");
    expect(await impostorEvents()).toHaveLength(1);
  });

  test("gives nothing of another boot", async () => {
    expect(await planOf(await boot(), OTHER_BOOT)).toBe("permission-denied");
  });
});

describe.each([
  ["revoked", revoke, "c001 was revoked by root: stolen"],
  ["deleted", () => controller.inventory.deleteNodes([C001], ROOT), "c001 was deleted"],
  ["enrolled again elsewhere", enrolledAgain, "c001 has enrolled again since"],
])("a node that was %s", (_title, end, why) => {
  test("loses its session in the middle, and is told why", async () => {
    const node = await upNode();
    await end();
    expect(await node.ended).toBe("certificate-refused");
    expect(said.at(-1)).toContain(why);
    expect(controller.session.openSessions()).toBe(0);
  });

  test("is refused its plan, a new session, a renewal and a new certificate for its key", async () => {
    const node = await upNode();
    const renewal: ConnectRequest["message"] = {
      $case: "renewCertificate",
      value: { certificateRequest: node.machine.request.certificateRequest },
    };
    await end();
    node.say(renewal);
    const { request } = node.machine;
    const again = { ...node.machine, request: { ...request, token: "" } };
    const booted = { ...again, request: { ...again.request, nodeName: "c001" } };
    expect([
      await planOf(node),
      await (await openSession(node)).ended,
      await node.ended,
      await ask(booted),
      await ask(again),
    ]).toEqual([
      "certificate-refused",
      "certificate-refused",
      "certificate-refused",
      "certificate-refused",
      _title === "deleted" ? "pending" : "certificate-refused",
    ]);
    expect(["token-refused", "certificate-refused"]).toContain(await ask(node.machine));
  });
});

/** The node's name goes to another machine the way an operator does it; the token way is closed while it is up. */
async function enrolledAgain(): Promise<void> {
  const { csrDer } = await makeCertificateRequest();
  const issued = await controller.authority.issueNode({
    ...{ csrDer, node: C001, bootId: OTHER_BOOT, lifetimeSeconds: 3600 },
  });
  await controller.inventory.recordIdentity({
    ...{ node: C001, bootId: OTHER_BOOT, keyHash: issued.keyHash, certificateSerial: issued.serial },
    ...{ issuedAt: controller.clock.now, expiresAt: issued.expiresAt },
  });
}

test("a revoked node stays in the inventory, and its next boot gets a new identity", async () => {
  const node = await upNode();
  await revoke();
  await node.ended;
  expect(await controller.inventory.findNode("c001")).toBeDefined();
  const next = await boot(OTHER_BOOT);
  expect(await planOf(next, OTHER_BOOT)).toBe(LET_IN);
});

describe("a runtime overlay", () => {
  const small = "the munge key of c002";
  /** Goes through the blob workers. */
  const large = randomBytes(4 * 1024 * 1024);
  const names = ["munge.key", "data"] as const;

  test("is given to the nodes that have it, and to no other that knows the digests of what is in it", async () => {
    const etc = join(directory, "overlays/secret/rootfs/etc");
    await mkdir(etc, { recursive: true });
    await writeFile(join(etc, names[0]), small);
    await writeFile(join(etc, names[1]), large);
    secrets.push(small);
    const node = await controller.inventory.findNode("c002");
    if (node === undefined) throw new Error("added before");
    const fields = { ...node, runtimeOverlays: ["secret"] };
    await controller.inventory.updateNodes([{ name: C002, revision: node.revision, fields }], ROOT);
    const [thief, owner] = [await openSession(await boot()), await openSession(await boot(BOOT, MAC_2))];

    owner.say({ $case: "checkOverlay", value: { digest: "" } });
    const { entries } = RuntimeManifest.decode((await owner.hear("overlayUpdate")).manifest);
    const digests = names.flatMap((name) => {
      const kind = entries.find(({ path }) => path === `/etc/${name}`)?.kind;
      return kind?.$case === "file" ? [kind.value.digest] : [];
    });
    expect(digests).toHaveLength(2);
    const ask: ConnectRequest["message"] = { $case: "fetchContents", value: { digests } };
    owner.say(ask);
    const theirs = await owner.hear("contents");
    expect([
      theirs.contents.map(({ data }) => data.toString()),
      theirs.blobs.map(({ digest }) => digest),
    ]).toEqual([[small], [digests[1]]]);

    const nothing = { contents: [], missing: digests, blobs: [] };
    // Before it was told what it is to have, and after.
    thief.say(ask);
    expect(await thief.hear("contents")).toEqual(nothing);
    thief.say({ $case: "checkOverlay", value: { digest: "" } });
    const mine = await thief.hear("overlayUpdate");
    expect([RuntimeManifest.decode(mine.manifest).entries, mine.contents]).toEqual([[], []]);
    thief.say(ask);
    expect(await thief.hear("contents")).toEqual(nothing);
    // What the controller says to one that claims to have it already.
    thief.say({
      $case: "checkOverlay",
      value: { digest: controller.overlays?.statusOf(C002)?.wanted ?? "" },
    });
    expect((await thief.hear("overlayUpdate")).contents).toEqual([]);
  });
});

describe("blobs", () => {
  const content = randomBytes(64 * 1024 * 1024);
  const digest: Digest = digestOfHex(createHash("sha256").update(content).digest("hex"));
  let workers: BlobWorkers;

  /** Workers as musterd has them, told of denied boots as musterd does. */
  async function serve(): Promise<void> {
    const blobRoot = join(directory, "served");
    const path = blobPath(blobRoot, digest);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    const server = await controller.authority.issueServer({ names: ["localhost"], addresses: ["127.0.0.1"] });
    workers = await startBlobWorkers({
      program: join(import.meta.dirname, "../../controller/images/blob-worker.ts"),
      count: 2,
      config: {
        ...server,
        ...{ address: "127.0.0.1", port: 0, caPem: controller.authority.certificatePem },
        ...{ ticketKey: TICKET_KEY, blobRoot, limits: planConnectionLimits(256, 2) },
      },
      denied: await controller.inventory.listDeniedBoots(),
      onLimited: () => undefined,
      telemetry: controller.telemetry,
      onBug: (error) => controller.bugs.push(error),
    });
    closers.push(() => workers[Symbol.asyncDispose]());
    closers.push(controller.inventory.onBootsDenied(workers.deny));
  }

  function ticketFor(node = C001, bootId = BOOT): Buffer {
    const expiresAt = new Date(Date.now() + 60_000);
    const ticket = sealBlobTicket(TICKET_KEY, { node, bootId, digest, sizeBytes: content.length, expiresAt });
    secrets.push(ticket.toString("hex"), ticket.toString("base64"));
    return ticket;
  }

  /** How a fetch ends, and after how many bytes; `onData` may hold it up. */
  function fetch(
    { tls }: Booted,
    ticket: Buffer,
    onData: (stream: { readonly pause: () => unknown; readonly resume: () => unknown }) => void = () =>
      undefined,
  ): Promise<readonly [string, number]> {
    const client = new BlobsClient(`127.0.0.1:${workers.port}`, tls, { "grpc.use_local_subchannel_pool": 1 });
    return new Promise<readonly [string, number]>((resolve) => {
      let bytes = 0;
      const stream = client.fetchBlob({ digest, offset: 0, ticket });
      stream.on("data", ({ data }: FetchBlobResponse) => {
        bytes += data.length;
        onData(stream);
      });
      stream.on("error", (error: ServiceError) => {
        resolve([tell(error), bytes]);
      });
      stream.on("end", () => {
        resolve(["whole", bytes]);
      });
    }).finally(() => {
      client.close();
    });
  }

  test("go to nobody with another node's ticket, or the ticket of another boot", async () => {
    await serve();
    const [c001, c002] = [await boot(), await boot(BOOT, MAC_2)];
    expect(await fetch(c001, ticketFor())).toEqual(["whole", content.length]);
    expect(await fetch(c002, ticketFor())).toEqual(["ticket-refused", 0]);
    expect(await fetch(c001, ticketFor(C001, OTHER_BOOT))).toEqual(["ticket-refused", 0]);
  });

  test.each([
    ["revoked", revoke],
    ["deleted", () => controller.inventory.deleteNodes([C001], ROOT)],
    ["enrolled again elsewhere", enrolledAgain],
  ])(
    "go to no boot whose node was %s, also not after a restart of a worker or of musterd",
    async (_title, end) => {
      await serve();
      const c001 = await boot();
      await end();
      expect(await fetch(c001, ticketFor())).toEqual(["certificate-refused", 0]);
      const before = workers.pids;
      for (const pid of before) process.kill(pid, "SIGKILL");
      await until(() => workers.pids.length === 2 && workers.pids.every((pid) => !before.includes(pid)));
      await until(async () => (await fetch(c001, ticketFor()))[0] !== "controller-unreachable");
      expect(await fetch(c001, ticketFor())).toEqual(["certificate-refused", 0]);
      // What musterd hands its workers when it starts.
      const denied = await controller.inventory.listDeniedBoots();
      expect(denied.map(({ node, bootId }) => [node, bootId])).toEqual([["c001", BOOT]]);
    },
  );

  test("under way end within a second, also to a client that has stopped reading", async () => {
    await serve();
    const c001 = await boot();
    const started = Promise.withResolvers<{ readonly resume: () => unknown }>();
    const transfer = fetch(c001, ticketFor(), (stream) => {
      stream.pause();
      started.resolve(stream);
    });
    await started.promise;
    const revokedMs = Date.now();
    await revoke();
    // The connection ends; what grpc-js had received already is given to the reader when it reads again.
    await new Promise((resolve) => setTimeout(resolve, 700));
    (await started.promise).resume();
    const [code, bytes] = await Promise.race([
      transfer,
      new Promise<readonly [string, number]>((resolve) => setTimeout(resolve, 5000, ["still open", 0])),
    ]);
    expect(code).toMatch(/^(certificate-refused|controller-unreachable)$/);
    expect(bytes).toBeLessThan(content.length);
    expect(Date.now() - revokedMs).toBeLessThan(5000);
  });
});
