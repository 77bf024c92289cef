import { randomBytes } from "node:crypto";
import { access, mkdir, mkdtemp, open, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { digestOfHex } from "#proto/contract/digest.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import { type Daemon, runCommand, startDaemon } from "#proto/host/run-command.ts";
import { writeFileAtomically } from "#proto/host/write-file-atomically.ts";

import {
  type CertificateAuthority,
  openCertificateAuthority,
} from "../../controller/identity/certificate-authority.ts";
import { sealBlobTicket } from "../../controller/images/blob-tickets.ts";
import { blobPath } from "../../controller/images/serve-blobs.ts";
import { planConnectionLimits } from "../../controller/api/admit-connections.ts";
import { startBlobWorkers } from "../../controller/images/start-blob-workers.ts";
import { pemOf } from "../fixtures/controller-on-loopback.ts";
import { makeCertificateRequest } from "../fixtures/make-certificate-request.ts";
import { stopDaemon } from "../lab/open-lab.ts";
import { waitFor } from "../lab/wait-for.ts";
import type { FetchConfig, FetchResult } from "./fetch-blob-once.ts";
import { listFamily, readCpuSeconds } from "./read-process-cost.ts";
import { median, renderSpread, renderTable } from "./render-table.ts";
import type { ClearServerConfig } from "./serve-blobs-in-clear.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const WORKER = join(HERE, "../../dist/lib/blob-worker.mjs");
const FILE_BYTES = 2 ** 30;
const RUNS = 5;
const SCALING_RUNS = 3;
const CLIENT_DEADLINE_MS = 300_000;
/** The server never hashes what it sends, so that any digest will do. */
const DIGEST = digestOfHex("ab".repeat(32));
const NODE = parseNodeName("c001");
const BOOT = "bench";

/** Everything the servers serve from and show. */
interface Site {
  readonly directory: string;
  readonly authority: CertificateAuthority;
  readonly server: { readonly certPem: string; readonly keyPem: string };
  readonly ticketKey: Buffer;
  readonly nodeCertificatePem: string;
  readonly nodeKeyPem: string;
}

/** A running server and how one stream is fetched from it. */
interface Served extends AsyncDisposable {
  readonly pids: readonly number[];
  fetch(): Promise<FetchResult>;
}

/** One measurement: all streams together. */
interface Sample {
  readonly megabytesPerSecond: number;
  readonly gigabytesPerCpuSecond: number;
}

/** How fast blob workers send, and what it costs them, beside nginx with the same file. */
export async function benchBlobs(say: (line: string) => void): Promise<string> {
  await using undo = new AsyncDisposableStack();
  const site = await prepareSite(undo);
  say("one stream, one worker");
  const contenders = [
    { name: "muster, gRPC, mutual TLS", start: () => serveByWorkers(site, 1) },
    { name: "nginx, HTTPS", start: () => serveByNginx(site, 1, true) },
    { name: "muster, gRPC, in clear", start: () => serveInClear(site) },
    { name: "nginx, HTTP (sendfile)", start: () => serveByNginx(site, 1, false) },
  ];
  const samples = contenders.map((): Sample[] => []);
  // In turn, so that whatever else the machine does meanwhile happens to all of them.
  for (let run = 0; run < RUNS; run++) {
    for (const [index, { start }] of contenders.entries()) {
      await using served = await start();
      samples[index]?.push(await measure(served, 1));
    }
  }
  const single = renderTable(
    ["one stream, one worker", "MB/s", "GB per CPU second of the server"],
    contenders.map(({ name }, index) => [name, ...renderSamples(samples[index] ?? [])]),
  );
  const ratio = (of: number, to: number): string =>
    (
      middle(samples[of] ?? []).gigabytesPerCpuSecond / middle(samples[to] ?? []).gigabytesPerCpuSecond
    ).toFixed(2);
  const rows = await measureScaling(site, say);
  const scaling = renderTable(["TLS", "streams", "MB/s", "GB per CPU second of the server"], rows);
  return `${single}\nGB per CPU second against nginx: ${ratio(0, 1)} with TLS, ${ratio(2, 3)} in clear.\n\n${scaling}`;
}

async function measureScaling(site: Site, say: (line: string) => void): Promise<readonly string[][]> {
  const rows: string[][] = [];
  for (const workers of [1, 2]) {
    for (const streams of [1, 2, 4]) {
      for (const [name, start] of [
        ["muster", () => serveByWorkers(site, workers)],
        ["nginx", () => serveByNginx(site, workers, true)],
      ] as const) {
        say(`${name}, ${workers} workers, ${streams} streams`);
        await using served = await start();
        const samples: Sample[] = [];
        for (let run = 0; run < SCALING_RUNS; run++) samples.push(await measure(served, streams));
        rows.push([
          `${name}, ${workers} worker${workers > 1 ? "s" : ""}`,
          `${streams}`,
          ...renderSamples(samples),
        ]);
      }
    }
  }
  return rows;
}

async function measure(served: Served, streams: number): Promise<Sample> {
  const before = await readCpuSeconds(served.pids);
  const results = await Promise.all(Array.from({ length: streams }, () => served.fetch()));
  const cpuSeconds = (await readCpuSeconds(served.pids)) - before;
  const bytes = results.reduce((sum, result) => sum + result.bytes, 0);
  if (bytes !== streams * FILE_BYTES)
    throw new Error(`${bytes} bytes came instead of ${streams * FILE_BYTES}`);
  const wallMs =
    Math.max(...results.map(({ endedMs }) => endedMs)) -
    Math.min(...results.map(({ startedMs }) => startedMs));
  return { megabytesPerSecond: bytes / 1e3 / wallMs, gigabytesPerCpuSecond: bytes / 1e9 / cpuSeconds };
}

function middle(samples: readonly Sample[]): Sample {
  return {
    megabytesPerSecond: median(samples.map((sample) => sample.megabytesPerSecond)),
    gigabytesPerCpuSecond: median(samples.map((sample) => sample.gigabytesPerCpuSecond)),
  };
}

function renderSamples(samples: readonly Sample[]): readonly string[] {
  return [
    renderSpread(
      samples.map((sample) => sample.megabytesPerSecond),
      0,
    ),
    renderSpread(
      samples.map((sample) => sample.gigabytesPerCpuSecond),
      2,
    ),
  ];
}

async function prepareSite(undo: AsyncDisposableStack): Promise<Site> {
  // In memory, or a disk would be measured.
  const shared = await access("/dev/shm").then(
    () => "/dev/shm",
    () => tmpdir(),
  );
  const directory = await mkdtemp(join(shared, "muster-bench-"));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  const authority = await openCertificateAuthority(join(directory, "authority"), () => new Date());
  const { csrDer, keyPem } = await makeCertificateRequest();
  const issued = await authority.issueNode({ csrDer, node: NODE, bootId: BOOT, lifetimeSeconds: 3600 });
  const path = blobPath(join(directory, "blobs"), DIGEST);
  await mkdir(dirname(path), { recursive: true });
  await writeRandom(path, FILE_BYTES);
  await mkdir(join(directory, "html"));
  await symlink(path, join(directory, "html/blob"));
  return {
    directory,
    authority,
    server: await authority.issueServer({ names: ["localhost"], addresses: ["127.0.0.1"] }),
    ticketKey: randomBytes(32),
    nodeCertificatePem: pemOf(issued.certificateDer),
    nodeKeyPem: keyPem,
  };
}

async function writeRandom(path: string, size: number): Promise<void> {
  const piece = randomBytes(16 * 1024 * 1024);
  await using file = await open(path, "w");
  for (let at = 0; at < size; at += piece.length)
    await file.write(piece, 0, Math.min(piece.length, size - at));
}

/** The workers as musterd starts them: the built program, mutual TLS, tickets. */
async function serveByWorkers(site: Site, count: number): Promise<Served> {
  const workers = await startBlobWorkers({
    program: WORKER,
    count,
    config: {
      ...site.server,
      address: "127.0.0.1",
      port: 0,
      caPem: site.authority.certificatePem,
      ticketKey: site.ticketKey,
      blobRoot: join(site.directory, "blobs"),
      limits: planConnectionLimits(100_000),
    },
    denied: [],
    onLimited: () => undefined,
    telemetry: { recordEvent: () => undefined },
    onBug: (error) => {
      process.stderr.write(`${String(error)}\n`);
    },
  });
  const tls = {
    authorityPem: site.authority.certificatePem,
    keyPem: site.nodeKeyPem,
    certificatePem: site.nodeCertificatePem,
  };
  return {
    pids: workers.pids,
    fetch: () => fetchByGrpc(site, { port: workers.port, tls }),
    [Symbol.asyncDispose]: () => workers[Symbol.asyncDispose](),
  };
}

async function serveInClear(site: Site): Promise<Served> {
  const config: ClearServerConfig = {
    blobRoot: join(site.directory, "blobs"),
    ticketKey: site.ticketKey.toString("hex"),
    nodeCertificatePem: site.nodeCertificatePem,
  };
  const path = join(site.directory, "clear.json");
  await writeFile(path, JSON.stringify(config));
  const { promise: listening, resolve } = Promise.withResolvers<number>();
  const daemon = await startDaemon({
    program: process.execPath,
    args: ["--no-warnings", join(HERE, "serve-blobs-in-clear.ts"), path],
    onLine: (line) => {
      const port = /^listening (\d+)$/.exec(line)?.[1];
      if (port === undefined) process.stderr.write(`${line}\n`);
      else resolve(Number(port));
    },
  });
  const ended = daemon.exited.then(() => {
    throw new Error("the server in clear ended");
  });
  const port = await Promise.race([listening, ended]);
  ended.catch(() => undefined);
  return {
    pids: [daemon.pid],
    fetch: () => fetchByGrpc(site, { port }),
    [Symbol.asyncDispose]: () => stopDaemon(daemon),
  };
}

async function fetchByGrpc(site: Site, from: Pick<FetchConfig, "port" | "tls">): Promise<FetchResult> {
  const ticket = sealBlobTicket(site.ticketKey, {
    ...{ node: NODE, bootId: BOOT, digest: DIGEST, sizeBytes: FILE_BYTES },
    expiresAt: new Date(Date.now() + 3_600_000),
  });
  const config: FetchConfig = { ...from, digest: DIGEST, ticket: ticket.toString("hex") };
  const path = join(site.directory, "fetch.json");
  await writeFile(path, JSON.stringify(config));
  const { stdout } = await runCommand({
    program: process.execPath,
    args: ["--no-warnings", join(HERE, "fetch-blob-once.ts"), path],
    deadlineMs: CLIENT_DEADLINE_MS,
  });
  return JSON.parse(stdout) as FetchResult;
}

/** nginx as a child, with the settings its documentation recommends for large files. */
async function serveByNginx(site: Site, workers: number, tls: boolean): Promise<Served> {
  const port = await findFreePort();
  const place = join(site.directory, "nginx");
  await mkdir(place, { recursive: true });
  await writeFile(join(place, "cert.pem"), site.server.certPem + site.authority.certificatePem);
  await writeFile(join(place, "key.pem"), site.server.keyPem, { mode: 0o600 });
  await writeFile(join(place, "nginx.conf"), renderNginxConfig(site, place, { port, workers, tls }));
  const complaints: string[] = [];
  const nginx: Daemon = await startDaemon({
    program: "nginx",
    args: ["-p", place, "-e", "stderr", "-c", join(place, "nginx.conf")],
    onLine: (line) => complaints.push(line),
  });
  const url = `${tls ? "https" : "http"}://127.0.0.1:${port}/blob`;
  await waitFor(async () => (await listFamily(nginx.pid)).length > workers, {
    what: "nginx to start its workers",
    deadlineMs: 10_000,
    instead: () => complaints.join("\n"),
  });
  return {
    pids: await listFamily(nginx.pid),
    fetch: () => fetchByCurl(url, site),
    [Symbol.asyncDispose]: () => stopDaemon(nginx),
  };
}

function renderNginxConfig(
  site: Site,
  place: string,
  options: { readonly port: number; readonly workers: number; readonly tls: boolean },
): string {
  const { port, workers, tls } = options;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `  ${name}_temp_path ${place}/${name};`)
    .join("\n");
  return `daemon off;
worker_processes ${workers};
pid ${place}/pid;
${process.getuid?.() === 0 ? "user root;" : ""}
error_log stderr;
events { worker_connections 64; multi_accept off; }
http {
  access_log off;
  sendfile on;
  sendfile_max_chunk 2m;
  tcp_nopush on;
${temporary}
  server {
    listen 127.0.0.1:${port}${tls ? " ssl" : ""}${workers > 1 ? " reuseport" : ""};
    ${tls ? `ssl_certificate ${place}/cert.pem; ssl_certificate_key ${place}/key.pem; ssl_protocols TLSv1.3;` : ""}
    root ${site.directory}/html;
  }
}
`;
}

async function fetchByCurl(url: string, site: Site): Promise<FetchResult> {
  const authority = join(site.directory, "authority.pem");
  // Several clients at once: none may read what another is just writing.
  await writeFileAtomically(authority, site.authority.certificatePem);
  const startedMs = Date.now();
  const { stdout } = await runCommand({
    program: "curl",
    args: ["--silent", "--show-error", "--fail", "--cacert", authority, "--output", "/dev/null"].concat([
      ...["--write-out", "%{size_download} %{time_total}", url],
    ]),
    deadlineMs: CLIENT_DEADLINE_MS,
  });
  const [bytes = 0, seconds = 0] = stdout.split(" ").map(Number);
  return { startedMs, endedMs: startedMs + seconds * 1000, bytes };
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => {
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  });
}
