import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";

import type { ServerDuplexStream } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type ConnectRequest, type ConnectResponse, SessionService } from "#proto/gen/muster/v1/session.ts";

import { type NodeIdentity, readIdentity, storeIdentity } from "../identity/store-identity.ts";
import { storeNodeRecord } from "../node-record.ts";
import {
  type LoopbackServer,
  makeTestAuthority,
  serveOnLoopback,
  type TestAuthority,
} from "../testing/loopback-controller.ts";
import { makeTestHost, type TestHost } from "../testing/test-host.ts";
import { openControllerLink } from "./controller-link.ts";
import { runSession } from "./run-session.ts";
import type { SessionHost } from "./session-host.ts";

type Call = ServerDuplexStream<ConnectRequest, ConnectResponse>;

const DAY_MS = 86_400_000;
let authority: TestAuthority;
beforeAll(async () => {
  authority = await makeTestAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

const nobody = openControllerLink(() => undefined).sessions;

const welcome: ConnectResponse = {
  message: {
    $case: "welcome",
    value: {
      protocolVersion: 1,
      heartbeatSeconds: 1,
      hardwareDigest: "",
      overlaySchedule: undefined,
      agent: undefined,
    },
  },
};

/** Every message of every session, as it comes, to whoever waits for it. */
function recordMessages(
  onMessage: (call: Call, message: NonNullable<ConnectRequest["message"]>, session: number) => void,
): {
  readonly handlers: { readonly connect: (call: Call) => void };
  readonly seen: string[];
  readonly ends: string[];
} {
  const seen: string[] = [];
  const ends: string[] = [];
  let sessions = 0;
  const connect = (call: Call): void => {
    const session = ++sessions;
    call.on("data", (request: ConnectRequest) => {
      if (request.message === undefined) return;
      seen.push(`${session} ${request.message.$case}`);
      onMessage(call, request.message, session);
    });
    call.on("end", () => {
      ends.push(`${session} orderly`);
      call.end();
    });
    call.on("error", () => undefined);
  };
  return { handlers: { connect }, seen, ends };
}

async function bootedNode(
  address: string,
  now: () => number = Date.now,
): Promise<{ boot: TestHost; host: SessionHost; identity: NodeIdentity; log: string[] }> {
  const boot = await makeTestHost();
  const identity = await authority.makeIdentity("c001", [address]);
  await storeIdentity(boot.paths.identity, identity);
  await storeNodeRecord(
    boot.paths,
    {
      name: "c001",
      image: "debian12",
      imageVersion: 3,
      bootId: "boot-1",
      bootMac: "52:54:00:00:00:01",
      enrolmentAddresses: [],
      agentAddresses: [address],
      blobAddresses: [],
    },
    [{ stage: "switch", startedMs: 900, endedMs: 1000, detail: "/sbin/init" }],
  );
  const log: string[] = [];
  const host: SessionHost = {
    paths: boot.paths,
    agentVersion: "9.9.9",
    agentDigest: "sha256:ab",
    log: (line) => log.push(line),
    uptimeMs: () => 4000,
    now,
    random: () => 0,
    sleep: boot.sleep,
  };
  return { boot, host, identity, log };
}

const serve = (handlers: { readonly connect: (call: Call) => void }, port = 0): Promise<LoopbackServer> =>
  serveOnLoopback(authority, [{ definition: SessionService, handlers }], { mutual: true, port });

test("a session is hello, ready with every stage up to userspace, heartbeats, and an orderly end", async () => {
  const stop = new AbortController();
  const received: NonNullable<ConnectRequest["message"]>[] = [];
  const controller = recordMessages((call, message) => {
    received.push(message);
    if (message.$case === "hello") call.write(welcome);
    if (message.$case === "heartbeat") stop.abort();
  });
  await using server = await serve(controller.handlers);
  const { boot, host } = await bootedNode(server.address);
  await using machine = boot;
  expect(machine.slept).toEqual([]);
  await runSession(host, nobody, stop.signal);
  expect(controller.seen).toEqual(["1 hello", "1 ready", "1 heartbeat"]);
  expect(controller.ends).toEqual(["1 orderly"]);
  expect(received[0]?.value).toMatchObject({
    protocolVersion: 1,
    agentVersion: "9.9.9",
    bootId: "boot-1",
    imageName: "debian12",
    imageVersion: 3,
  });
  const stages = [
    { stage: "switch", startedMs: 900, endedMs: 1000, detail: "/sbin/init" },
    { stage: "userspace", startedMs: 1000, endedMs: 4000, detail: "" },
  ];
  expect(received[1]?.value).toEqual({ stages, uptimeMs: 4000 });
  expect(JSON.parse(await readFile(boot.paths.stages, "utf8"))).toEqual(stages);
});

test("an agent that is started again reports the boot's userspace time, not its own", async () => {
  const stop = new AbortController();
  let userspaceMs = 0;
  const controller = recordMessages((call, message) => {
    if (message.$case === "hello") call.write(welcome);
    if (message.$case !== "ready") return;
    userspaceMs = message.value.stages.find(({ stage }) => stage === "userspace")?.endedMs ?? 0;
    stop.abort();
  });
  await using server = await serve(controller.handlers);
  const { boot, host } = await bootedNode(server.address);
  await using machine = boot;
  expect(machine.slept).toEqual([]);
  await runSession(host, nobody, stop.signal);
  const again = new AbortController();
  const second = recordMessages((call, message) => {
    if (message.$case === "hello") call.write(welcome);
    if (message.$case !== "ready") return;
    userspaceMs = message.value.stages.find(({ stage }) => stage === "userspace")?.endedMs ?? 0;
    again.abort();
  });
  await using other = await serve(second.handlers);
  const identity = await readIdentity(boot.paths.identity);
  if (identity === undefined) throw new Error("the identity was stored");
  await storeIdentity(boot.paths.identity, { ...identity, agentAddresses: [other.address] });
  await runSession({ ...host, uptimeMs: () => 99_000 }, nobody, again.signal);
  expect(userspaceMs).toBe(4000);
});

test("a session that breaks is opened again, and the node says it is ready again", async () => {
  const stop = new AbortController();
  const controller = recordMessages((call, message, session) => {
    if (message.$case === "hello") call.write(welcome);
    if (message.$case !== "ready") return;
    if (session === 3) stop.abort();
    else call.emit("error", { code: 14, details: "the controller is restarting" });
  });
  await using server = await serve(controller.handlers);
  const { boot, host, log } = await bootedNode(server.address);
  await using machine = boot;
  expect(machine.slept).toEqual([]);
  await runSession(host, nobody, stop.signal);
  expect(controller.seen).toEqual(["1 hello", "1 ready", "2 hello", "2 ready", "3 hello", "3 ready"]);
  expect(boot.slept).toEqual([500, 1000]);
  expect(log[1]).toBe(`${server.address}: the controller is restarting; trying again in 0.5 s`);
});

test("a controller that is away is tried again with growing waits", async () => {
  const stop = new AbortController();
  const gone = await serve({ connect: () => undefined });
  await gone[Symbol.asyncDispose]();
  const { boot, host } = await bootedNode(gone.address);
  await using machine = boot;
  expect(machine.slept).toEqual([]);
  const sleep = async (ms: number, signal: AbortSignal): Promise<void> => {
    await boot.sleep(ms, signal);
    if (boot.slept.length === 8) stop.abort();
  };
  await runSession({ ...host, sleep }, nobody, stop.signal);
  expect(boot.slept).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test("after two thirds of its life the certificate is renewed for the same key, and used from then on", async () => {
  const stop = new AbortController();
  const serials: string[] = [];
  const controller = recordMessages((call, message, session) => {
    if (message.$case === "hello") {
      const peer = call.getAuthContext().sslPeerCertificate;
      serials.push(peer?.serialNumber ?? "");
      call.write(welcome);
    }
    if (session === 2) stop.abort();
    if (message.$case !== "renewCertificate") return;
    void authority.sign(message.value.certificateRequest).then((certificate) => {
      call.write({ message: { $case: "renewedCertificate", value: { certificate } } });
    });
    // The next message after the renewal is a heartbeat: the session goes on; then it breaks.
    call.once("data", () => {
      call.emit("error", { code: 14, details: "restarting" });
    });
  });
  await using server = await serve(controller.handlers);
  const { boot, host, identity, log } = await bootedNode(server.address, () => Date.now() + DAY_MS * 0.9);
  await using machine = boot;
  expect(machine.slept).toEqual([]);
  await runSession(host, nobody, stop.signal);
  const renewed = await readIdentity(boot.paths.identity);
  const [before, after] = [identity, renewed].map((each) => new X509Certificate(each?.certificatePem ?? ""));
  expect(after?.serialNumber).not.toBe(before?.serialNumber);
  expect(after?.publicKey.equals(before?.publicKey as never)).toBe(true);
  expect(serials).toEqual([before?.serialNumber, after?.serialNumber]);
  expect(log.filter((line) => line.startsWith("certificate renewed, valid until"))).toHaveLength(1);
});

test("a renewed certificate of another authority is refused and not stored", async () => {
  const stop = new AbortController();
  await using impostor = await makeTestAuthority();
  const controller = recordMessages((call, message, session) => {
    if (session === 2) {
      stop.abort();
      return;
    }
    if (message.$case === "hello") call.write(welcome);
    if (message.$case !== "renewCertificate") return;
    void impostor.sign(message.value.certificateRequest).then((certificate) => {
      call.write({ message: { $case: "renewedCertificate", value: { certificate } } });
    });
  });
  await using server = await serve(controller.handlers);
  const { boot, host, identity, log } = await bootedNode(server.address, () => Date.now() + DAY_MS * 0.9);
  await using machine = boot;
  expect(machine.slept).toEqual([]);
  await runSession(host, nobody, stop.signal);
  expect((await readIdentity(boot.paths.identity))?.certificatePem).toBe(identity.certificatePem);
  expect(log.join("\n")).toContain("not signed by its own authority");
});

test("an expired certificate is renewed by enrolment; without any controller the node keeps trying", async () => {
  const stop = new AbortController();
  const gone = await serve({ connect: () => undefined });
  await gone[Symbol.asyncDispose]();
  const { boot, host, log } = await bootedNode(gone.address, () => Date.now() + 2 * DAY_MS);
  await using machine = boot;
  expect(machine.slept).toEqual([]);
  const sleep = async (): Promise<void> => {
    stop.abort();
  };
  await runSession({ ...host, sleep }, nobody, stop.signal);
  expect(log.at(-1)).toMatch(/^no new certificate: .*names no enrolment address$/);
});

test("a machine that muster did not boot has no session", async () => {
  await using boot = await makeTestHost();
  const host: SessionHost = {
    paths: boot.paths,
    agentVersion: "9.9.9",
    agentDigest: "sha256:ab",
    log: () => undefined,
    uptimeMs: () => 0,
    now: Date.now,
    random: () => 0,
    sleep: boot.sleep,
  };
  await expect(runSession(host, nobody, new AbortController().signal)).rejects.toThrow(/node\.json/);
});
