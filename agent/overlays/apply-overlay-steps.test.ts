import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import type { OverlayEntry } from "#proto/gen/muster/v1/provisioning.ts";
import { runCommand, runCommandUnchecked } from "#proto/host/run-command.ts";

import { applyOverlaySteps } from "./apply-overlay-steps.ts";
import { planOverlay } from "./plan-overlay.ts";
import { resolveInRoot } from "./resolve-in-root.ts";

const never = new AbortController().signal;
let outside: string;
let root: string;

beforeEach(async () => {
  outside = await mkdtemp(join(tmpdir(), "muster-overlay-"));
  root = join(outside, "root");
  await mkdir(join(root, "usr/lib"), { recursive: true });
  await symlink("usr/lib", join(root, "lib"));
});
afterEach(() => rm(outside, { recursive: true, force: true }));

function entry(path: string, kind: OverlayEntry["kind"], more: Partial<OverlayEntry> = {}): OverlayEntry {
  return { path, mode: 0o644, uid: 0, gid: 0, xattrs: {}, kind, ...more };
}

const file = (text: string): OverlayEntry["kind"] => ({ $case: "inlineFile", value: Buffer.from(text) });

const warnings: string[] = [];

async function apply(...entries: readonly OverlayEntry[]): Promise<void> {
  await applyWith("setfattr", entries);
}

async function applyWith(setfattr: string, entries: readonly OverlayEntry[]): Promise<void> {
  warnings.length = 0;
  await applyOverlaySteps(
    {
      root,
      blobPath: (blob) => join(outside, blob.digest),
      setfattr,
      warn: (line) => warnings.push(line),
      run: runCommandUnchecked,
    },
    planOverlay(entries),
    never,
  );
}

const facts = async (path: string): Promise<object> => {
  const { mode, uid, gid } = await lstat(join(root, path));
  return { mode: (mode & 0o7777).toString(8), uid, gid };
};

test("files get content, mode and owner, from the message and from the store", async () => {
  await writeFile(join(outside, "sha256:1"), "from the store");
  const blob = { digest: "sha256:1", sizeBytes: 14, ticket: Buffer.alloc(0) };
  await apply(
    entry("/etc/ssh/key", file("secret"), { mode: 0o600, uid: 7, gid: 8 }),
    entry("/usr/bin/tool", { $case: "blobFile", value: blob }, { mode: 0o4755, uid: 9 }),
  );
  expect(await readFile(join(root, "etc/ssh/key"), "utf8")).toBe("secret");
  expect(await readFile(join(root, "usr/bin/tool"), "utf8")).toBe("from the store");
  expect(await facts("etc/ssh/key")).toEqual({ mode: "600", uid: 7, gid: 8 });
  expect(await facts("usr/bin/tool")).toEqual({ mode: "4755", uid: 9, gid: 0 });
  expect(await facts("etc/ssh")).toEqual({ mode: "755", uid: 0, gid: 0 });
  expect(await readdir(join(root, "etc/ssh"))).toEqual(["key"]);
});

test("/lib stays a link to usr/lib when an overlay has /lib as a directory", async () => {
  await apply(
    entry("/lib", { $case: "directory", value: true }, { mode: 0o755 }),
    entry("/lib/modules-load.d", { $case: "directory", value: true }, { mode: 0o750 }),
    entry("/lib/modules-load.d/ib.conf", file("ib_umad\n")),
  );
  expect(await readlink(join(root, "lib"))).toBe("usr/lib");
  expect(await readFile(join(root, "usr/lib/modules-load.d/ib.conf"), "utf8")).toBe("ib_umad\n");
  expect(await facts("usr/lib/modules-load.d")).toEqual({ mode: "750", uid: 0, gid: 0 });
});

test("links in the image lead nowhere but into the image", async () => {
  await symlink("/../../..", join(root, "up"));
  await symlink(outside, join(root, "away"));
  await apply(entry("/up/one", file("1")), entry("/away/two", file("2")));
  expect(await readFile(join(root, "one"), "utf8")).toBe("1");
  expect(await readFile(join(root, outside, "two"), "utf8")).toBe("2");
  expect((await readdir(outside)).toSorted()).toEqual(["root"]);
  expect(await resolveInRoot(root, "/away/../x")).toBe(join(root, outside, "..", "x"));
});

test("a loop of links is an error, not a hang", async () => {
  await symlink("b", join(root, "a"));
  await symlink("a", join(root, "b"));
  await expect(apply(entry("/a/file", file("x")))).rejects.toMatchObject({
    code: "overlay-apply-failed",
    message: "system overlay: file /a/file: /a: too many levels of symbolic links",
  });
});

