import {
  type AbuseTask,
  exchange,
  inTurn,
  makeRandom,
  noise,
  pick,
  PORTS,
  type Random,
  type Tally,
} from "./abuse-tools.ts";
import { call, connectAs, frame, type Identity, openSession } from "./grpc-calls.ts";
import { METHODS } from "./grpc-methods.ts";

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

/** Calls of every method of every service on all three ports. */
export async function abuseGrpc(task: AbuseTask, tally: Tally, identity: Identity): Promise<void> {
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
export async function abuseFrames(task: AbuseTask, tally: Tally, identity: Identity): Promise<void> {
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
