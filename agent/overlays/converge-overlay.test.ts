import {
  chmod,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

import { verifyOverlay } from "./converge-overlay.ts";
import { makeOverlayNode, type OverlayNode, overlayOf } from "./testing/overlay-node.ts";

let node: OverlayNode;
beforeEach(async () => {
  node = await makeOverlayNode();
});
afterEach(() => node[Symbol.asyncDispose]());

const at = (path: string): string => join(node.root, path);

test("files, links, directories and deletions come, change and go, and the image is as it was", async () => {
  await node.lay({
    "/etc/motd": { file: "of the image", mode: 0o640, uid: 3, gid: 4 },
    "/etc/localtime": { linkTo: "/usr/share/zoneinfo/UTC" },
    "/etc/old.conf": "to be deleted",
    "/etc/conf.d": { directory: true, mode: 0o750, gid: 7 },
    "/etc/conf.d/image.conf": "stays",
  });
  const image = await node.tree();
  await node.apply(
    overlayOf({
      "/etc/motd": "of the overlay",
      "/etc/localtime": "now a file",
      "/etc/old.conf": { gone: true },
      "/etc/conf.d": { directory: true, mode: 0o700 },
      "/etc/conf.d/ours.conf": { file: "x", mode: 0o4755, uid: 9, gid: 8 },
      "/opt/site/bin/tool": { linkTo: "../tool" },
    }),
  );
  expect(await node.tree()).toEqual({
    "/etc": "directory 0755 0:0",
    "/etc/conf.d": "directory 0700 0:0",
    "/etc/conf.d/image.conf": "file 0644 0:0 stays",
    "/etc/conf.d/ours.conf": "file 4755 9:8 x",
    "/etc/localtime": "file 0644 0:0 now a file",
    "/etc/motd": "file 0644 0:0 of the overlay",
    "/opt": "directory 0755 0:0",
    "/opt/site": "directory 0755 0:0",
    "/opt/site/bin": "directory 0755 0:0",
    "/opt/site/bin/tool": "link 0:0 ../tool",
  });
  const outcome = await node.apply(overlayOf({ "/opt/site/bin/tool": { linkTo: "../tool" } }));
  expect(outcome.changed.toSorted()).toEqual([
    "/etc/conf.d",
    "/etc/conf.d/ours.conf",
    "/etc/localtime",
    "/etc/motd",
    "/etc/old.conf",
  ]);
  await node.apply(overlayOf({}));
  expect(await node.tree()).toEqual(image);
  expect(await readdir(join(node.parts.files.covered))).toEqual([]);
  expect(await readdir(join(node.parts.files.staging))).toEqual([]);
  expect(await readdir(join(node.parts.files.contents))).toEqual([]);
});

test("what was covered comes back as the same file, second names and attributes included", async () => {
  await node.lay({ "/etc/shadow": { file: "secret", mode: 0o600, uid: 1 } });
  await link(at("/etc/shadow"), at("/etc/shadow-"));
  await runCommand({ program: "setfattr", args: ["-n", "user.note", "-v", "kept", at("/etc/shadow")] });
  const before = await lstat(at("/etc/shadow"));
  await node.apply(overlayOf({ "/etc/shadow": "other" }));
  expect(await readFile(at("/etc/shadow-"), "utf8")).toBe("secret");
  await node.apply(overlayOf({}));
  const after = await lstat(at("/etc/shadow"));
  expect([after.ino, after.mtimeMs, after.nlink]).toEqual([before.ino, before.mtimeMs, 2]);
  const { stdout } = await runCommand({
    program: "getfattr",
    args: ["--only-values", "-n", "user.note", at("/etc/shadow")],
  });
  expect(stdout).toBe("kept");
});

test("mode and owner alone change without new content", async () => {
  const content = "x".repeat(200_000);
  await node.apply(overlayOf({ "/etc/big": content }));
  const outcome = await node.apply({
    ...overlayOf({ "/etc/big": { file: content, mode: 0o600, uid: 5, gid: 6 } }),
    contents: new Map(),
  });
  expect(outcome.changed).toEqual(["/etc/big"]);
  expect((await node.tree())["/etc/big"]).toMatch(/^file 0600 5:6 sha256:/);
});

test("a link becomes a file and a link again", async () => {
  for (const round of [1, 2]) {
    await node.apply(overlayOf({ "/etc/resolv.conf": { linkTo: `/run/resolv${round}` } }));
    expect((await node.tree())["/etc/resolv.conf"]).toBe(`link 0:0 /run/resolv${round}`);
    await node.apply(overlayOf({ "/etc/resolv.conf": `nameserver ${round}` }));
    expect((await node.tree())["/etc/resolv.conf"]).toBe(`file 0644 0:0 nameserver ${round}`);
  }
});

test("a directory of the overlay becomes a file and a directory again", async () => {
  await node.apply(overlayOf({ "/etc/x": { directory: true }, "/etc/x/a": "1", "/etc/x/b/c": "2" }));
  await node.apply(overlayOf({ "/etc/x": "a file" }));
  expect(await node.tree()).toEqual({ "/etc": "directory 0755 0:0", "/etc/x": "file 0644 0:0 a file" });
  await node.apply(overlayOf({ "/etc/x/a": "1" }));
  expect(await node.tree()).toEqual({
    "/etc": "directory 0755 0:0",
    "/etc/x": "directory 0755 0:0",
    "/etc/x/a": "file 0644 0:0 1",
  });
  await node.apply(overlayOf({}));
  expect(await node.tree()).toEqual({});
});

test("/lib stays a link to usr/lib, and a link of the overlay that goes leaves nothing behind it", async () => {
  await node.lay({ "/usr/lib": { directory: true }, "/lib": { linkTo: "usr/lib" } });
  const image = await node.tree();
  await node.apply(
    overlayOf({ "/lib": { directory: true }, "/lib/udev/rule": "r", "/srv": { linkTo: "usr/lib" } }),
  );
  expect(await node.tree()).toEqual({
    ...image,
    "/usr/lib/udev": "directory 0755 0:0",
    "/usr/lib/udev/rule": "file 0644 0:0 r",
    "/srv": "link 0:0 usr/lib",
  });
  await node.apply(overlayOf({ "/srv/data": "in a directory now" }));
  expect(await node.tree()).toEqual({
    ...image,
    "/srv": "directory 0755 0:0",
    "/srv/data": "file 0644 0:0 in a directory now",
  });
});

test("a directory that is emptied and replaced comes back with everything in it", async () => {
  await node.lay({
    "/etc/yum.repos.d": { directory: true, mode: 0o750 },
    "/etc/yum.repos.d/a.repo": { file: "a", uid: 3 },
    "/etc/yum.repos.d/sub/b.repo": "b",
    "/etc/yum.repos.d/latest": { linkTo: "a.repo" },
  });
  const image = await node.tree();
  await node.apply(
    overlayOf({ "/etc/yum.repos.d": { directory: true, clears: true }, "/etc/yum.repos.d/site.repo": "s" }),
  );
  expect(await node.tree()).toEqual({
    "/etc": "directory 0755 0:0",
    "/etc/yum.repos.d": "directory 0755 0:0",
    "/etc/yum.repos.d/site.repo": "file 0644 0:0 s",
  });
  await node.apply(overlayOf({ "/etc/yum.repos.d/site.repo": "s2" }));
  expect(await node.tree()).toEqual({ ...image, "/etc/yum.repos.d/site.repo": "file 0644 0:0 s2" });
  await node.apply(overlayOf({ "/etc/yum.repos.d": { file: "a file in its place", clears: true } }));
  expect((await node.tree())["/etc/yum.repos.d"]).toBe("file 0644 0:0 a file in its place");
  await node.apply(overlayOf({}));
  expect(await node.tree()).toEqual(image);
});

test("an unchanged look writes nothing", async () => {
  await node.lay({ "/etc/motd": "image" });
  const overlay = overlayOf({ "/etc/motd": "m", "/opt/a/b": { linkTo: "c" }, "/etc/gone": { gone: true } });
  await node.apply(overlay);
  await node.look();
  const parts = node.withDisk((disk) => countChanges(disk, () => expect.fail("a look changed something")));
  expect((await node.look(parts)).changed).toEqual([]);
  expect((await node.apply(overlay, parts)).drift).toEqual([]);
});

test("local changes are found, reported and put right without a controller", async () => {
  await node.apply(
    overlayOf({
      "/etc/a": "aaa",
      "/etc/b": "bbb",
      "/etc/c": { file: "ccc", mode: 0o600 },
      "/etc/d": { linkTo: "a" },
      "/etc/e": { directory: true },
      "/etc/f": "fff",
      "/etc/g": { gone: true },
      "/etc/h": { file: "hhh", uid: 3 },
    }),
  );
  const right = await node.tree();
  await writeFile(at("/etc/a"), "AAA");
  await rm(at("/etc/b"));
  await chmod(at("/etc/c"), 0o644);
  await rm(at("/etc/d"));
  await symlink("b", at("/etc/d"));
  await chmod(at("/etc/e"), 0o777);
  await rm(at("/etc/f"));
  await mkdir(at("/etc/f"));
  await writeFile(at("/etc/g"), "back again");
  await writeFile(at("/etc/new"), "hhh");
  await rename(at("/etc/new"), at("/etc/h"));
  const { drift } = await verifyOverlay(node.parts);
  expect(drift.map(({ path, what }) => `${path}: ${what}`)).toEqual([
    "/etc/a: content",
    "/etc/b: missing",
    "/etc/c: mode 0644, should be 0600",
    "/etc/d: link to b, should be a",
    "/etc/e: mode 0777, should be 0755",
    "/etc/f: a directory, should be a file",
    "/etc/g: exists, should not",
    "/etc/h: owner 0:0, should be 3:0",
  ]);
  const outcome = await node.look();
  expect(outcome.drift).toEqual(drift);
  expect(drift.every(({ isRepaired }) => isRepaired)).toBe(true);
  expect(await node.tree()).toEqual(right);
  expect((await node.look()).drift).toEqual([]);
});

test("a directory somebody made in place of a file is left with what it holds, and the rest is put right", async () => {
  await node.apply(overlayOf({ "/etc/a": "a", "/etc/b": "b" }));
  await rm(at("/etc/a"));
  await mkdir(at("/etc/a"));
  await writeFile(at("/etc/a/theirs"), "t");
  await writeFile(at("/etc/b"), "B");
  const found = [
    { path: "/etc/a", what: "a directory, should be a file", isRepaired: false },
    { path: "/etc/b", what: "content", isRepaired: true },
  ];
  expect((await node.look()).drift).toEqual(found);
  await expect(node.apply(overlayOf({ "/etc/a": "new", "/etc/b": "b" }))).rejects.toThrow(
    "/etc/a: a directory is there, and holds /etc/a/theirs",
  );
  expect(await readFile(at("/etc/a/theirs"), "utf8")).toBe("t");
});

test("a local change that hides behind the old time and size is found by verify", async () => {
  await node.apply(overlayOf({ "/etc/a": "aaa" }));
  const applied = await node.parts.files.readFingerprints();
  await writeFile(at("/etc/a"), "bbb");
  const { fingerprint } = await node.parts.host.disk.lstat(at("/etc/a"));
  const place = at("/etc/a");
  await node.parts.files.writeFingerprints({ [place]: { key: applied[place]?.key ?? "", fingerprint } });
  expect((await node.look()).drift).toEqual([]);
  expect((await verifyOverlay(node.parts)).drift).toEqual([
    { path: "/etc/a", what: "content", isRepaired: true },
  ]);
});

test("with the policy to report, local changes stay until the controller's version changes", async () => {
  await node.apply(overlayOf({ "/etc/a": "a", "/etc/b": "b" }, { reportOnly: true }));
  await writeFile(at("/etc/a"), "edited");
  const found = [{ path: "/etc/a", what: "content", isRepaired: false }];
  expect((await node.look()).drift).toEqual(found);
  expect((await node.look()).drift).toEqual(found);
  expect(await readFile(at("/etc/a"), "utf8")).toBe("edited");
  await node.apply(overlayOf({ "/etc/a": "a", "/etc/b": "b2" }, { reportOnly: true }));
  expect(await readFile(at("/etc/a"), "utf8")).toBe("a");
});

test("without a controller a large file that was edited waits, and the small ones do not", async () => {
  const large = "l".repeat(100_000);
  const overlay = overlayOf({ "/etc/large": large, "/etc/small": "s" });
  await node.apply(overlay);
  await writeFile(at("/etc/large"), "edited");
  await writeFile(at("/etc/small"), "edited");
  expect((await node.look()).drift).toEqual([
    { path: "/etc/large", what: "content", isRepaired: false },
    { path: "/etc/small", what: "content", isRepaired: true },
  ]);
  expect((await node.apply(overlay)).drift).toEqual([
    { path: "/etc/large", what: "content", isRepaired: true },
  ]);
  expect(await readFile(at("/etc/large"), "utf8")).toBe(large);
});

test("what does not fit the node is refused as a whole, and nothing changes", async () => {
  await node.lay({ "/etc/dir/file": "f", "/etc/plain": "p", "/etc/motd": "m" });
  const image = await node.tree();
  const bad = overlayOf({
    "/etc/motd": "new",
    "/etc/dir": "a file",
    "/etc/plain/below": "x",
    "/etc/plain": { directory: true },
  });
  await expect(node.apply(bad)).rejects.toMatchObject({
    code: "overlay-apply-failed",
    message:
      "the runtime overlay does not fit this node: " +
      "/etc/dir: a directory is there; delete it in the overlay first if it has to go; " +
      "/etc/plain: something is there that is no directory; delete it in the overlay first if it has to go; " +
      "nothing was changed",
  });
  expect(await node.tree()).toEqual(image);
  await node.look();
  expect(await readdir(node.parts.files.covered)).toEqual([]);
});

test("a directory with files of others stays when the overlay leaves it", async () => {
  await node.apply(overlayOf({ "/opt/site/conf": "c" }));
  await writeFile(at("/opt/site/log"), "theirs");
  await node.apply(overlayOf({}));
  expect(await node.tree()).toEqual({
    "/opt": "directory 0755 0:0",
    "/opt/site": "directory 0755 0:0",
    "/opt/site/log": expect.stringMatching(/^file .* theirs$/) as string,
  });
});

test("extended attributes are set, kept and watched", async () => {
  const overlay = overlayOf({ "/etc/a=b\\c": { file: "x", xattrs: { "user.one": "1\n2" } } });
  await node.apply(overlay);
  const path = at("/etc/a=b\\c");
  const value = async (): Promise<string> =>
    (await runCommand({ program: "getfattr", args: ["--only-values", "-n", "user.one", path] })).stdout;
  expect(await value()).toBe("1\n2");
  await runCommand({ program: "setfattr", args: ["-n", "user.one", "-v", "changed", path] });
  expect((await node.look()).drift).toEqual([
    { path: "/etc/a=b\\c", what: "attribute user.one", isRepaired: true },
  ]);
  expect(await value()).toBe("1\n2");
});

test("a replaced file keeps its SELinux label", async () => {
  await node.lay({ "/etc/motd": "m", "/sys/fs/selinux/enforce": "1" });
  const label = async (): Promise<string> => {
    const { stdout } = await runCommand({
      program: "getfattr",
      args: ["--only-values", "-n", "security.selinux", at("/etc/motd")],
    });
    return stdout;
  };
  const context = "system_u:object_r:etc_t:s0";
  await runCommand({ program: "setfattr", args: ["-n", "security.selinux", "-v", context, at("/etc/motd")] });
  await node.apply(overlayOf({ "/etc/motd": "new" }));
  expect(await label()).toBe(context);
  await node.apply(overlayOf({ "/etc/motd": "newer" }));
  expect(await label()).toBe(context);
});

test("an immutable file is seen before anything changes", async () => {
  await node.apply(overlayOf({ "/etc/a": "1", "/etc/b": "1" }));
  const before = await node.tree();
  await runCommand({ program: "chattr", args: ["+i", at("/etc/b")] });
  try {
    await expect(node.apply(overlayOf({ "/etc/a": "2", "/etc/b": "2" }))).rejects.toMatchObject({
      code: "overlay-apply-failed",
      message: `${at("/etc/b")} must not be changed: it is immutable or append-only`,
    });
    expect(await node.tree()).toEqual(before);
  } finally {
    await runCommand({ program: "chattr", args: ["-i", at("/etc/b")] });
  }
});

test("what fails in the commit is told, the rest is done, and the next look completes it", async () => {
  await node.lay({ "/etc/a": "image a", "/etc/b": "image b" });
  await node.apply(overlayOf({ "/etc/a": "1" }));
  const parts = node.withDisk((disk) => ({
    ...disk,
    rename: (from, to) =>
      to === at("/etc/a")
        ? Promise.reject(Object.assign(new Error("EBUSY: resource busy"), { code: "EBUSY" }))
        : disk.rename(from, to),
  }));
  const reactions = ["a", "b"].map((name) => ({
    globs: [`/etc/${name}`],
    command: `: ${name}`,
    deadlineSeconds: 5,
  }));
  const outcome = await node.apply(overlayOf({ "/etc/b": "2" }, { reactions }), parts);
  expect(outcome).toMatchObject({ digest: "", failure: { code: "overlay-apply-failed" } });
  expect([outcome.changed, outcome.reactions.map(({ command }) => command)]).toEqual([["/etc/b"], [": b"]]);
  expect(await readFile(at("/etc/a"), "utf8")).toBe("1");
  expect(await readFile(at("/etc/b"), "utf8")).toBe("2");
  const next = overlayOf({ "/etc/b": "2" });
  expect((await node.apply(next)).digest).toBe(next.digest);
  expect(await readFile(at("/etc/a"), "utf8")).toBe("image a");
});

/** Calls `onChange` for each effect that changes something. */
function countChanges<D extends object>(disk: D, onChange: (name: string) => void): D {
  const looks = ["lstat", "readlink", "readdir", "readFile", "digestOf", "availableBytes", "readXattrs"];
  return new Proxy(disk, {
    get: (target, name: string) => {
      if (!looks.includes(name)) onChange(name);
      return Reflect.get(target, name) as unknown;
    },
  });
}
