import { mkdir, readFile, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { expect, test } from "vitest";

import { type ControllerProcess, corruptBlob, fillDisk, startController } from "./controller-process.ts";
import { mountSmallDisk, openLab } from "./open-lab.ts";

test("a musterd that does not come up is reported with what it said", async () => {
  await using lab = await openLab();
  const dist = join(lab.directory, "dist");
  await mkdir(dist);
  await writeFile(join(dist, "musterd"), '#!/bin/sh\necho "no such key in $2" >&2\nexit 3\n', {
    mode: 0o755,
  });
  await expect(startController(lab, { dist })).rejects.toThrow(
    `musterd ended instead of starting:\nno such key in ${lab.directory}/muster.yaml\n[musterd ended: exit status 3]`,
  );
});

test("corrupting a blob changes one bit of it and nothing else", async () => {
  await using lab = await openLab();
  const hex = "ab".repeat(32);
  const path = join(lab.directory, "blobs", "sha256", "ab", hex);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, Buffer.from([1, 2, 3, 4]), { mode: 0o444 });
  const controller = { stateDirectory: lab.directory } as ControllerProcess;
  await corruptBlob(controller, `sha256:${hex}`);
  expect([...(await readFile(path))]).toEqual([1, 2, 2, 4]);
  await expect(corruptBlob(controller, "cd".repeat(32))).rejects.toThrow(/no file named cdcd/);
});

test("a disk that is filled takes not a byte more until it is freed", async () => {
  await using lab = await openLab();
  const disk = join(lab.directory, "disk");
  await mountSmallDisk(lab, disk, 2);
  const free = await fillDisk(disk);
  expect((await statfs(disk)).bavail).toBe(0);
  await expect(writeFile(join(disk, "more"), "x")).rejects.toMatchObject({ code: "ENOSPC" });
  await free();
  await writeFile(join(disk, "more"), "x");
});
