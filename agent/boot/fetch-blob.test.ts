import { createHash, randomBytes } from "node:crypto";
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";

import type { ServerWritableStream } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";
import {
  type Blob,
  BlobsService,
  type FetchBlobRequest,
  type FetchBlobResponse,
} from "#proto/gen/muster/v1/provisioning.ts";
import { grpcErrorFrom } from "#proto/host/grpc-errors.ts";

import type { NodeIdentity } from "../identity/store-identity.ts";
import {
  type LoopbackServer,
  makeTestAuthority,
  serveOnLoopback,
  type TestAuthority,
} from "../testing/loopback-controller.ts";
import { makeTestHost, type TestHost } from "../testing/test-host.ts";
import { fetchBlob } from "./fetch-blob.ts";

type Call = ServerWritableStream<FetchBlobRequest, FetchBlobResponse>;

const never = new AbortController().signal;
const content = randomBytes(3_000_000);
const blob: Blob = {
  digest: `sha256:${createHash("sha256").update(content).digest("hex")}`,
  sizeBytes: content.length,
  ticket: Buffer.from("ticket"),
};

let authority: TestAuthority;
let identity: NodeIdentity;

beforeAll(async () => {
  authority = await makeTestAuthority();
  identity = await authority.makeIdentity("c001", []);
});
afterAll(() => authority[Symbol.asyncDispose]());

/** Serves blobs; each call is answered by the next handler, the last one for ever. */
async function serveBlobs(
  ...handlers: readonly ((call: Call) => void)[]
): Promise<LoopbackServer & { readonly offsets: number[] }> {
  const offsets: number[] = [];
  const fetchBlobHandler = (call: Call): void => {
    const handler = handlers[Math.min(offsets.length, handlers.length - 1)];
    offsets.push(call.request.offset);
    handler?.(call);
  };
  const server = await serveOnLoopback(
    authority,
    [{ definition: BlobsService, handlers: { fetchBlob: fetchBlobHandler } }],
    { mutual: true },
  );
  return { ...server, offsets };
}

const MESSAGE = 1 << 18;

function send(call: Call, bytes: Buffer, upTo = bytes.length): void {
  for (let at = call.request.offset; at < upTo; at += MESSAGE) {
    call.write({ data: bytes.subarray(at, Math.min(at + MESSAGE, upTo)) });
  }
}
const whole = (call: Call): void => {
  send(call, content);
  call.end();
};
const breakAt =
  (offset: number) =>
  (call: Call): void => {
    send(call, content, offset);
    call.emit("error", { code: 14, details: "the controller is restarting" });
  };
const refuse =
  (code: "blob-missing" | "ticket-refused" | "blob-corrupt") =>
  (call: Call): void => {
    call.emit("error", grpcErrorFrom(new MusterError({ code, what: `no: ${code}`, fix: "import it again" })));
  };

function fetchFrom(host: TestHost, addresses: readonly string[], of: Blob = blob): Promise<void> {
  return fetchBlob(
    host,
    {
      blob: of,
      addresses,
      identity,
      path: join(host.root, "blob"),
      deadlineUptimeMs: 65_000,
      onProgress: () => undefined,
    },
    never,
  );
}

async function isThere(host: TestHost): Promise<boolean> {
  return access(join(host.root, "blob")).then(
    () => true,
    () => false,
  );
}

test("a blob arrives whole", async () => {
  await using host = await makeTestHost();
  await using server = await serveBlobs(whole);
  await fetchFrom(host, [server.address]);
  expect(content.equals(await readFile(join(host.root, "blob")))).toBe(true);
  expect(host.lines).toEqual([]);
});

test("a broken stream is resumed at its offset by the next controller", async () => {
  await using host = await makeTestHost();
  await using first = await serveBlobs(breakAt(1_000_000));
  await using second = await serveBlobs(breakAt(2_000_000), whole);
  await fetchFrom(host, [first.address, second.address]);
  expect(content.equals(await readFile(join(host.root, "blob")))).toBe(true);
  expect({ first: first.offsets, second: second.offsets }).toEqual({
    first: [0, 2_000_000],
    second: [1_000_000, 2_000_000],
  });
});

