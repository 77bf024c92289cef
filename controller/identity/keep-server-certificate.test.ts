import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";

import { expect, test } from "vitest";

import { guardCalls } from "../api/grpc/authorize-calls.ts";
import { startGrpcServer } from "../api/grpc/start-grpc-server.ts";
import { openCertificateAuthority } from "./certificate-authority.ts";
import { keepServerCertificate } from "./keep-server-certificate.ts";

const DAY_MS = 24 * 3600_000;

test("after two thirds of its life a new certificate serves new connections, and the old ones go on", async () => {
  const directory = await mkdtemp(join(tmpdir(), "muster-renewal-"));
  // The second certificate is made now: clients go by the clock of this host.
  const clock = { now: new Date(Date.now() - 264 * DAY_MS) };
  const authority = await openCertificateAuthority(directory, () => clock.now);
  const kept = await keepServerCertificate(
    () => authority.issueServer({ names: ["localhost"], addresses: ["127.0.0.1"] }),
    () => clock.now,
  );
  const guard = guardCalls({ now: () => clock.now, onBug: () => undefined });
  const server = await startGrpcServer(
    { address: "127.0.0.1", port: 0, ...kept.current() },
    { services: [], guard, maxRequestBytes: 1024 },
  );
  kept.onRenewed(server.renew);
  /** The serial number a client is shown, and the connection, which stays open. */
  const shake = (): Promise<readonly [string, ReturnType<typeof connect>]> =>
    new Promise((resolve, reject) => {
      const ca = authority.certificatePem;
      const socket = connect({
        ca,
        port: server.port,
        host: "127.0.0.1",
        servername: "localhost",
        ALPNProtocols: ["h2"],
      });
      socket.on("error", reject);
      socket.on("secureConnect", () => {
        resolve([socket.getPeerCertificate().serialNumber, socket]);
      });
    });
  const [first, before] = await shake();
  const expires = kept.expiresAt();
  clock.now = new Date(clock.now.getTime() + 263 * DAY_MS);
  expect(await kept.renewIfDue()).toBe(false);
  clock.now = new Date(clock.now.getTime() + DAY_MS);
  expect(await kept.renewIfDue()).toBe(true);
  const [second, after] = await shake();
  expect([second === first, before.destroyed, kept.expiresAt() > expires]).toEqual([false, false, true]);
  expect(await kept.renewIfDue()).toBe(false);
  for (const socket of [before, after]) socket.destroy();
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});
