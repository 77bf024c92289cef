import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { digestOfHex } from "#proto/contract/digest.ts";

import type { BlobStore } from "../images/blob-store.ts";
import { openBlobStore } from "../images/open-blob-store.ts";
import { storeAgentRelease } from "./agent-release.ts";

let directory: string;
let blobs: BlobStore;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-agents-"));
  blobs = await openBlobStore({ directory: join(directory, "blobs") });
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const packed = Buffer.from("packed agent");
const blob = {
  digest: digestOfHex(createHash("sha256").update(packed).digest("hex")),
  sizeBytes: packed.length,
};
const release = { version: "0.2.0", build: digestOfHex("a".repeat(64)), sizeBytes: 100, blob };

async function install(about: unknown, content: Buffer = packed): Promise<void> {
  await writeFile(join(directory, "agent.json"), JSON.stringify(about));
  await writeFile(join(directory, "agent.zst"), content);
}

test("the agent of the release is in the blob store afterwards, and is read only once", async () => {
  await install(release);
  expect(await storeAgentRelease(directory, blobs)).toEqual(release);
  expect(await blobs.verify(blob.digest)).toBe("ok");
  await rm(join(directory, "agent.zst"));
  expect(await storeAgentRelease(directory, blobs)).toEqual(release);
});

test("artifacts without an agent are no error", async () => {
  expect(await storeAgentRelease(directory, blobs)).toBeUndefined();
});

test("an agent that is not the one agent.json tells of is refused", async () => {
  await install(release, Buffer.from("another"));
  await expect(storeAgentRelease(directory, blobs)).rejects.toMatchObject({ code: "blob-corrupt" });
});

test.each([
  ["no version", { ...release, version: undefined }],
  ["a size that is none", { ...release, sizeBytes: -1 }],
  ["no blob", { ...release, blob: undefined }],
  ["a build that is no digest", { ...release, build: "../../etc" }],
])("agent.json with %s is refused with its place", async (_title, about) => {
  await install(about);
  await expect(storeAgentRelease(directory, blobs)).rejects.toMatchObject({
    code: "config-invalid",
    message: expect.stringContaining("agent.json does not say what agent this release has") as string,
  });
});
