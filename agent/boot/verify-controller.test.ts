import { createServer } from "node:net";

import { afterAll, beforeAll, expect, test } from "vitest";

import { serveOnLoopback, type TestAuthority, makeTestAuthority } from "../testing/loopback-controller.ts";
import { verifyController } from "./verify-controller.ts";

const never = new AbortController().signal;
let authority: TestAuthority;

beforeAll(async () => {
  authority = await makeTestAuthority();
});
afterAll(() => authority[Symbol.asyncDispose]());

test("a controller whose authority has the fingerprint of the boot script is trusted, by that authority", async () => {
  await using server = await serveOnLoopback(authority, [], { mutual: false });
  expect(await verifyController(server.address, authority.fingerprint, "10.0.0.9", never)).toEqual({
    kind: "verified",
    authorityPem: authority.pem,
  });
});

test("a controller of another authority is refused, and both fingerprints are told", async () => {
  await using server = await serveOnLoopback(authority, [], { mutual: false });
  const expected = "ab".repeat(32);
  expect(await verifyController(server.address, expected, "10.0.0.9", never)).toEqual({
    kind: "problem",
    problem: {
      kind: "certificate-mismatch",
      address: server.address,
      expected,
      presented: authority.fingerprint,
    },
  });
});

test("an impostor that appends the right authority to its own certificate is refused", async () => {
  await using impostor = await makeTestAuthority();
  const forged = {
    ...impostor,
    serverChain: Buffer.concat([
      impostor.serverChain.subarray(0, impostor.serverChain.indexOf("-----END CERTIFICATE-----") + 26),
      Buffer.from(authority.pem),
    ]),
  };
  await using server = await serveOnLoopback(forged, [], { mutual: false });
  const check = await verifyController(server.address, authority.fingerprint, "10.0.0.9", never);
  expect(check).toMatchObject({ kind: "problem", problem: { kind: "certificate-mismatch" } });
});

test("a port where nothing listens and a service that is not TLS are told apart", async () => {
  const plain = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.resume();
    socket.end("220 mail ready\r\n");
  });
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  const { port } = plain.address() as { port: number };
  const address = `127.0.0.1:${port}`;
  const answering = await verifyController(address, authority.fingerprint, "10.0.0.9", never);
  expect(answering).toMatchObject({ kind: "problem", problem: { kind: "no-tls", address } });
  await new Promise((resolve) => plain.close(resolve));
  expect(await verifyController(address, authority.fingerprint, "10.0.0.9", never)).toEqual({
    kind: "problem",
    problem: { kind: "port-refused", address },
  });
});
