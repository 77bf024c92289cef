import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";

import { type Digest, digestHex, digestOfHex } from "#proto/contract/digest.ts";
import { type MacAddress, parseMacAddress } from "#proto/contract/mac-address.ts";
import { MusterError } from "#proto/contract/muster-error.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import type { Image, Node } from "../inventory/inventory.ts";
import { testConfig } from "./netboot-test-lab.ts";
import { type BootServerEffects, createBootServer } from "./serve-boot.ts";

const MAC = parseMacAddress("52:54:00:00:00:01");
const NODE: Node = {
  name: parseNodeName("c001"),
  revision: 1,
  kernelArguments: [],
  overlays: [],
  runtimeOverlays: [],
  tags: {},
  devices: [{ name: "eth0", type: "ethernet", mac: MAC }],
  machine: {},
  createdAt: new Date(0),
  updatedAt: new Date(0),
};
const KERNEL = Buffer.from(Array.from({ length: 1000 }, (_, at) => at % 251));
const digestOf = (bytes: Uint8Array): Digest => digestOfHex(createHash("sha256").update(bytes).digest("hex"));

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

interface Fixture extends AsyncDisposable {
  readonly port: number;
  readonly digests: { readonly kernel: Digest; readonly modules: Digest; readonly layer: Digest };
  readonly calls: unknown[];
  readonly blobs: Map<Digest, string | MusterError>;
  images: Image[];
  /** Whether c001 is up. */
  isUp: Promise<boolean>;
  get(path: string, headers?: Record<string, string>, method?: string): Promise<Answer>;
}

async function open(): Promise<Fixture> {
  const directory = await mkdtemp(join(tmpdir(), "muster-boot-"));
  const config = { ...testConfig(directory) };
  const ipxe = join(directory, "ipxe");
  await mkdir(config.paths.artifacts, { recursive: true });
  await mkdir(ipxe);
  const put = async (name: string, bytes: Uint8Array): Promise<Digest> => {
    await writeFile(join(directory, name), bytes);
    blobs.set(digestOf(bytes), join(directory, name));
    return digestOf(bytes);
  };
  const blobs = new Map<Digest, string | MusterError>();
  const digests = {
    kernel: await put("kernel", KERNEL),
    modules: await put("modules", Buffer.from("modules")),
    layer: await put("layer", Buffer.from("SECRET layer")),
  };
  await writeFile(join(config.paths.artifacts, "base-gzip.cpio"), "base archive");
  await writeFile(join(config.paths.artifacts, "secret"), "SECRET artifact");
  await writeFile(join(ipxe, "snponly.efi"), "MZ");
  await writeFile(join(directory, "secret"), "SECRET file");
  const blob = (digest: Digest): { digest: Digest; sizeBytes: number } => ({ digest, sizeBytes: 1 });
  const calls: unknown[] = [];
  const image: Image = {
    name: "debian12",
    channels: { stable: 1 },
    versions: [
      {
        image: "debian12",
        version: 1,
        kernelRelease: "6.1",
        architecture: "x86_64",
        features: { initramfsCompression: "gzip", squashfsCompression: "gzip" },
        kernel: blob(digests.kernel),
        modules: blob(digests.modules),
        layers: [blob(digests.layer)],
        createdAt: new Date(0),
        source: "",
      },
    ],
  };
  const at = { images: [image], isUp: Promise.resolve(false) };
  const effects: BootServerEffects = {
    config: { ...config, paths: { ...config.paths, ipxe } },
    inventory: {
      findNodeByMac: (mac: MacAddress) => Promise.resolve(mac === MAC ? NODE : undefined),
      listImages: () => Promise.resolve(at.images),
      listRefusedMachines: () => Promise.resolve([]),
    },
    mintToken: (node, mac, address) => Promise.resolve(`token-${node}-${mac.slice(-2)}-${address}`),
    authorityFingerprint: "f".repeat(64),
    blobs: {
      verifiedPath: async (digest) => {
        const path = blobs.get(digest);
        if (typeof path === "string") return path;
        throw path ?? new MusterError({ code: "blob-missing", what: `no blob ${digest}` });
      },
    },
    isUp: () => at.isUp,
    onImpostor: (attempt) => calls.push(["impostor", attempt]),
    fleet: {
      scriptDisowned: (node) => calls.push(["disowned", node]),
      scriptServed: (client) => calls.push(["script", client]),
      artifactServed: (address, name, sizeBytes) => calls.push(["artifact", address, name, sizeBytes]),
    },
    onEvent: (event) => calls.push(["event", event]),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  };
  const server = createBootServer(effects);
  await server.listen({ host: "127.0.0.1", port: 0 });
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    digests,
    calls,
    blobs,
    get isUp() {
      return at.isUp;
    },
    set isUp(answer) {
      at.isUp = answer;
    },
    get images() {
      return at.images;
    },
    set images(images) {
      at.images = images;
    },
    get: (path, headers = {}, method = "GET") =>
      new Promise((resolve, reject) => {
        const sent = request({ port, path, headers, method, agent: false }, (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => {
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks),
            });
          });
          response.on("error", reject);
        });
        sent.on("error", reject);
        sent.end();
      }),
    async [Symbol.asyncDispose]() {
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}

