import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session, constants } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

import { credentials } from "@grpc/grpc-js";

import { PROTOCOL_VERSION } from "#proto/contract/protocol-version.ts";
import {
  type EnrolAccepted,
  EnrollmentClient,
  EnrolRequest,
  type EnrolResponse,
} from "#proto/gen/muster/v1/enrollment.ts";
import {
  FetchBlobRequest,
  GetBootPlanRequest,
  ReportBootRequest,
  ReportFailureRequest,
} from "#proto/gen/muster/v1/provisioning.ts";
import { ConnectRequest } from "#proto/gen/muster/v1/session.ts";

import { makeCertificateRequest } from "../fixtures/make-certificate-request.ts";

/** What {@link abuse} is told, as JSON in its first argument. Runs inside the lab's network. */
export interface AbuseTask {
  readonly address: string;
  readonly socketPath: string;
  /** The same seed gives the same requests. */
  readonly seed: number;
  readonly httpRequests: number;
  readonly restRequests: number;
  readonly grpcCalls: number;
  /** Addresses of this host to call from: enrolment limits each. The first is that of the node. */
  readonly sources: readonly string[];
  readonly nodeMac: string;
  readonly authorityPem: string;
  readonly badCertificates: Readonly<Record<string, { readonly cert: string; readonly key: string }>>;
  /** Files nobody may be given, by absolute path, and text that stands in what nobody may be given. */
  readonly hiddenFiles: readonly string[];
  readonly secrets: readonly string[];
}

/** What came of it. */
export interface AbuseReport {
  /** How often which answer was given: "400", "reset", "grpc 3". */
  readonly answers: Readonly<Record<"http" | "rest" | "grpc" | "frames", Readonly<Record<string, number>>>>;
  /** The request before each answer that held a secret. */
  readonly leaks: readonly string[];
  /** Port and certificate, and what a call with it was answered with. */
  readonly tls: Readonly<Record<string, string>>;
  /** What the second use of a token was answered with, by who used it. */
  readonly tokens: Readonly<Record<string, string>>;
  readonly seconds: Readonly<Record<string, number>>;
}

const PORTS = { http: 9880, enrolment: 9881, agents: 9882, blobs: 9883 } as const;
const BOOT_ID = "00000000-0000-4000-8000-000000000001";
const MACHINE_MAC = "52:54:00:99:00:77";
const STAGES = [{ stage: "network", startedMs: 1, endedMs: 2, detail: "eth0" }];

/** Each method with a message that is as it should be: what hostile ones are made from. */
const METHODS: readonly (readonly [port: number, path: string, message: Buffer])[] = [
  [
    PORTS.enrolment,
    "/muster.v1.Enrollment/Enrol",
    encoded(
      EnrolRequest.encode(enrolRequest("", MACHINE_MAC, (await makeCertificateRequest()).csrDer)).finish(),
    ),
  ],
  [
    PORTS.agents,
    "/muster.v1.Provisioning/GetBootPlan",
    encoded(
      GetBootPlanRequest.encode({
        protocolVersion: PROTOCOL_VERSION,
        bootId: BOOT_ID,
        kernelDigest: "",
      }).finish(),
    ),
  ],
  [
    PORTS.agents,
    "/muster.v1.Provisioning/ReportBoot",
    encoded(ReportBootRequest.encode({ bootId: BOOT_ID, stages: STAGES, uptimeMs: 1 }).finish()),
  ],
  [
    PORTS.agents,
    "/muster.v1.Provisioning/ReportFailure",
    encoded(
      ReportFailureRequest.encode({
        ...{
          bootId: BOOT_ID,
          stages: STAGES,
          stage: "fetch",
          code: "blob-corrupt",
          what: "it is",
          fix: "do",
        },
        ...{ kernelLogTail: "log", blobDigest: `sha256:${"a".repeat(64)}`, retryInSeconds: 1, uptimeMs: 1 },
      }).finish(),
    ),
  ],
  [
    PORTS.agents,
    "/muster.v1.Session/Connect",
    encoded(
      ConnectRequest.encode({
        message: {
          $case: "hello",
          value: {
            ...{ protocolVersion: PROTOCOL_VERSION, agentVersion: "1", bootId: BOOT_ID },
            ...{ imageName: "x", imageVersion: 1, machine: undefined },
          },
        },
      }).finish(),
    ),
  ],
  [
    PORTS.blobs,
    "/muster.v1.Blobs/FetchBlob",
    encoded(
      FetchBlobRequest.encode({
        digest: `sha256:${"a".repeat(64)}`,
        offset: 1,
        ticket: Buffer.alloc(32),
      }).finish(),
    ),
  ],
];

