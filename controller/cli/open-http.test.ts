import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";

import { afterEach, beforeEach, expect, test } from "vitest";

import { openHttp, readText } from "./open-http.ts";

let directory = "";
let socketPath = "";
let server: Server | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-http-"));
  socketPath = join(directory, "s");
});
afterEach(async () => {
  if (server?.listening === true) {
    const closed = once(server, "close");
    server.close().closeAllConnections();
    await closed;
  }
  await rm(directory, { recursive: true });
});

async function serve(listener: RequestListener): Promise<void> {
  server = createServer(listener);
  await once(server.listen(socketPath), "listening");
}

const GET = { method: "GET", path: "/x", headers: {} } as const;

test("one connection serves requests one after the other", async () => {
  let connections = 0;
  await serve((request, response) => response.end(`${request.method} ${request.url}`));
  server?.on("connection", () => {
    connections += 1;
  });
  const http = openHttp({ socketPath });
  expect(await readText(await http.request(GET))).toBe("GET /x");
  expect(await readText(await http.request({ ...GET, path: "/y" }))).toBe("GET /y");
  expect(connections).toBe(1);
  http.close();
});

test("a connection that is kept carries nothing of the requests before", async () => {
  await serve((_, response) => response.end());
  const http = openHttp({ socketPath });
  const listening: (number | undefined)[] = [];
  for (let count = 0; count < 3; count++) {
    const answer = await http.request(GET);
    listening.push(answer.socket.listenerCount("connect"));
    await readText(answer);
  }
  expect(new Set(listening.slice(1))).toEqual(new Set([listening[0]]));
  http.close();
});

test("a body is sent as it is, text and stream", async () => {
  await serve((request, response) => {
    response.statusCode = 400;
    request.pipe(response);
  });
  const http = openHttp({ socketPath });
  const bodies = ["grün", Readable.from([Buffer.from("a"), Buffer.from("b")])];
  for (const [body, echo] of [
    [bodies[0] ?? "", "grün"],
    [bodies[1] ?? "", "ab"],
  ] as const) {
    const answer = await http.request({ ...GET, method: "POST", body });
    expect([answer.statusCode, await readText(answer)]).toEqual([400, echo]);
  }
  http.close();
});

test("a stream that breaks fails the request", async () => {
  await serve((request, response) => request.resume().on("end", () => response.end()));
  const broken = new Readable({
    read() {
      this.destroy(new Error("the disk is gone"));
    },
  });
  const http = openHttp({ socketPath });
  await expect(http.request({ ...GET, method: "PUT", body: broken })).rejects.toThrow("the disk is gone");
  http.close();
});

test("nobody there is told with Node's code", async () => {
  await expect(openHttp({ socketPath }).request(GET)).rejects.toMatchObject({ code: "ENOENT" });
});

test("silence ends a request, before its answer and in the middle of it", async () => {
  await serve((request, response) => {
    if (request.url === "/half") response.write("half");
  });
  const http = openHttp({ socketPath });
  await expect(http.request({ ...GET, silenceMs: 50 })).rejects.toThrow("no answer within 0.05 s");
  const half = await http.request({ ...GET, path: "/half", silenceMs: 50 });
  await expect(readText(half)).rejects.toThrow("no answer within 0.05 s");
  http.close();
});

test("an answer that ends too early is no answer", async () => {
  await serve((_request, response) => {
    response.writeHead(200, { "content-length": "10" });
    response.write("half", () => response.destroy());
  });
  const http = openHttp({ socketPath });
  await expect(readText(await http.request(GET))).rejects.toMatchObject({ code: "ECONNRESET" });
  http.close();
});

test("a signal ends what is waited for", async () => {
  await serve((_request, response) => response.write("first"));
  const http = openHttp({ socketPath });
  const over = new AbortController();
  const answer = await http.request({ ...GET, signal: over.signal });
  over.abort();
  await expect(readText(answer)).rejects.toThrow();
  http.close();
});