const ASK = "/boot/ipxe?mac=52-54-00-00-00-01&uuid=u&serial=s&platform=pcbios&buildarch=i386";

test("a node's script carries its token, and the fleet hears of script and artifacts", async () => {
  await using at = await open();
  const script = (await at.get(ASK)).body.toString();
  expect(script).toContain("muster.token=token-c001-01-127.0.0.1 ");
  const kernelPath = /http:\/\/10\.77\.0\.1:9880(\S+\/vmlinuz)/.exec(script)?.[1] ?? "";
  const answer = await at.get(kernelPath);
  expect([answer.status, answer.body.equals(KERNEL), answer.headers["etag"]]).toEqual([
    200,
    true,
    `"${digestHex(at.digests.kernel)}"`,
  ]);
  expect((await at.get("/boot/base/base-gzip.cpio")).body.toString()).toBe("base archive");
  expect(at.calls).toEqual([
    ["script", { mac: MAC, address: "127.0.0.1", node: "c001" }],
    ["artifact", "127.0.0.1", "vmlinuz", 1000],
    ["artifact", "127.0.0.1", "base-gzip.cpio", 12],
  ]);
});

test("a script asked for with the MAC of a node that is up begins no boot, and people hear who asked", async () => {
  await using at = await open();
  const attempt = {
    ...{ node: "c001", address: "127.0.0.1", mac: MAC, smbiosUuid: "u", serial: "s" },
    presented: "its MAC address, asking for its boot script",
  };
  at.isUp = Promise.resolve(true);
  expect((await at.get(ASK)).status).toBe(200);
  await vi.waitUntil(() => at.calls.length === 1);
  expect(at.calls).toEqual([["impostor", attempt]]);

  // A node under load answers late: until then it looks as if it restarted.
  const late = Promise.withResolvers<boolean>();
  at.isUp = late.promise;
  await at.get(ASK);
  await vi.waitUntil(() => at.calls.length === 2);
  late.resolve(true);
  await vi.waitUntil(() => at.calls.length === 4);
  expect(at.calls.slice(1)).toEqual([
    ["script", { mac: MAC, address: "127.0.0.1", node: "c001" }],
    ["disowned", "c001"],
    ["impostor", attempt],
  ]);
});

test("a machine nobody knows gets a script without a token", async () => {
  await using at = await open();
  const answer = await at.get("/boot/ipxe?mac=52:54:00:00:00:99");
  expect([answer.status, answer.body.includes("muster.token"), answer.body.includes("vmlinuz")]).toEqual([
    200,
    false,
    true,
  ]);
  expect(at.calls).toEqual([["script", { mac: "52:54:00:00:00:99", address: "127.0.0.1" }]]);
});

