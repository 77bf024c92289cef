import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { type ChannelCredentials, credentials, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type Digest, digestOfHex } from "#proto/contract/digest.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import {
  BlobsClient,
  type FetchBlobRequest,
  type FetchBlobResponse,
} from "#proto/gen/muster/v1/provisioning.ts";
import { musterErrorFromGrpc } from "#proto/host/grpc-errors.ts";
import { nodeCredentials } from "../../test/fixtures/controller-on-loopback.ts";
import { makeCertificateRequest } from "../../test/fixtures/make-certificate-request.ts";
import { planConnectionLimits } from "../api/admit-connections.ts";
import { type CertificateAuthority, openCertificateAuthority } from "../identity/certificate-authority.ts";
import { sealBlobTicket } from "./blob-tickets.ts";
import { blobPath } from "./serve-blobs.ts";
import { type BlobWorkers, startBlobWorkers } from "./start-blob-workers.ts";

const PROGRAM = join(import.meta.dirname, "blob-worker.ts");
const KEY = randomBytes(32);
const CONTENT = randomBytes(3 * 1024 * 1024 + 77);
const C001 = parseNodeName("c001");

let directory = "";
let authority: CertificateAuthority;
let workers: BlobWorkers;
let node: ChannelCredentials;
const events: string[] = [];
const bugs: unknown[] = [];

async function store(content: Buffer): Promise<Digest> {
  const digest = digestOfHex(createHash("sha256").update(content).digest("hex"));
  const path = blobPath(join(directory, "blobs"), digest);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return digest;
}

async function certify(name = C001, bootId = "boot-1"): Promise<ChannelCredentials> {
  const { csrDer, keyPem } = await makeCertificateRequest();
  const issued = await authority.issueNode({ csrDer, node: name, bootId, lifetimeSeconds: 3600 });
  return nodeCredentials(authority.certificatePem, keyPem, issued.certificateDer);
}

function ticketFor(digest: Digest, changes: { sizeBytes?: number; expiresAt?: Date } = {}): Buffer {
  const expiresAt = new Date(Date.now() + 60_000);
  return sealBlobTicket(KEY, {
    ...{ node: C001, bootId: "boot-1", digest, sizeBytes: CONTENT.length, expiresAt },
    ...changes,
  });
}

