import { mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";

import fc from "fast-check";
import { expect, test } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";
import { readCpio } from "./read-cpio.ts";
import { type CpioEntry, withParents, writeCpio } from "./write-cpio.ts";

const EXAMPLE: readonly CpioEntry[] = withParents([
  { kind: "file", path: "bin/program", mode: 0o755, content: Buffer.from("#!/bin/sh\n") },
  { kind: "symlink", path: "bin/link", target: "program" },
  { kind: "file", path: "etc/empty", mode: 0o600, content: Buffer.alloc(0) },
  { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
]);

test.each([
  ["cpio", ["-t", "--quiet"]],
  ["busybox", ["cpio", "-t"]],
])("%s lists what was written, in sorted order", async (program, args) => {
  const { stdout } = await runCommand({ program, args, input: writeCpio(EXAMPLE) });
  expect(stdout.trim().split("\n")).toEqual([
    "bin",
    "bin/link",
    "bin/program",
    "dev",
    "dev/console",
    "etc",
    "etc/empty",
  ]);
});

test("cpio unpacks files with their content, mode and link targets", async () => {
  const directory = await mkdtemp(`${tmpdir()}/muster-cpio-`);
  try {
    const entries = EXAMPLE.filter((entry) => !entry.path.startsWith("dev"));
    await runCommand({
      program: "cpio",
      args: ["-id", "--quiet"],
      cwd: directory,
      input: writeCpio(entries),
    });
    expect(await readFile(`${directory}/bin/program`, "utf8")).toBe("#!/bin/sh\n");
    expect((await stat(`${directory}/bin/program`)).mode & 0o7777).toBe(0o755);
    expect((await stat(`${directory}/etc/empty`)).size).toBe(0);
    expect(await readlink(`${directory}/bin/link`)).toBe("program");
    expect(await readdir(directory)).toEqual(["bin", "etc"]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test("the order in which entries are given does not change a byte", () => {
  expect(writeCpio([...EXAMPLE].reverse()).equals(writeCpio(EXAMPLE))).toBe(true);
});

test("an archive ends on a multiple of 512 bytes", () => {
  expect(writeCpio(EXAMPLE).length % 512).toBe(0);
  expect(writeCpio([]).length).toBe(512);
});

test.each(["/etc/passwd", "a/../b", "", "a//b"])("the path %j is refused", (path) => {
  expect(() => writeCpio([{ kind: "directory", path, mode: 0o755 }])).toThrow("is not a path for an archive");
});

test("a path that occurs twice is refused", () => {
  const entry = { kind: "directory", path: "a", mode: 0o755 } as const;
  expect(() => writeCpio([entry, entry])).toThrow("a occurs twice");
});

const name = fc.stringMatching(/^[a-zA-Z0-9_.@ +-]{1,30}$/).filter((text) => text !== "." && text !== "..");
const files = fc.uniqueArray(
  fc.record({
    path: name,
    mode: fc.integer({ min: 0, max: 0o777 }),
    content: fc.uint8Array({ maxLength: 70 }),
  }),
  { selector: (file) => file.path, maxLength: 12 },
);

test("whatever is written is read back", () => {
  fc.assert(
    fc.property(files, (all) => {
      const archive = writeCpio(all.map((file) => ({ ...file, kind: "file" as const })));
      const { members, end } = readCpio(archive, 0);
      expect(end).toBe(archive.length);
      const wanted = [...all].sort((a, b) => (a.path < b.path ? -1 : 1));
      expect(members.map((m) => ({ path: m.path, mode: m.mode, content: [...m.content] }))).toEqual(
        wanted.map((file) => ({ path: file.path, mode: file.mode, content: [...file.content] })),
      );
    }),
  );
});

test("cpio reads every archive of random files", async () => {
  const directory = await mkdtemp(`${tmpdir()}/muster-cpio-`);
  try {
    await fc.assert(
      fc.asyncProperty(files, async (all) => {
        const archive = `${directory}/archive`;
        await writeFile(archive, writeCpio(all.map((file) => ({ ...file, kind: "file" as const }))));
        const { stdout } = await runCommand({ program: "cpio", args: ["-t", "--quiet", "-F", archive] });
        const listed = stdout.split("\n").filter((line) => line !== "");
        expect(listed).toEqual(all.map((file) => file.path).sort());
      }),
      { numRuns: 25 },
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test.each([
  ["text", Buffer.from("this is not an archive at all, whoever says so")],
  ["a cut off archive", writeCpio(EXAMPLE).subarray(0, 300)],
  ["nothing", Buffer.alloc(0)],
])("%s is refused as an archive", (_, bytes) => {
  expect(() => readCpio(bytes, 0)).toThrow("not a cpio archive");
});