test("without an image the script says so and mints no token", async () => {
  await using at = await open();
  at.images = [];
  const script = (await at.get(ASK)).body.toString();
  expect(script).toContain("echo muster: cannot boot: there is no image yet\n");
  expect(script).not.toContain("token");
});

test("a part of a kernel is the bytes asked for, and only them", async () => {
  await using at = await open();
  const path = `/boot/blob/${digestHex(at.digests.kernel)}/vmlinuz`;
  const etag = `"${digestHex(at.digests.kernel)}"`;
  const ask = async (headers: Record<string, string>, method = "GET"): Promise<unknown[]> => {
    const { status, headers: got, body } = await at.get(path, headers, method);
    return [status, got["content-range"], got["content-length"], body.length, body[0]];
  };
  expect(await ask({ range: "bytes=10-19" })).toEqual([206, "bytes 10-19/1000", "10", 10, 10]);
  expect(await ask({ range: "bytes=990-" })).toEqual([206, "bytes 990-999/1000", "10", 10, 990 % 251]);
  expect(await ask({ range: "bytes=-1" })).toEqual([206, "bytes 999-999/1000", "1", 1, 999 % 251]);
  expect(await ask({ range: "bytes=1000-" })).toEqual([416, "bytes */1000", "14", 14, 110]);
  expect(await ask({ range: "bytes=1-2,5-6" })).toEqual([200, undefined, "1000", 1000, 0]);
  expect(await ask({ range: "bytes=9-1" })).toEqual([200, undefined, "1000", 1000, 0]);
  expect(await ask({ range: "bytes=0-9", "if-range": '"other"' })).toEqual([200, undefined, "1000", 1000, 0]);
  expect(await ask({ range: "bytes=0-9", "if-range": etag })).toEqual([206, "bytes 0-9/1000", "10", 10, 0]);
  expect(await ask({ "if-none-match": etag })).toEqual([304, undefined, undefined, 0, undefined]);
  expect(await ask({}, "HEAD")).toEqual([200, undefined, "1000", 0, undefined]);
});

test("root layers are not served, though the store has them", async () => {
  await using at = await open();
  expect((await at.get(`/boot/blob/${digestHex(at.digests.layer)}/vmlinuz`)).status).toBe(404);
});

test("a corrupt kernel is refused, and the event names node, blob and remedy", async () => {
  await using at = await open();
  await at.get(ASK);
  at.blobs.set(
    at.digests.kernel,
    new MusterError({
      code: "blob-corrupt",
      what: `blob ${at.digests.kernel} is corrupt`,
      fix: "import again",
    }),
  );
  const answer = await at.get(`/boot/blob/${digestHex(at.digests.kernel)}/vmlinuz`);
  expect([answer.status, answer.body.toString()]).toEqual([500, `blob ${at.digests.kernel} is corrupt\n`]);
  expect(at.calls[1]).toEqual([
    "event",
    {
      severity: "error",
      kind: "blob-corrupt",
      node: "c001",
      what: `c001 was not given vmlinuz: blob ${at.digests.kernel} is corrupt`,
      fix: "import again",
    },
  ]);
});

test("a missing base archive names the file and what to do", async () => {
  await using at = await open();
  const answer = await at.get("/boot/base/base-zstd.cpio");
  expect([answer.status, answer.body.toString()]).toEqual([
    412,
    expect.stringMatching(/base-zstd\.cpio is missing\n$/),
  ]);
});

test.each([
  ["/boot/ipxe", 400],
  ["/boot/ipxe?mac=ff:ff:ff:ff:ff:ff", 400],
  ["/boot/ipxe?mac=52:54:00:00:00:01&mac=52:54:00:00:00:02", 400],
  [`/boot/ipxe?mac=52:54:00:00:00:01&serial=${"x".repeat(300)}`, 400],
  [`/boot/ipxe?mac=52:54:00:00:00:01&serial=${"x".repeat(2000)}`, 414],
  ["/boot/base/secret", 404],
  ["/boot/base/..%2fsecret", 404],
  ["/boot/ipxe-bin/undionly.kpxe", 404],
  ["/boot/ipxe-bin/__proto__", 404],
  ["/boot/%", 400],
  ["/", 404],
])("%s answers %i", async (path, status) => {
  await using at = await open();
  expect((await at.get(path)).status).toBe(status);
});