test("a controller that dies and comes back on its port finishes the blob", async () => {
  await using host = await makeTestHost();
  await using dying = await serveBlobs((call) => {
    send(call, content, 500_000);
  });
  const port = Number(dying.address.split(":")[1]);
  let restarted: LoopbackServer | undefined;
  const offsets: number[] = [];
  const restart = async (): Promise<void> => {
    restarted ??= await serveOnLoopback(
      authority,
      [
        {
          definition: BlobsService,
          handlers: {
            fetchBlob: (call: Call) => {
              offsets.push(call.request.offset);
              whole(call);
            },
          },
        },
      ],
      { mutual: true, port },
    );
  };
  let killed = false;
  await fetchBlob(
    { ...host, sleep: restart },
    {
      blob,
      addresses: [dying.address],
      identity,
      path: join(host.root, "blob"),
      deadlineUptimeMs: 65_000,
      onProgress: (bytes) => {
        if (bytes < 500_000 || killed) return;
        killed = true;
        void dying[Symbol.asyncDispose]();
      },
    },
    never,
  );
  await restarted?.[Symbol.asyncDispose]();
  expect(content.equals(await readFile(join(host.root, "blob")))).toBe(true);
  expect(offsets).toEqual([500_000]);
});

test("wrong bytes are fetched once more from the start, then the blob is corrupt and no file is left", async () => {
  await using host = await makeTestHost();
  const flipped = Buffer.from(content);
  flipped[1_234_567] = (flipped[1_234_567] ?? 0) ^ 1;
  const wrong = (call: Call): void => {
    send(call, flipped);
    call.end();
  };
  await using server = await serveBlobs(wrong);
  await expect(fetchFrom(host, [server.address])).rejects.toMatchObject({
    code: "blob-corrupt",
    message: expect.stringContaining(blob.digest) as string,
  });
  expect(server.offsets).toEqual([0, 0]);
  expect(await isThere(host)).toBe(false);

  await using healed = await serveBlobs(wrong, whole);
  await fetchFrom(host, [healed.address]);
  expect(await isThere(host)).toBe(true);
});

test("an address whose bytes were wrong twice is left out, and the blob comes from another", async () => {
  await using host = await makeTestHost();
  const flipped = Buffer.from(content);
  flipped[7] = (flipped[7] ?? 0) ^ 1;
  const wrong = (call: Call): void => {
    send(call, flipped);
    call.end();
  };
  await using bad = await serveBlobs(wrong);
  await using good = await serveBlobs(whole);
  await fetchFrom(host, [bad.address, good.address]);
  expect(content.equals(await readFile(join(host.root, "blob")))).toBe(true);
  expect([bad.offsets, good.offsets]).toEqual([[0, 0], [0]]);

  await using other = await makeTestHost();
  await using alsoBad = await serveBlobs(wrong);
  await expect(fetchFrom(other, [bad.address, alsoBad.address])).rejects.toMatchObject({
    code: "blob-corrupt",
  });
  expect(alsoBad.offsets).toEqual([0, 0]);
  expect(await isThere(other)).toBe(false);
});

test("it gives up when the deadline passes, saying how far it came, and leaves no file", async () => {
  await using host = await makeTestHost();
  const server = await serveBlobs(whole);
  await server[Symbol.asyncDispose]();
  await expect(fetchFrom(host, [server.address])).rejects.toMatchObject({
    code: "fetch-gave-up",
    message: `gave up fetching blob ${blob.digest} at 0 of ${blob.sizeBytes} bytes`,
  });
  expect(host.uptimeMs()).toBeLessThanOrEqual(65_000);
  expect(host.slept.length).toBeGreaterThan(5);
  expect(await isThere(host)).toBe(false);
});

test("a blob that one controller lacks comes from another; lacking everywhere it fails at once", async () => {
  await using host = await makeTestHost();
  await using without = await serveBlobs(refuse("blob-missing"));
  await using having = await serveBlobs(whole);
  await fetchFrom(host, [without.address, having.address]);
  expect(await isThere(host)).toBe(true);

  await using other = await makeTestHost();
  await using damaged = await serveBlobs(refuse("blob-corrupt"));
  await expect(fetchFrom(other, [without.address, damaged.address])).rejects.toMatchObject({
    code: "blob-corrupt",
    fix: "import it again",
  });
  expect(other.slept).toHaveLength(1);
});

test("a refused ticket is not tried again", async () => {
  await using host = await makeTestHost();
  await using server = await serveBlobs(refuse("ticket-refused"));
  await expect(fetchFrom(host, [server.address])).rejects.toMatchObject({ code: "ticket-refused" });
  expect(server.offsets).toEqual([0]);
});

test("a controller that sends more than the blob has is not believed", async () => {
  await using host = await makeTestHost();
  await using server = await serveBlobs(whole);
  const shorter = { ...blob, sizeBytes: 1_000_000 };
  await expect(fetchFrom(host, [server.address], shorter)).rejects.toMatchObject({ code: "blob-corrupt" });
  expect(await isThere(host)).toBe(false);
});

test("what an earlier agent fetched is not fetched again", async () => {
  await using host = await makeTestHost();
  await using server = await serveBlobs(whole);
  await fetchFrom(host, [server.address]);
  await fetchFrom(host, [server.address]);
  expect(server.offsets).toEqual([0]);
});