const KEEP_BYTES = 256 * 1024;
const ANSWER_DEADLINE_MS = 1500;
const AT_ONCE = 32;

/** Mulberry32 (public domain, Tommy Ettinger): small, seeded, good enough to be hostile with. */
function makeRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
type Random = ReturnType<typeof makeRandom>;

function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[random(from.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

function noise(random: Random, atMost: number): Buffer {
  return Buffer.from(Array.from({ length: random(atMost + 1) }, () => random(256)));
}

function encoded(message: Uint8Array): Buffer {
  return Buffer.from(message);
}

function enrolRequest(token: string, mac: string, certificateRequest: Buffer): EnrolRequest {
  return {
    ...{ protocolVersion: PROTOCOL_VERSION, bootId: BOOT_ID, token, certificateRequest },
    ...{ uptimeMs: 1000, nodeName: "" },
    machine: {
      ...{ smbiosUuid: "", serial: "", vendor: "lab", product: "abuse", macs: [mac], bootMac: mac },
      ...{ architecture: "x86_64", firmware: "bios", cpus: 1, sockets: 1, memoryBytes: 1, cpuModel: "" },
    },
  };
}

/** One connection: writes, reads what comes, up to an end, an error, enough bytes or enough time. */
function exchange(socket: Socket, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let size = 0;
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(parts));
    };
    const timer = setTimeout(finish, ANSWER_DEADLINE_MS);
    socket.on("data", (part: Buffer) => {
      parts.push(part);
      size += part.length;
      if (size > KEEP_BYTES) finish();
    });
    socket.on("error", finish);
    socket.on("close", finish);
    socket.write(bytes);
  });
}

async function inTurn<T>(all: readonly T[], atOnce: number, each: (one: T) => Promise<void>): Promise<void> {
  const rest = all.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const one of rest) await each(one);
    }),
  );
}

/** Counts answers and looks for secrets in them. */
class Tally {
  readonly answers: Record<string, number> = {};
  readonly #task: AbuseTask;
  readonly #leaks: string[];

  constructor(task: AbuseTask, leaks: string[]) {
    this.#task = task;
    this.#leaks = leaks;
  }

  count(answer: string): void {
    this.answers[answer] = (this.answers[answer] ?? 0) + 1;
  }

  look(request: string, answer: Buffer): void {
    const text = answer.toString("latin1");
    for (const secret of this.#task.secrets) {
      if (text.includes(secret)) this.#leaks.push(`${secret} after ${request.slice(0, 300)}`);
    }
  }

  http(request: Buffer, answer: Buffer): void {
    this.look(request.toString("latin1"), answer);
    this.count(/^HTTP\/1\.1 (\d{3})/.exec(answer.toString("latin1", 0, 16))?.[1] ?? "closed");
  }
}

const CLIMBS = [
  ..."../|..%2f|%2e%2e/|%2e%2e%2f|..%252f|..\\|..%5c|....//|..;/|%c0%ae%c0%ae/|..%00/|./../|%2e./|.%2e/|//../".split(
    "|",
  ),
];
const ROOTS = [
  "/boot/",
  "/boot/base/",
  "/boot/ipxe-bin/",
  `/boot/blob/${"a".repeat(64)}/`,
  "/boot/blob/",
  "/",
];
const RANGES = [
  ..."bytes=0-0|bytes=-1|bytes=5-1|bytes=0-99999999999999999999|bytes=-0|bytes=1-2,3-4|bytes=a-b|lines=0-1|bytes=".split(
    "|",
  ),
  `bytes=${"0-1,".repeat(400)}0-1`,
  "bytes=99999999999-",
  "bytes=--5",
  "bytes= 0 - 10",
];