/** Mulberry32: the same requests in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("10,000 random requests crash nothing and reach no file outside the roots", {
  timeout: 60_000,
}, async () => {
  await using at = await open();
  const random = seeded(7);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const hex = Object.values(at.digests).map(digestHex);
  const parts = [
    ...[
      "/boot/blob/",
      "/boot/base/",
      "/boot/ipxe-bin/",
      "/boot/ipxe?mac=",
      "/boot/start.ipxe",
      "/healthz",
      "/",
    ],
    ...[
      "..",
      "/",
      "%2e%2e%2f",
      "..%5c",
      "%00",
      "%",
      "%ff%fe",
      "....//",
      "?",
      "&",
      "#",
      "secret",
      "\\",
      "é",
      "//",
    ],
    ...[
      "base-gzip.cpio",
      "snponly.efi",
      "vmlinuz",
      "52:54:00:00:00:01",
      "etc/passwd",
      "%25",
      "x".repeat(200),
      ...hex,
    ],
  ];
  const ranges = [
    "bytes=",
    "bytes=0-0",
    "bytes=-",
    "bytes=5-1",
    "bytes=99999999999999999999-",
    "items=0-1",
    "bytes=-0",
    "bytes=0-,",
  ];
  const methods = ["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW", "\u0001"];
  const one = (): string => {
    const path = Array.from({ length: 1 + Math.floor(random() * 5) }, () => pick(parts)).join("");
    const headers =
      random() < 0.4 ? `Range: ${pick(ranges)}\r\n` : random() < 0.1 ? "Content-Length: 9\r\n" : "";
    return `${pick(methods)} ${path} HTTP/1.1\r\nHost: x\r\n${headers}Connection: close\r\n\r\n`;
  };
  const send = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const chunks: Buffer[] = [];
      const socket = connect(at.port, "127.0.0.1", () => socket.write(text));
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      socket.on("error", () => undefined);
      socket.on("close", () => {
        resolve(Buffer.concat(chunks).toString("latin1"));
      });
      // A body that was announced and never comes would only end at the request's deadline.
      socket.setTimeout(1000, () => socket.destroy());
    });
  const counts = new Map<string, number>();
  for (let sent = 0; sent < 10_000; sent += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(one())));
    for (const answer of answers) {
      expect(answer).not.toMatch(/SECRET|root:/);
      const status = answer.slice(9, 12);
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
  }
  expect([...counts.keys()].filter((status) => status.startsWith("5"))).toEqual([]);
  expect(counts.get("200")).toBeGreaterThan(50);
  expect(counts.get("404")).toBeGreaterThan(1000);
  expect((await at.get("/healthz")).body.toString()).toBe("ok\n");
});

test("a machine with nothing to boot is one event per reason, however often it asks", async () => {
  await using server = await open();
  server.images = [];
  for (let time = 0; time < 3; time++) await server.get(`/boot/ipxe?mac=${MAC}`);
  await server.get("/boot/ipxe?mac=52:54:00:00:00:99");
  const events = server.calls.filter((call) => Array.isArray(call) && call[0] === "event");
  const common = {
    severity: "warning",
    kind: "nothing-to-boot",
    fix: "on the controller: muster image import DIR --name NAME",
  };
  expect(events).toEqual([
    ["event", { ...common, node: "c001", what: `c001 (${MAC}) cannot boot: there is no image yet` }],
    ["event", { ...common, what: "machine (52:54:00:00:00:99) cannot boot: there is no image yet" }],
  ]);
});

test("one machine cannot have scripts, and the tokens in them, without end", async () => {
  await using fixture = await open();
  const statuses = new Set<number>();
  for (let asked = 0; asked < 40; asked += 1) {
    statuses.add((await fixture.get(`/boot/ipxe?mac=${MAC}`)).status);
  }
  expect([...statuses].sort()).toEqual([200, 429]);
});
