import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

import { afterEach, describe, expect, test } from "vitest";

import { startLoopbackController } from "../../test/fixtures/controller-on-loopback.ts";
import {
  type Admission,
  type ConnectionLimits,
  openAdmission,
  planConnectionLimits,
} from "./admit-connections.ts";
import { guardCalls } from "./grpc/authorize-calls.ts";
import { startGrpcServer } from "./grpc/start-grpc-server.ts";
import { tellLimited } from "./tell-limited.ts";

const MANY = { perSecond: 1_000_000, burst: 1_000_000 };
const NO_LIMITS: ConnectionLimits = { perAddress: 1e6, overall: 1e6, newPerAddress: MANY, newOverall: MANY };

let closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.toReversed()) await close();
  closers = [];
});

interface Fronted {
  readonly port: number;
  readonly admission: Admission;
  readonly limited: string[];
  clock: number;
}

/** A server behind limits, that says "hello" to whom it lets in. */
async function open(limits: Partial<ConnectionLimits>, server: Server = createServer()): Promise<Fronted> {
  const state = { clock: 1_000_000 };
  const limited: string[] = [];
  const admission = openAdmission(
    { ...NO_LIMITS, ...limits },
    () => state.clock,
    ({ address }) => {
      limited.push(address);
    },
  );
  server.on("connection", (socket: Socket) => {
    socket.on("error", () => undefined);
    if (server.listenerCount("request") === 0) socket.write("hello");
  });
  admission.guard(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    admission[Symbol.dispose]();
    server.close();
  });
  return Object.assign(state, { port: (server.address() as AddressInfo).port, admission, limited });
}

/** What becomes of a connection: "hello", or the error it ends with. Those let in stay open. */
function knock(port: number, localAddress = "127.0.0.1", send = ""): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    closers.push(() => socket.destroy());
    socket.on("connect", () => socket.write(send));
    socket.on("data", (data) => {
      resolve(data.toString().split("\r\n")[0] ?? "");
    });
    socket.on("error", (error) => {
      resolve("code" in error ? String(error.code) : error.message);
    });
  });
}

async function knocks(count: number, port: number, from?: string): Promise<Record<string, number>> {
  const answers = await Promise.all(Array.from({ length: count }, () => knock(port, from)));
  return Object.fromEntries(
    ["hello", "ECONNRESET"].map((it) => [it, answers.filter((a) => a === it).length]),
  );
}

describe("limits on connections", () => {
  test("cap those open from one address, without taking anything from another, and tell of it once", async () => {
    const at = await open({ perAddress: 3 });
    expect(await knocks(10, at.port)).toEqual({ hello: 3, ECONNRESET: 7 });
    expect(await knocks(2, at.port, "127.0.0.2")).toEqual({ hello: 2, ECONNRESET: 0 });
    expect(at.limited).toEqual(["127.0.0.1"]);
    at.clock += 61_000;
    expect(await knock(at.port)).toBe("ECONNRESET");
    expect(at.limited).toEqual(["127.0.0.1", "127.0.0.1"]);
  });

  test("count no connection that is over", async () => {
    const at = await open({ perAddress: 1 });
    for (let turn = 0; turn < 5; turn += 1) {
      const socket = connect({ port: at.port, host: "127.0.0.1" });
      await new Promise((resolve) => socket.once("data", resolve));
      const ended = new Promise((resolve) => socket.once("close", resolve));
      at.admission.cut(`127.0.0.1:${socket.localPort ?? 0}`);
      socket.on("error", () => undefined);
      await ended;
    }
    expect(await knock(at.port)).toBe("hello");
  });

  test("cap all that are open", async () => {
    const at = await open({ overall: 4 });
    expect(await knocks(6, at.port)).toEqual({ hello: 4, ECONNRESET: 2 });
  });

  test("let an address come so often, and again when time has passed", async () => {
    const at = await open({ newPerAddress: { perSecond: 2, burst: 4 } });
    expect(await knocks(10, at.port)).toEqual({ hello: 4, ECONNRESET: 6 });
    at.clock += 1000;
    expect(await knocks(10, at.port)).toEqual({ hello: 2, ECONNRESET: 8 });
  });

  test("come before HTTP too", async () => {
    const http = createHttpServer((_request, response) => response.end("x"));
    const at = await open({ perAddress: 1 }, http);
    const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    expect(await knock(at.port, undefined, request)).toBe("HTTP/1.1 200 OK");
    expect(await knock(at.port, undefined, request)).toBe("ECONNRESET");
    expect(await knock(at.port, "127.0.0.2", request)).toBe("HTTP/1.1 200 OK");
  });

  test("allow a rack behind one address, and 10,000 nodes within a minute", () => {
    const { perAddress, overall, newPerAddress, newOverall } = planConnectionLimits(256);
    expect({ perAddress, newPerAddress }).toEqual({
      perAddress: 256,
      newPerAddress: { perSecond: 26, burst: 256 },
    });
    expect(newOverall.burst + 60 * newOverall.perSecond).toBeGreaterThan(20_000);
    expect(overall).toBeGreaterThan(20_000);
    expect(planConnectionLimits(256, 4)).toMatchObject({ perAddress: 64, overall: 6000 });
  });
});

describe("a gRPC port", () => {
  test("refuses before TLS, closes connections without a call, and keeps those with one", async () => {
    await using controller = await startLoopbackController();
    const limited: string[] = [];
    const endpoint = {
      ...{ address: "127.0.0.1", port: 0 },
      ...(await controller.authority.issueServer({ names: ["localhost"], addresses: ["127.0.0.1"] })),
    };
    const server = await startGrpcServer(
      {
        ...endpoint,
        limits: { ...NO_LIMITS, perAddress: 2, firstCallMs: 300 },
        onLimited: ({ address, port }) =>
          limited.push(`${address} ${port === server.port ? "its port" : port}`),
      },
      {
        services: [],
        guard: guardCalls({ now: () => new Date(), onBug: (bug) => controller.bugs.push(bug) }),
        maxRequestBytes: 1024,
      },
    );
    closers.push(() => server[Symbol.asyncDispose]());
    const shake = (): Promise<string> =>
      new Promise((resolve) => {
        const ca = controller.authority.certificatePem;
        const socket = connectTls({
          port: server.port,
          host: "127.0.0.1",
          servername: "localhost",
          ca,
          ALPNProtocols: ["h2"],
        });
        let isOpen = false;
        socket.on("secureConnect", () => (isOpen = true));
        socket.on("error", () => undefined);
        socket.on("close", () => {
          resolve(isOpen ? "closed after TLS" : "refused before TLS");
        });
      });
    const silent = connect({ port: server.port, host: "127.0.0.1" });
    const silentEnds = new Promise((resolve) => silent.on("error", resolve));
    const first = shake();
    const second = await shake();
    expect([await first, second, limited]).toEqual([
      "closed after TLS",
      "refused before TLS",
      ["127.0.0.1 its port"],
    ]);
    expect(await silentEnds).toMatchObject({ code: "ECONNRESET" });
  });
});

test("an address that is limited is one event a minute, whichever process tells of it", () => {
  const events: string[] = [];
  let nowMs = 1_000_000;
  const tell = tellLimited({ recordEvent: ({ what }) => events.push(what) }, () => new Date(nowMs));
  for (let process = 0; process < 3; process += 1) tell({ address: "10.77.0.9", port: 9883 });
  nowMs += 60_000;
  tell({ address: "10.77.0.9", port: 9883 });
  const what = "10.77.0.9 makes more connections to port 9883 than it may; further ones are refused";
  expect(events).toEqual([what, what]);
});