/** A path that wants to leave its root, a page with odd parameters, a real file with an odd range, or noise. */
function hostileHttp(random: Random, task: AbuseTask): Buffer {
  const method = pick(random, [
    "GET",
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "get",
    "PRI",
    "X".repeat(40),
  ]);
  const headers: string[] = ["Host: x", "Connection: close"];
  const kind = random(100);
  let target: string;
  if (kind < 50) {
    const climb = pick(random, CLIMBS).repeat(1 + random(12));
    const file = pick(random, task.hiddenFiles);
    target = pick(random, [
      `${pick(random, ROOTS)}${climb}${file.slice(1)}`,
      `${pick(random, ROOTS)}${climb}${file
        .split("/")
        .slice(-1 - random(3))
        .join("/")}`,
      `${pick(random, ROOTS)}${encodeURIComponent(file)}`,
      `/${file}`,
      `http://x${pick(random, ROOTS)}${climb}${file.slice(1)}`,
      `${pick(random, ROOTS)}base-zstd.cpio/${climb}${file.slice(1)}`,
      `${pick(random, ROOTS)}${file.slice(1)}%00.cpio`,
    ]);
  } else if (kind < 65) {
    const value = pick(random, [
      task.nodeMac,
      "52:54:00:99:99:99",
      "%",
      "%00",
      "a".repeat(random(2000)),
      encodeURIComponent(noise(random, 40).toString("latin1")),
      "${net0/mac}",
      "52:54:00:99:99:99&mac=1&mac[]=2",
      "..%2f..%2f",
    ]);
    const name = pick(random, ["mac", "uuid", "serial", "platform", "buildarch", "__proto__", "mac[]"]);
    target = `/boot/${pick(random, ["ipxe", "start.ipxe", "ipxe/"])}?mac=52:54:00:99:99:${random(90) + 10}&${name}=${value}`;
  } else if (kind < 75) {
    target = pick(random, ["/boot/base/base-zstd.cpio", "/boot/ipxe-bin/snponly.efi", "/boot/start.ipxe"]);
    headers.push(
      `Range: ${pick(random, RANGES)}`,
      `If-Range: "${random(9)}"`,
      `If-None-Match: ${pick(random, ["*", '"x"', "x,,"])}`,
    );
  } else if (kind < 90) {
    target = `/${noise(random, 200)
      .toString("latin1")
      .replaceAll(/[\r\n ]/g, "_")}`;
  } else {
    target = `/boot/${"%2f".repeat(random(300))}${"a/".repeat(random(200))}`;
  }
  const body = random(10) === 0 ? noise(random, 3000) : Buffer.alloc(0);
  if (random(20) === 0)
    headers.push(`Content-Length: ${pick(random, ["-1", "5", "99999999999", "1, 2", "abc"])}`);
  if (random(30) === 0) headers.push("Transfer-Encoding: chunked", "Content-Length: 3");
  if (random(40) === 0) headers.push(`X: ${"y".repeat(random(20_000))}`);
  if (random(50) === 0) headers.push(`${noise(random, 30).toString("latin1")}: z`);
  const end = random(200) === 0 ? "" : "\r\n\r\n";
  const version = random(50) === 0 ? pick(random, ["HTTP/0.9", "HTTP/9.9", "", "HTTP/2.0"]) : "HTTP/1.1";
  return Buffer.concat([
    Buffer.from(`${method} ${target} ${version}\r\n${headers.join("\r\n")}${end}`, "latin1"),
    body,
  ]);
}