test("a file replaces a link, not what the link points to; a link replaces a file", async () => {
  await mkdir(join(root, "etc"));
  await writeFile(join(root, "etc/target"), "kept");
  await symlink("target", join(root, "etc/resolv.conf"));
  await writeFile(join(root, "etc/localtime"), "old");
  await apply(
    entry("/etc/resolv.conf", file("nameserver 10.0.0.1\n")),
    entry("/etc/localtime", { $case: "symlinkTarget", value: "/usr/share/zoneinfo/UTC" }, { uid: 5 }),
  );
  expect(await readFile(join(root, "etc/target"), "utf8")).toBe("kept");
  expect(await readFile(join(root, "etc/resolv.conf"), "utf8")).toBe("nameserver 10.0.0.1\n");
  expect(await readlink(join(root, "etc/localtime"))).toBe("/usr/share/zoneinfo/UTC");
  expect(await facts("etc/localtime")).toMatchObject({ uid: 5 });
});

test("a directory of the image is never replaced by a file or a link", async () => {
  await mkdir(join(root, "etc/conf.d"), { recursive: true });
  for (const kind of [file("x"), { $case: "symlinkTarget", value: "y" } as const]) {
    await expect(apply(entry("/etc/conf.d", kind))).rejects.toMatchObject({ code: "overlay-apply-failed" });
  }
  expect(await readdir(join(root, "etc"))).toEqual(["conf.d"]);
});

test("deletions remove trees and links, and what is not there is deleted already", async () => {
  await mkdir(join(root, "opt/old/deep"), { recursive: true });
  await writeFile(join(root, "usr/lib/kept"), "");
  const deletion = { $case: "deletion", value: true } as const;
  await apply(entry("/opt/old", deletion), entry("/lib", deletion), entry("/no/such", deletion));
  expect((await readdir(root)).toSorted()).toEqual(["opt", "usr"]);
  expect(await readdir(join(root, "opt"))).toEqual([]);
  expect(await readdir(join(root, "usr/lib"))).toEqual(["kept"]);
});

test("extended attributes are set byte for byte", async () => {
  const value = Buffer.from([0, 1, 0xfe, 0xff, 10]);
  await apply(entry("/usr/note", file("x"), { xattrs: { "trusted.muster": value } }));
  const { stdout } = await runCommand({
    program: "getfattr",
    args: ["--absolute-names", "-e", "hex", "-n", "trusted.muster", join(root, "usr/note")],
  });
  expect(stdout).toContain("trusted.muster=0x0001feff0a");
});

test("only user attributes may be missing where the file system has none", async () => {
  const refusing = join(outside, "setfattr");
  await writeFile(refusing, "#!/bin/sh\necho 'setfattr: x: Operation not supported' >&2\nexit 1\n", {
    mode: 0o755,
  });
  await applyWith(refusing, [entry("/usr/note", file("x"), { xattrs: { "user.note": Buffer.alloc(1) } })]);
  expect(await readFile(join(root, "usr/note"), "utf8")).toBe("x");
  expect(warnings).toEqual([
    "system overlay: attribute user.note left out: the root's tmpfs has no user attributes (Linux before 6.6)",
  ]);
  const capability = entry("/usr/tool", file("x"), { xattrs: { "security.capability": Buffer.alloc(20) } });
  await expect(applyWith(refusing, [capability])).rejects.toMatchObject({ code: "overlay-apply-failed" });
  expect((await readdir(join(root, "usr"))).toSorted()).toEqual(["lib", "note"]);
});

test("applying twice gives the same tree", async () => {
  const entries = [
    entry("/etc/hostname", file("c001\n")),
    entry("/etc/link", { $case: "symlinkTarget", value: "hostname" }),
    entry("/etc", { $case: "directory", value: true }, { mode: 0o755 }),
  ];
  await apply(...entries);
  await apply(...entries);
  expect((await readdir(join(root, "etc"))).toSorted()).toEqual(["hostname", "link"]);
});

test("every bad entry is named, and none is applied", async () => {
  await expect(
    apply(
      entry("/etc/good", file("x")),
      entry("etc/relative", file("x")),
      entry("/etc/../shadow", file("x")),
      entry("/", file("x")),
      entry("/etc/none", undefined),
      entry("/etc/odd", file("x"), { xattrs: { "-x": Buffer.alloc(1) } }),
      entry("/etc/empty", { $case: "symlinkTarget", value: "" }),
    ),
  ).rejects.toMatchObject({
    code: "overlay-invalid",
    message: `the system overlay has entries that cannot be applied: ${[
      '"etc/relative" is not an absolute path',
      `"/etc/../shadow" has an empty, '.' or '..' component`,
      '"/" is the root directory',
      '"/etc/none" says neither file, link, directory nor deletion',
      '"/etc/odd" has the extended attribute "-x"',
      '"/etc/empty" is a link to nowhere',
    ].join("; ")}`,
  });
  expect((await readdir(root)).toSorted()).toEqual(["lib", "usr"]);
});
