import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

import { writeFileAtomically } from "./write-file-atomically.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-atomic-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

it("replaces a file, with the mode asked for from its first moment", async () => {
  const path = join(directory, "secret");
  await writeFile(path, "old", { mode: 0o644 });
  await writeFileAtomically(path, "new", 0o600);
  expect([await readFile(path, "utf8"), (await stat(path)).mode & 0o777, await readdir(directory)]).toEqual([
    "new",
    0o600,
    ["secret"],
  ]);
});

it("leaves the old content and no temporary file when it cannot replace the target", async () => {
  const path = join(directory, "target");
  await mkdir(join(path, "not-empty"), { recursive: true });
  await expect(writeFileAtomically(path, "new")).rejects.toMatchObject({ code: "EISDIR" });
  expect(await readdir(directory)).toEqual(["target"]);
});

it("is read whole at any moment by others", async () => {
  const path = join(directory, "file");
  await writeFileAtomically(path, "0".repeat(10_000));
  const done = new AbortController();
  const seen = new Set<string>();
  const reader = (async () => {
    while (!done.signal.aborted) {
      const text = await readFile(path, "utf8");
      seen.add(`${text.length} ${new Set(text).size}`);
    }
  })();
  for (let turn = 1; turn <= 30; turn += 1) await writeFileAtomically(path, String(turn % 10).repeat(10_000));
  done.abort();
  await reader;
  expect([...seen]).toEqual(["10000 1"]);
});