async function abuseHttp(task: AbuseTask, tally: Tally): Promise<void> {
  const random = makeRandom(task.seed);
  const requests = Array.from({ length: task.httpRequests }, () => hostileHttp(random, task));
  await inTurn(requests, AT_ONCE, async (request) => {
    tally.http(request, await exchange(connectTcp(PORTS.http, task.address), request));
  });
}

/** Random calls of every operation the API describes, with parameters and bodies that fit badly or not at all. */
async function abuseRest(task: AbuseTask, tally: Tally): Promise<void> {
  const random = makeRandom(task.seed + 1);
  const described = await exchange(
    connectTcp(task.socketPath),
    Buffer.from("GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
  );
  const text = described.toString("utf8");
  const paths = [
    ...new Set([...text.matchAll(/"(\/(?:api|openapi)[^"]*)":\{/g)].map(([, path]) => path ?? "")),
  ];
  if (paths.length < 5) throw new Error(`the API describes only ${paths.join(" ")}`);
  const values: readonly (() => unknown)[] = [
    () => noise(random, 30).toString("latin1"),
    () => random(2 ** 31) - 2 ** 30,
    () => null,
    () => [],
    () => ({ __proto__: null, constructor: { prototype: 1 } }),
    () => "c[001-999999999]",
    () => "x".repeat(random(5000)),
    () => [{ name: "c001", devices: [{ name: "../x", mac: "zz", mtu: -1 }] }],
    () => ({ name: "'; drop table nodes; --" }),
    () => true,
  ];
  const names = [
    "nodes",
    "updates",
    "names",
    "name",
    "image",
    "fields",
    "limit",
    "node",
    "revision",
    "version",
    "blobs",
    "__proto__",
  ];
  const requests = Array.from({ length: task.restRequests }, () => {
    // Asking the doctor takes seconds by design.
    const path = pick(
      random,
      paths.filter((one) => !one.includes("doctor")),
    ).replaceAll(/\{[^}]*\}/g, () =>
      pick(random, [
        "c001",
        "..%2f..%2fetc",
        "%00",
        "%",
        "a".repeat(300),
        `sha256:${"a".repeat(64)}`,
        "-1",
        "ABCD-EFGH",
      ]),
    );
    const query =
      random(3) === 0
        ? `?${pick(random, names)}=${pick(random, ["-1", "1e99", "%ff", "c[1-", "c[1-99999999]", "'"])}`
        : "";
    const body =
      random(4) === 0
        ? noise(random, 400)
        : Buffer.from(
            JSON.stringify(
              Object.fromEntries(
                Array.from({ length: random(5) }, () => [pick(random, names), pick(random, values)()]),
              ),
            ),
          );
    const type = pick(random, [
      "application/json",
      "application/json",
      "application/octet-stream",
      "text/plain",
      "multipart/form-data",
      "x",
    ]);
    const head = `${pick(random, ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"])} ${path}${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head, "latin1"), body]);
  });
  await inTurn(requests, 16, async (request) => {
    tally.http(request, await exchange(connectTcp(task.socketPath), request));
  });
}

interface Identity {
  readonly cert?: string;
  readonly key?: string;
}

/** TLS from one of our addresses. Whom it reaches is not the question here. */
function connectAs(task: AbuseTask, port: number, from: string, identity: Identity): TLSSocket {
  const socket = connectTcp({ host: task.address, port, localAddress: from });
  // The TLS socket tells its errors itself.
  socket.on("error", () => undefined);
  return connectTls({ socket, ALPNProtocols: ["h2"], rejectUnauthorized: false, ...identity });
}

async function openSession(
  port: number,
  task: AbuseTask,
  from: string,
  identity: Identity,
): Promise<ClientHttp2Session> {
  const session = connectHttp2(`https://${task.address}:${port}`, {
    createConnection: () => connectAs(task, port, from, identity),
  });
  // A session that dies is an answer too; its streams say so.
  session.on("error", () => undefined);
  await Promise.race([once(session, "connect").catch(() => undefined), once(session, "close")]);
  return session;
}

/** One call; resolves with "grpc N", "http N", "reset", "closed" or "open" (no answer in time, which ends it). */
function call(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
  onData: (bytes: Buffer) => void = () => undefined,
): Promise<string> {
  return new Promise((resolve) => {
    if (session.destroyed || session.closed) {
      resolve("closed");
      return;
    }
    let answer: string | undefined;
    const stream = session.request({
      ":method": "POST",
      te: "trailers",
      "content-type": "application/grpc",
      ...headers,
    });
    const timer = setTimeout(() => {
      stream.close(constants.NGHTTP2_CANCEL);
      resolve(answer ?? "open");
    }, 400);
    const read = (got: Readonly<Record<string, unknown>>): void => {
      const { "grpc-status": status, ":status": http } = got;
      if (typeof status === "string") answer = `grpc ${status}`;
      else if (typeof http === "number" && http !== 200) answer = `http ${http}`;
      onData(Buffer.from(JSON.stringify(got)));
    };
    stream.on("response", read);
    stream.on("trailers", read);
    stream.on("data", onData);
    stream.on("error", () => undefined);
    stream.on("close", () => {
      clearTimeout(timer);
      resolve(answer ?? "reset");
    });
    stream.end(body);
  });
}

function frame(message: Buffer, compressed = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

/** A call of some method with a message that is not as it should be. */
function hostileCall(
  random: Random,
  path: string,
  message: Buffer,
): { readonly headers: Record<string, string>; readonly body: Buffer } {
  const headers: Record<string, string> = { ":path": path };
  const changed = Buffer.from(message);
  for (let time = random(4); time > 0; time--) changed[random(changed.length)] = random(256);
  const field = (number: number, bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes]);
  const bodies: readonly (() => Buffer)[] = [
    () => frame(changed),
    () => frame(message.subarray(0, random(message.length))),
    () => frame(noise(random, 300)),
    () => frame(message, 1),
    () => frame(message, 0, message.length + 1 + random(1000)),
    () => frame(message, 0, 0xffffffff),
    () => frame(message, 0, random(message.length)),
    () => Buffer.concat([frame(message), frame(message), noise(random, 20)]),
    () => Buffer.alloc(0),
    () => noise(random, 30),
    () => frame(Buffer.concat([message, field(1 + random(15), Buffer.alloc(random(60_000), 97))])),
    () => frame(Buffer.concat(Array.from({ length: 2000 }, () => field(1 + random(15), noise(random, 20))))),
    () => frame(Buffer.alloc(2 * 1024 * 1024, random(256))),
    () => frame(Buffer.from("ff".repeat(12), "hex")),
  ];
  if (random(6) === 0)
    headers["content-type"] = pick(random, ["text/html", "application/grpc+json", "application/json", ""]);
  if (random(10) === 0)
    headers[":path"] = pick(random, [
      "/",
      "/muster.v1.Provisioning/Nope",
      "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
      "/../../etc/passwd",
      `/${"x".repeat(3000)}`,
    ]);
  if (random(12) === 0) headers[":method"] = pick(random, ["GET", "PUT", "OPTIONS"]);
  if (random(12) === 0) headers["grpc-encoding"] = pick(random, ["gzip", "identity", "snappy", "x"]);
  if (random(12) === 0) headers["grpc-timeout"] = pick(random, ["1n", "-1S", "99999999H", "x"]);
  if (random(15) === 0) headers["x-large-bin"] = pick(random, ["!!!", "A".repeat(6000)]);
  return { headers, body: pick(random, bodies)() };
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

const CALLS_PER_SESSION = 12;

async function abuseGrpc(task: AbuseTask, tally: Tally, identity: Identity): Promise<void> {
  const random = makeRandom(task.seed + 2);
  const sessions = Array.from({ length: Math.ceil(task.grpcCalls / CALLS_PER_SESSION) }, (_, index) => {
    const port = [PORTS.enrolment, PORTS.agents, PORTS.blobs][index % 3] ?? PORTS.enrolment;
    const own = METHODS.filter(([at]) => at === port);
    return {
      port,
      from: task.sources[index % task.sources.length] ?? "",
      // Now and then a method of another port.
      calls: Array.from({ length: CALLS_PER_SESSION }, () => {
        const [, path, message] = pick(random, random(8) === 0 ? METHODS : own);
        return hostileCall(random, path, message);
      }),
    };
  });
  await inTurn(sessions, 8, async ({ port, from, calls }) => {
    const session = await openSession(port, task, from, port === PORTS.enrolment ? {} : identity);
    await inTurn(calls, 3, async ({ headers, body }) => {
      const answer = await call(session, headers, body, (bytes) => {
        tally.look(`gRPC ${headers[":path"] ?? ""}`, bytes);
      }).catch(
        (error: unknown) =>
          `unsendable ${error instanceof Error && "code" in error ? String(error.code) : ""}`,
      );
      tally.count(answer);
    });
    session.destroy();
  });
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function http2Frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Bytes below gRPC: noise, frames of every type in no order, and the floods HTTP/2 servers were taken down with. */
async function abuseFrames(task: AbuseTask, tally: Tally, identity: Identity): Promise<void> {
  const random = makeRandom(task.seed + 3);
  const settings = http2Frame(4, 0, 0, Buffer.alloc(0));
  const makers: readonly (() => Buffer)[] = [
    () => noise(random, 2000),
    () => Buffer.concat([PREFACE, noise(random, 500)]),
    () =>
      Buffer.concat([
        PREFACE,
        settings,
        ...Array.from({ length: 60 }, () =>
          http2Frame(random(14), random(256), random(9), noise(random, 60)),
        ),
      ]),
    // RFC 9113 section 10.5: pings, settings, empty headers that never end (CVE-2024-27316), resets (CVE-2023-44487).
    () =>
      Buffer.concat([
        PREFACE,
        settings,
        ...Array.from({ length: 3000 }, () => http2Frame(6, 0, 0, Buffer.alloc(8))),
      ]),
    () => Buffer.concat([PREFACE, settings, ...Array.from({ length: 1000 }, () => settings)]),
    () =>
      Buffer.concat([
        PREFACE,
        settings,
        http2Frame(1, 0, 1, Buffer.from([0x82])),
        ...Array.from({ length: 200 }, () => http2Frame(9, 0, 1, Buffer.alloc(8000, 0x82))),
      ]),
    () =>
      Buffer.concat([
        PREFACE,
        settings,
        ...Array.from({ length: 500 }, (_, at) => [
          http2Frame(1, 4, 2 * at + 1, Buffer.from([0x82, 0x84, 0x87])),
          http2Frame(3, 0, 2 * at + 1, Buffer.from([0, 0, 0, 8])),
        ]).flat(),
      ]),
    () => Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
  ];
  const rounds = Array.from({ length: 3 * makers.length * 3 }, (_, index) => ({
    port: [PORTS.enrolment, PORTS.agents, PORTS.blobs][index % 3] ?? PORTS.enrolment,
    bytes: (makers[Math.floor(index / 3) % makers.length] ?? (() => Buffer.alloc(0)))(),
    from: task.sources[index % task.sources.length] ?? "",
  }));
  await inTurn(rounds, 12, async ({ port, bytes, from }) => {
    const own = port === PORTS.enrolment ? {} : identity;
    const answer = await exchange(connectAs(task, port, from, own), bytes);
    tally.look("HTTP/2 frames", answer);
    tally.count(answer.length === 0 ? "closed" : "answered");
  });
}

/** Enrols with a token; the certificate, or the code of the refusal. */
async function enrol(
  task: AbuseTask,
  options: { readonly token: string; readonly mac: string },
): Promise<{ readonly accepted: EnrolAccepted; readonly keyPem: string } | string> {
  const { csrDer, keyPem } = await makeCertificateRequest();
  const client = new EnrollmentClient(
    `${task.address}:${PORTS.enrolment}`,
    credentials.createSsl(Buffer.from(task.authorityPem)),
    {
      "grpc.use_local_subchannel_pool": 1,
    },
  );
  const stream = client.enrol(enrolRequest(options.token, options.mac, csrDer));
  try {
    for await (const { event } of stream as AsyncIterable<EnrolResponse>) {
      if (event?.$case === "accepted") return { accepted: event.value, keyPem };
      if (event?.$case === "pending") return "pending";
    }
    return "ended";
  } catch (error) {
    return error instanceof Error ? error.message : "failed";
  } finally {
    stream.cancel();
    client.close();
  }
}

/** The token of the node's boot script, as its machine would get it. */
async function fetchToken(task: AbuseTask, from: string): Promise<string> {
  const answer = await exchange(
    connectTcp({ port: PORTS.http, host: task.address, localAddress: from }),
    Buffer.from(`GET /boot/ipxe?mac=${task.nodeMac} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
  );
  const token = /muster\.token=(\S+)/.exec(answer.toString("latin1"))?.[1];
  if (token === undefined) throw new Error(`no token in ${answer.toString("latin1")}`);
  return token;
}

function pemOf(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
}

/** Each port of nodes with each certificate that must not do, and with the one that does. */
async function tryCertificates(task: AbuseTask, good: Identity): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const certificates: Readonly<Record<string, Identity>> = { none: {}, ...task.badCertificates, good };
  for (const [port, path, message] of METHODS) {
    if (port === PORTS.enrolment || !/GetBootPlan|FetchBlob/.test(path)) continue;
    for (const [name, identity] of Object.entries(certificates)) {
      const session = await openSession(port, task, task.sources[0] ?? "", identity);
      const answer = await call(session, { ":path": path }, frame(message));
      found[`${port} ${name}`] = answer.startsWith("grpc") ? answer : "refused";
      session.destroy();
    }
  }
  return found;
}

async function abuse(task: AbuseTask): Promise<AbuseReport> {
  const leaks: string[] = [];
  const tally = {
    http: new Tally(task, leaks),
    rest: new Tally(task, leaks),
    grpc: new Tally(task, leaks),
    frames: new Tally(task, leaks),
  };
  const seconds: Record<string, number> = {};
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    seconds[name] = Math.round((performance.now() - started) / 100) / 10;
    return result;
  };
  // Calls leave by the address of the route, which is the controller's own: tokens are asked for from there too.
  const tokens: Record<string, string> = {};
  const token = await fetchToken(task, task.address);
  const say = (answer: Awaited<ReturnType<typeof enrol>>): string =>
    typeof answer === "string" ? answer : "accepted";
  tokens["another MAC"] = say(await enrol(task, { token, mac: "52:54:00:99:00:01" }));
  tokens["another address"] = say(
    await enrol(task, { token: await fetchToken(task, task.sources[1] ?? ""), mac: task.nodeMac }),
  );
  const first = await enrol(task, { token, mac: task.nodeMac });
  if (typeof first === "string") throw new Error(`the node was not enrolled: ${first}`);
  tokens["the node"] = "accepted";
  tokens["another key"] = say(await enrol(task, { token, mac: task.nodeMac }));
  tokens["a guess"] = say(await enrol(task, { token: "A".repeat(43), mac: task.nodeMac }));
  const good = { cert: pemOf(first.accepted.certificate), key: first.keyPem };

  const tls = await timed("tls", () => tryCertificates(task, good));
  await timed("grpc", () => abuseGrpc(task, tally.grpc, good));
  await timed("frames", () => abuseFrames(task, tally.frames, good));
  await timed("http", () => abuseHttp(task, tally.http));
  await timed("rest", () => abuseRest(task, tally.rest));
  return {
    answers: {
      http: tally.http.answers,
      rest: tally.rest.answers,
      grpc: tally.grpc.answers,
      frames: tally.frames.answers,
    },
    ...{ leaks, tls, tokens, seconds },
  };
}

process.stdout.write(JSON.stringify(await abuse(JSON.parse(process.argv[2] ?? "{}") as AbuseTask)));
process.exit(0);
