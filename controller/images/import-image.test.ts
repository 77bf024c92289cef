import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";

import { afterEach, beforeEach, expect, test } from "vitest";

import { openBlobStore } from "./open-blob-store.ts";
import { type ImportEffects, type ImportProgress, importImage } from "./import-image.ts";

const signal = new AbortController().signal;
let directory: string;
let tree: string;

beforeEach(async () => {
  directory = await realpath(await mkdtemp(`${tmpdir()}/muster-import-test-`));
  tree = `${directory}/tree`;
  const modules = `${tree}/usr/lib/modules/6.1-test`;
  await mkdir(modules, { recursive: true });
  await mkdir(`${tree}/usr/lib/systemd`);
  await writeFile(`${tree}/usr/lib/systemd/systemd`, "init");
  const kernel = Buffer.alloc(4096);
  kernel.write("HdrS", 0x202);
  await mkdir(`${tree}/lib/modules/6.1-test`, { recursive: true });
  for (const at of [modules, `${tree}/lib/modules/6.1-test`]) {
    await writeFile(`${at}/vmlinuz`, kernel);
    await writeFile(`${at}/modules.dep`, "k/overlay.ko:\nk/squashfs.ko:\nk/loop.ko:\n");
  }
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const request = (): Parameters<typeof importImage>[0] => ({
  tree,
  name: "debian12",
  source: "a test",
  temporaryDirectory: `${directory}/tmp`,
  userId: process.getuid?.() ?? -1,
});

async function effects(): Promise<{ effects: ImportEffects; steps: ImportProgress[]; args: string[][] }> {
  const store = await openBlobStore({ directory: `${directory}/blobs` });
  const steps: ImportProgress[] = [];
  const args: string[][] = [];
  return {
    steps,
    args,
    effects: {
      upload: (content) => store.put(content),
      register: async (version) => ({ ...version, version: 1, createdAt: new Date(0) }),
      async runInitramfs(words) {
        args.push([...words]);
        await writeFile(words.at(-1) ?? "", "modules");
      },
      onProgress: (step) => steps.push(step),
    },
  };
}

test("an import uploads kernel, modules and root, registers them, and leaves no temporary file", async () => {
  const { effects: host, steps, args } = await effects();
  const version = await importImage(request(), host, signal);
  expect(version).toMatchObject({
    image: "debian12",
    version: 1,
    kernelRelease: "6.1-test",
    architecture: "x86_64",
    features: { initramfsCompression: "gzip", squashfsCompression: "gzip" },
    kernel: { sizeBytes: 4096 },
    modules: { sizeBytes: 7 },
    source: "a test",
  });
  expect(version.layers.length).toBe(1);
  expect(args[0]?.slice(0, -1)).toEqual([
    "modules",
    "--tree",
    tree,
    "--kernel",
    "6.1-test",
    "--compression",
    "gzip",
    "--out",
  ]);
  // At once, not when mksquashfs first tells how far it is.
  expect(steps[1]).toEqual({ step: "pack", percent: 0 });
  expect(steps.filter((step) => step.step !== "pack").map((step) => step.step)).toEqual([
    "kernel",
    "modules",
    "upload",
    "upload",
    "upload",
    "register",
  ]);
  expect(await readdir(`${directory}/tmp`)).toEqual([]);
});

test("an import that fails on the way registers nothing and leaves no temporary file", async () => {
  const { effects: host, steps } = await effects();
  const failing: ImportEffects = {
    ...host,
    runInitramfs: () => Promise.reject(new Error("no such program")),
  };
  await expect(importImage(request(), failing, signal)).rejects.toThrow("no such program");
  expect(steps.some((step) => step.step === "upload" || step.step === "register")).toBe(false);
  expect(await readdir(`${directory}/tmp`)).toEqual([]);
});

test("what a killed import left is removed by the next one; what a living one uses is not", async () => {
  const dead = `${directory}/tmp/muster-import-4194305-abcdef`; // above the largest pid Linux gives (2^22)
  const alive = `muster-import-${process.pid}-abcdef`;
  await mkdir(dead, { recursive: true });
  await mkdir(`${directory}/tmp/${alive}`);
  await mkdir(`${directory}/tmp/somebody-elses`);
  const { effects: host } = await effects();
  await importImage(request(), host, signal);
  expect((await readdir(`${directory}/tmp`)).sort()).toEqual([alive, "somebody-elses"]);
});

test("a broken-off import says so and leaves no temporary file", async () => {
  const { effects: host } = await effects();
  const abort = new AbortController();
  const interrupted: ImportEffects = {
    ...host,
    onProgress: (step) => {
      if (step.step === "pack") abort.abort(new Error("interrupted"));
    },
  };
  await expect(importImage(request(), interrupted, abort.signal)).rejects.toThrow("interrupted");
  expect(await readdir(`${directory}/tmp`)).toEqual([]);
});

test("more space than a file system has is asked for before the work, not found out after it", async () => {
  const { effects: host, steps } = await effects();
  // /proc is a file system without any free block.
  const onProc = { ...request(), temporaryDirectory: "/proc" };
  await expect(importImage(onProc, host, signal)).rejects.toMatchObject({ code: "disk-full" });
  expect(steps.map((step) => step.step)).toEqual(["kernel"]);
});
