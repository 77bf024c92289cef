import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session, constants } from "node:http2";
import { connect } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

import type { AbuseTask } from "./abuse-tools.ts";

/** A client certificate and its key, PEM; neither for none. */
export interface Identity {
  readonly cert?: string;
  readonly key?: string;
}

/** TLS from one of our addresses. Whom it reaches is not the question here. */
export function connectAs(task: AbuseTask, port: number, from: string, identity: Identity): TLSSocket {
  const socket = connect({ host: task.address, port, localAddress: from });
  // The TLS socket tells its errors itself.
  socket.on("error", () => undefined);
  return connectTls({ socket, ALPNProtocols: ["h2"], rejectUnauthorized: false, ...identity });
}

/** HTTP/2, for several calls. */
export async function openSession(
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
export function call(
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

/** A message as gRPC sends it (gRPC over HTTP2, "Length-Prefixed-Message"), or with a lie about its length. */
export function frame(message: Buffer, compressed = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}
