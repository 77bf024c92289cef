import type { Agent, IncomingMessage, RequestOptions } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Who is spoken to: over a unix socket, or over TLS. */
export type HttpPeer =
  | { readonly socketPath: string }
  | {
      readonly url: URL;
      /** PEM of the only authority that counts; without it the system's authorities do. */
      readonly ca?: string;
    };

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Readable;
  /** The request fails when nothing came or went for so long; absent: it may take for ever. */
  readonly silenceMs?: number;
  readonly signal?: AbortSignal;
}

/** HTTP to one peer. */
export interface OpenHttp {
  /** The answer, of whatever status, when its head is there. Fails with errors of Node. */
  request(request: HttpRequest): Promise<IncomingMessage>;
  close(): void;
}

/** A peer that does not take a connection within this is not there for a person at a prompt. */
export const CONNECT_DEADLINE_MS = 10_000;

/** Nothing is connected before the first request. */
export function openHttp(peer: HttpPeer): OpenHttp {
  // An import would look at every export, and one of http's is another HTTP client, which takes 30 ms to load.
  const { Agent: OpenAgent, request } = process.getBuiltinModule(
    "socketPath" in peer ? "node:http" : "node:https",
  );
  const agent: Agent = new OpenAgent({ keepAlive: true });
  const target: RequestOptions =
    "socketPath" in peer
      ? { agent, socketPath: peer.socketPath, host: "musterd" }
      : {
          agent,
          ...{ hostname: peer.url.hostname.replace(/^\[|\]$/g, ""), port: peer.url.port || 443 },
          ...(peer.ca === undefined ? {} : { ca: peer.ca }),
        };
  return {
    request: ({ body, silenceMs = 0, signal, headers, ...what }) => {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const sent = request({
        ...target,
        ...what,
        headers,
        ...(signal === undefined ? {} : { signal }),
      });
      let answer: IncomingMessage | undefined;
      const fail = (why: string, ms: number): void => {
        (answer ?? sent).destroy(new Error(`${why} within ${ms / 1000} s`));
      };
      const connecting = setTimeout(fail, CONNECT_DEADLINE_MS, "no connection", CONNECT_DEADLINE_MS);
      sent.once("socket", (socket) => {
        const isKept = !socket.connecting;
        if (isKept) clearTimeout(connecting);
        else {
          socket.once("socketPath" in peer ? "connect" : "secureConnect", () => {
            clearTimeout(connecting);
          });
        }
      });
      sent.once("close", () => {
        clearTimeout(connecting);
      });
      if (silenceMs > 0)
        sent.setTimeout(silenceMs, () => {
          fail("no answer", silenceMs);
        });
      sent.on("error", reject);
      sent.once("response", (response) => {
        answer = response;
        resolve(response);
      });
      if (body === undefined || typeof body === "string") sent.end(body);
      else pipeline(body, sent).catch(reject);
      return promise;
    },
    close: () => {
      agent.destroy();
    },
  };
}

/** All of an answer. */
export async function readText(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}
