import { createHash } from "node:crypto";
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";

import { afterEach, beforeEach, expect, test } from "vitest";

import { type Digest, digestHex, digestOfHex } from "#proto/contract/digest.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";
import { openBlobStore } from "./open-blob-store.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(`${tmpdir()}/muster-blobs-`);
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const HELLO = Buffer.from("hello");
const HELLO_DIGEST = digestOf(HELLO);

function digestOf(content: Uint8Array): Digest {
  return digestOfHex(createHash("sha256").update(content).digest("hex"));
}

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

async function* breaksOff(): AsyncGenerator<Uint8Array> {
  yield HELLO;
  throw new Error("connection lost");
}

async function flipByte(path: string): Promise<void> {
  await chmod(path, 0o600);
  const file = await open(path, "r+");
  await file.write(Buffer.from("j"), 0, 1, 0);
  await file.close();
}

test("a stored stream is found again under its digest, whole", async () => {
  const store = await openBlobStore({ directory });
  const stored = await store.put(chunks(Buffer.from("hel"), Buffer.from("lo")));
  expect(stored).toEqual({ digest: HELLO_DIGEST, sizeBytes: 5 });
  expect(await readFile(store.pathOf(HELLO_DIGEST), "utf8")).toBe("hello");
  expect(await store.sizeOf(HELLO_DIGEST)).toBe(5);
  expect(await store.list()).toEqual([stored]);
  expect(await store.verifiedPath(HELLO_DIGEST)).toBe(store.pathOf(HELLO_DIGEST));
  expect(store.pathOf(HELLO_DIGEST)).toBe(
    `${directory}/sha256/${digestHex(HELLO_DIGEST).slice(0, 2)}/${digestHex(HELLO_DIGEST)}`,
  );
});

test("content of another digest than announced is refused and leaves nothing", async () => {
  const store = await openBlobStore({ directory });
  await expect(store.put(chunks(Buffer.from("other")), HELLO_DIGEST)).rejects.toMatchObject({
    code: "blob-corrupt",
  });
  expect(await store.list()).toEqual([]);
  expect(await readdir(`${directory}/tmp`)).toEqual([]);
});

test("a blob that is there keeps its content when other bytes are sent under its digest", async () => {
  const store = await openBlobStore({ directory });
  await store.put(chunks(HELLO));
  await expect(store.put(chunks(Buffer.from("other")), HELLO_DIGEST)).rejects.toMatchObject({
    code: "blob-corrupt",
  });
  expect(await store.verify(HELLO_DIGEST)).toBe("ok");
});

test("a stream that breaks off leaves nothing", async () => {
  const store = await openBlobStore({ directory });
  await expect(store.put(breaksOff())).rejects.toThrow("connection lost");
  expect(await store.list()).toEqual([]);
  expect(await readdir(`${directory}/tmp`)).toEqual([]);
});

test("opening the store removes what a crash left half written, and nothing else", async () => {
  const first = await openBlobStore({ directory });
  await first.put(chunks(HELLO));
  await writeFile(`${directory}/tmp/0123456789abcdef`, "half a bl");
  const second = await openBlobStore({ directory });
  expect(await readdir(`${directory}/tmp`)).toEqual([]);
  expect(await second.list()).toEqual([{ digest: HELLO_DIGEST, sizeBytes: 5 }]);
});

test("a flipped byte is found, told, and the blob is moved away so that nothing serves it", async () => {
  const told: string[] = [];
  const store = await openBlobStore({ directory, onCorrupt: (digest, to) => told.push(digest, to) });
  await store.put(chunks(HELLO));
  await flipByte(store.pathOf(HELLO_DIGEST));
  await expect(store.verifiedPath(HELLO_DIGEST)).rejects.toMatchObject({ code: "blob-corrupt" });
  expect(told).toEqual([HELLO_DIGEST, `${directory}/corrupt/${digestHex(HELLO_DIGEST)}`]);
  expect(await readFile(`${directory}/corrupt/${digestHex(HELLO_DIGEST)}`, "utf8")).toBe("jello");
  expect(await store.sizeOf(HELLO_DIGEST)).toBeUndefined();
  expect(await store.verify(HELLO_DIGEST)).toBe("missing");
  await expect(store.verifiedPath(HELLO_DIGEST)).rejects.toMatchObject({ code: "blob-missing" });
});

test("storing a corrupt blob again repairs it", async () => {
  const store = await openBlobStore({ directory });
  await store.put(chunks(HELLO));
  await flipByte(store.pathOf(HELLO_DIGEST));
  await store.put(chunks(HELLO), HELLO_DIGEST);
  expect(await store.verify(HELLO_DIGEST)).toBe("ok");
});

test("two who verify one corrupt blob at once get the same answer", async () => {
  const store = await openBlobStore({ directory });
  await store.put(chunks(HELLO));
  await flipByte(store.pathOf(HELLO_DIGEST));
  expect(await Promise.all([store.verify(HELLO_DIGEST), store.verify(HELLO_DIGEST)])).toEqual([
    "corrupt",
    "corrupt",
  ]);
});