/** Fetches to the end: the bytes, or the code of the error. */
function fetch(request: FetchBlobRequest, tls = node, port = workers.port): Promise<Buffer | string> {
  const client = new BlobsClient(`localhost:${port}`, tls, { "grpc.use_local_subchannel_pool": 1 });
  return new Promise<Buffer | string>((resolve) => {
    const parts: Buffer[] = [];
    const stream = client.fetchBlob(request, { deadline: Date.now() + 15_000 });
    stream.on("data", ({ data }: FetchBlobResponse) => parts.push(data));
    stream.on("error", (error: ServiceError) => {
      resolve(musterErrorFromGrpc(error).code);
    });
    stream.on("end", () => {
      resolve(Buffer.concat(parts));
    });
  }).finally(() => {
    client.close();
  });
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("the condition did not come true in time");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function startWorkers(port: number, count: number): Promise<BlobWorkers> {
  return authority.issueServer({ names: ["localhost"], addresses: ["127.0.0.1"] }).then((server) =>
    startBlobWorkers({
      program: PROGRAM,
      count,
      config: {
        ...server,
        address: "127.0.0.1",
        port,
        caPem: authority.certificatePem,
        ticketKey: KEY,
        blobRoot: join(directory, "blobs"),
        limits: planConnectionLimits(256, count),
      },
      denied: [],
      onLimited: () => undefined,
      telemetry: { recordEvent: ({ kind }) => events.push(kind) },
      onBug: (error) => bugs.push(error),
    }),
  );
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-blobs-"));
  authority = await openCertificateAuthority(join(directory, "authority"), () => new Date());
  workers = await startWorkers(0, 2);
  node = await certify();
});
afterAll(async () => {
  await workers[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
  expect(bugs).toEqual([]);
});

describe("blob workers", () => {
  test("serve a blob whole, and the rest of it from any offset", async () => {
    const digest = await store(CONTENT);
    const ticket = ticketFor(digest);
    for (const offset of [0, 1, 127, 1024 * 1024, CONTENT.length - 128, CONTENT.length]) {
      const got = await fetch({ digest, offset, ticket });
      expect(CONTENT.subarray(offset).equals(got as Buffer)).toBe(true);
    }
    expect(await fetch({ digest, offset: CONTENT.length + 1, ticket })).toBe("blob-offset-invalid");
  });

  test("serve many streams at once without mixing their bytes", async () => {
    const contents = Array.from({ length: 6 }, () => randomBytes(2 * 1024 * 1024 + 3));
    const got = await Promise.all(
      contents.map(async (content) => {
        const digest = await store(content);
        return fetch({ digest, offset: 0, ticket: ticketFor(digest, { sizeBytes: content.length }) });
      }),
    );
    expect(got.map((bytes, at) => contents[at]?.equals(bytes as Buffer))).toEqual(contents.map(() => true));
  });

  test("refuse tickets that are forged, expired, for another blob, another node or another boot", async () => {
    const digest = await store(CONTENT);
    const other = await store(Buffer.from("other"));
    const ticket = ticketFor(digest);
    const forged = Buffer.from(ticket);
    forged[20] = (forged[20] ?? 0) ^ 1;
    expect(
      await Promise.all([
        fetch({ digest, offset: 0, ticket: forged }),
        fetch({ digest, offset: 0, ticket: Buffer.alloc(0) }),
        fetch({ digest, offset: 0, ticket: ticketFor(digest, { expiresAt: new Date(0) }) }),
        fetch({ digest: other, offset: 0, ticket }),
        fetch({ digest: "../../../etc/passwd", offset: 0, ticket }),
        fetch({ digest, offset: 0, ticket }, await certify(parseNodeName("c002"))),
        fetch({ digest, offset: 0, ticket }, await certify(C001, "boot-2")),
      ]),
    ).toEqual(Array.from({ length: 7 }, () => "ticket-refused"));
  });

  test("refuse clients without a certificate", async () => {
    const digest = await store(CONTENT);
    const stranger = credentials.createSsl(Buffer.from(authority.certificatePem));
    expect(await fetch({ digest, offset: 0, ticket: ticketFor(digest) }, stranger)).toMatch(
      /^(controller-unreachable|certificate-mismatch)$/,
    );
  });

  test("say that a blob is missing, and that a blob is not as long as its ticket promises", async () => {
    const missing = digestOfHex("00".repeat(32));
    expect(await fetch({ digest: missing, offset: 0, ticket: ticketFor(missing) })).toBe("blob-missing");
    const cut = randomBytes(1000);
    const digest = await store(cut);
    await truncate(blobPath(join(directory, "blobs"), digest), 999);
    expect(await fetch({ digest, offset: 0, ticket: ticketFor(digest, { sizeBytes: 1000 }) })).toBe(
      "blob-corrupt",
    );
  });

  test("serve on after a client went away in the middle of a stream", async () => {
    const digest = await store(CONTENT);
    const request = { digest, offset: 0, ticket: ticketFor(digest) };
    const client = new BlobsClient(`localhost:${workers.port}`, node, {
      "grpc.use_local_subchannel_pool": 1,
    });
    const stream = client.fetchBlob(request);
    await new Promise<void>((resolve) => {
      stream.on("error", () => {
        resolve();
      });
      stream.once("data", () => {
        stream.cancel();
      });
    });
    client.close();
    expect(CONTENT.equals((await fetch(request)) as Buffer)).toBe(true);
  });

  test("are replaced when they die, on the same port, with an event", async () => {
    const before = workers.pids;
    for (const pid of before) process.kill(pid, "SIGKILL");
    await until(() => workers.pids.length === 2 && workers.pids.every((pid) => !before.includes(pid)));
    expect(events).toEqual(["blob-worker-exited", "blob-worker-exited"]);
    const digest = await store(CONTENT);
    const request = { digest, offset: 0, ticket: ticketFor(digest) };
    await until(async () => {
      const got = await fetch(request);
      return typeof got !== "string" && CONTENT.equals(got);
    });
  });
});
