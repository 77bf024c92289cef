import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { type ConnectionLimits, planConnectionLimits } from "../../controller/api/admit-connections.ts";
import { guardCalls } from "../../controller/api/grpc/authorize-calls.ts";
import { startGrpcServer } from "../../controller/api/grpc/start-grpc-server.ts";
import { openCertificateAuthority } from "../../controller/identity/certificate-authority.ts";
import { makeCertificateRequest } from "../fixtures/make-certificate-request.ts";
import { renderTable } from "./render-table.ts";

/*
 * What a connection costs the controller: one that is refused, against one that is accepted with its handshake of mutual TLS.
 * The server has a thread of its own, whose processor time is taken; the clients have another.
 *
 *   node test/bench/admission.ts
 */

/** What the clients' thread is told. */
interface Clients {
  readonly port: number;
  readonly count: number;
  /** With them, the TLS handshake is completed. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
}

const COUNT = 2000;
const AT_ONCE = 20;
const MANY = { perSecond: 1e9, burst: 1e9 };

function connectOnce({ port, tls }: Clients): Promise<void> {
  return new Promise((resolve) => {
    const to = { port, host: "127.0.0.1" };
    const socket =
      tls === undefined
        ? connect(to)
        : connectTls({ ...to, ...tls, servername: "localhost", ALPNProtocols: ["h2"] });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      resolve();
    });
    socket.on("secureConnect", () => socket.destroy());
  });
}

async function runClients(clients: Clients): Promise<void> {
  let left = clients.count;
  const loop = async (): Promise<void> => {
    while (left-- > 0) await connectOnce(clients);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, loop));
}

/** Microseconds of the server's processor time per connection, and connections per second. */
async function measure(
  endpoint: Parameters<typeof startGrpcServer>[0],
  tls: Clients["tls"],
): Promise<{ readonly cpuUs: number; readonly perSecond: number }> {
  const guard = guardCalls({ now: () => new Date(), onBug: () => undefined });
  await using server = await startGrpcServer(endpoint, { services: [], guard, maxRequestBytes: 1024 });
  const clients: Clients = { port: server.port, count: COUNT, tls };
  const worker = new Worker(import.meta.filename, { workerData: clients });
  await new Promise((resolve) => worker.once("online", resolve));
  const startedMs = performance.now();
  const before = process.threadCpuUsage();
  await new Promise((resolve) => worker.once("message", resolve));
  const { user, system } = process.threadCpuUsage(before);
  const seconds = (performance.now() - startedMs) / 1000;
  await worker.terminate();
  return { cpuUs: (user + system) / COUNT, perSecond: COUNT / seconds };
}

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "muster-admission-"));
  try {
    const authority = await openCertificateAuthority(directory, () => new Date());
    const server = await authority.issueServer({ names: ["localhost"], addresses: ["127.0.0.1"] });
    const { csrDer, keyPem } = await makeCertificateRequest();
    const names = { node: parseNodeName("c001"), bootId: "boot-1", lifetimeSeconds: 3600 };
    const { certificateDer } = await authority.issueNode({ csrDer, ...names });
    const cert = `-----BEGIN CERTIFICATE-----\n${certificateDer.toString("base64")}\n-----END CERTIFICATE-----\n`;
    const ca = authority.certificatePem;
    const endpoint = { address: "127.0.0.1", port: 0, ...server, clientAuthorityPem: ca };
    const open: ConnectionLimits = { perAddress: 1e9, overall: 1e9, newPerAddress: MANY, newOverall: MANY };
    const rows: string[][] = [];
    for (const [what, limits, tls] of [
      [
        "refused: too many from the address",
        { ...open, newPerAddress: { perSecond: 0, burst: 0 } },
        undefined,
      ],
      ["accepted, with its handshake", open, { ca, cert, key: keyPem }],
    ] as const) {
      const { cpuUs, perSecond } = await measure({ ...endpoint, limits }, tls);
      rows.push([what, cpuUs.toFixed(0), perSecond.toFixed(0)]);
    }
    process.stdout.write(renderTable(["connection", "CPU of the server (us)", "per second"], rows));
    const { newOverall } = planConnectionLimits(256);
    process.stdout.write(
      `\nlimit of all addresses: ${newOverall.perSecond}/s after ${newOverall.burst} at once\n`,
    );
  } finally {
    await rm(directory, { recursive: true });
  }
}

if (isMainThread) await main();
else {
  await runClients(workerData as Clients);
  parentPort?.postMessage("done");
}