test("garbage collection removes only what is unreferenced and older than the grace period", async () => {
  const store = await openBlobStore({ directory });
  const referenced = await store.put(chunks(Buffer.from("referenced")));
  const old = await store.put(chunks(Buffer.from("old")));
  const young = await store.put(chunks(Buffer.from("young")));
  const now = new Date();
  const hourAgo = new Date(now.getTime() - 3_600_000);
  for (const { digest } of [referenced, old]) await utimes(store.pathOf(digest), hourAgo, hourAgo);
  const result = await store.collectGarbage(new Set([referenced.digest]), 1_800_000, now);
  expect(result).toEqual({ removed: 1, freedBytes: 3 });
  expect(new Set((await store.list()).map((blob) => blob.digest))).toEqual(
    new Set([referenced.digest, young.digest]),
  );
});

test.each([true, false])(
  "storing an old blob again gives it a new grace period (digest announced: %s)",
  async (announced) => {
    const store = await openBlobStore({ directory });
    await store.put(chunks(HELLO));
    const longAgo = new Date(Date.now() - 10 * 3_600_000);
    await utimes(store.pathOf(HELLO_DIGEST), longAgo, longAgo);
    await store.verify(HELLO_DIGEST);
    await store.put(chunks(HELLO), announced ? HELLO_DIGEST : undefined);
    expect(await store.collectGarbage(new Set(), 3_600_000, new Date())).toEqual({
      removed: 0,
      freedBytes: 0,
    });
    expect(await store.verify(HELLO_DIGEST)).toBe("ok");
  },
);

test("a blob is renewed without being read only while it is the one that was verified", async () => {
  const store = await openBlobStore({ directory });
  expect(store.renew(HELLO_DIGEST)).toBe(false);
  await store.put(chunks(HELLO));
  expect(store.renew(HELLO_DIGEST)).toBe(true);
  expect(store.renew(HELLO_DIGEST)).toBe(true);
  const longAgo = new Date(Date.now() - 10 * 3_600_000);
  await utimes(store.pathOf(HELLO_DIGEST), longAgo, longAgo);
  expect(store.renew(HELLO_DIGEST)).toBe(false);
  await store.verify(HELLO_DIGEST);
  expect(store.renew(HELLO_DIGEST)).toBe(true);
  expect(await store.collectGarbage(new Set(), 3_600_000, new Date())).toEqual({ removed: 0, freedBytes: 0 });
});

test("strange files in the store are not blobs", async () => {
  const store = await openBlobStore({ directory });
  await mkdir(`${directory}/sha256/ab`);
  await writeFile(`${directory}/sha256/ab/README`, "not a blob");
  await writeFile(`${directory}/sha256/ab/${"0".repeat(64)}`, "in the wrong directory");
  expect(await store.list()).toEqual([]);
});

// A file system of 256 KiB, in a mount and user namespace of its own so that it needs no privilege and
// leaves no mount behind; the store runs inside it, in a process of its own.
test("a full disk is said as disk-full with a remedy, and nothing partial stays", async () => {
  const script = `
    import { openBlobStore } from ${JSON.stringify(`${import.meta.dirname}/open-blob-store.ts`)};
    import { readdirSync } from "node:fs";
    const store = await openBlobStore({ directory: ${JSON.stringify(directory)} });
    const small = await store.put([Buffer.alloc(1000)]);
    async function* large() { for (let i = 0; i < 100; i++) yield Buffer.alloc(65536, i); }
    const failed = await store.put(large()).then(() => undefined, (error) => error);
    console.log(JSON.stringify({
      code: failed.code, what: failed.message, fix: failed.fix,
      left: readdirSync(${JSON.stringify(`${directory}/tmp`)}), blobs: (await store.list()).length, small: await store.verify(small.digest),
    }));
  `;
  const inNamespace = `mount -t tmpfs -o size=256k tmpfs "$1" && cd "$3" && exec "$2" --input-type=module -e "$4"`;
  const root = process.getuid?.() === 0;
  const { exitCode, stdout, stderr } = await runCommandUnchecked({
    program: "unshare",
    args: [
      ...(root ? ["--mount"] : ["--user", "--map-root-user", "--mount"]),
      "sh",
      "-c",
      inNamespace,
      "sh",
      directory,
      process.execPath,
      `${import.meta.dirname}/../..`,
      script,
    ],
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const result = JSON.parse(stdout) as { what: string; fix: string };
  expect(result).toMatchObject({ code: "disk-full", left: [], blobs: 1, small: "ok" });
  expect(result.what).toContain(`no space left in ${directory}`);
  expect(result.fix).toContain("muster image delete");
  expect((await stat(directory)).isDirectory()).toBe(true);
});
