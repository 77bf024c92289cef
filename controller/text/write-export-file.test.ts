import { lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

import { makeDirectory, writeExportFile } from "./write-export-file.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-export-"));
});
afterEach(async () => rm(directory, { recursive: true, force: true }));

describe("a file that is exported to", () => {
  it("is replaced whole, with nothing left beside it", async () => {
    const path = join(directory, "site.yaml");
    await writeExportFile(path, "first\n", 0o644);
    await writeExportFile(path, "second\n", 0o600);
    expect(await readFile(path, "utf8")).toBe("second\n");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(["site.yaml"]);
  });

  it.each(["there.yaml", "not-yet.yaml"])("stays a link where it is one: to %s", async (name) => {
    await writeFile(join(directory, "there.yaml"), "old\n");
    const link = join(directory, "link.yaml");
    await symlink(name, link);
    await writeExportFile(link, "new\n", 0o644);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readFile(join(directory, name), "utf8")).toBe("new\n");
  });

  it("is written to, and not replaced, where it is no regular file: a pipe, /dev/null", async () => {
    const pipe = join(directory, "pipe");
    await runCommand({ program: "mkfifo", args: [pipe] });
    const [text] = await Promise.all([readFile(pipe, "utf8"), writeExportFile(pipe, "through\n", 0o644)]);
    expect(text).toBe("through\n");
    expect((await lstat(pipe)).isFIFO()).toBe(true);
  });
});

describe("a directory", () => {
  it("is made with those above it, and may be there", async () => {
    const path = join(directory, "a/b/c");
    await makeDirectory(path);
    await makeDirectory(path);
    expect((await stat(path)).isDirectory()).toBe(true);
  });

  it("cannot be made where there is a file, or where none can be: said at once, of what is in the way", async () => {
    await writeFile(join(directory, "file"), "");
    await expect(makeDirectory(join(directory, "file"))).rejects.toMatchObject({ code: "EEXIST" });
    await expect(makeDirectory(join(directory, "file/below"))).rejects.toMatchObject({ code: "ENOTDIR" });
    // mkdir(2) in /proc says ENOENT, and mkdir() with `recursive` of Node 20 to 24 tries again for ever
    await expect(makeDirectory("/proc/muster/nodes")).rejects.toMatchObject({
      code: "ENOENT",
      path: "/proc/muster",
    });
  });
});
