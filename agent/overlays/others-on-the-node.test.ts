import { chown, lchown, mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { openXattrTool } from "./extended-attributes.ts";
import { openNodeDisk } from "./node-disk.ts";
import { makeOverlayNode, type OverlayNode, overlayOf } from "./testing/overlay-node.ts";

const ALICE = 1000;

let node: OverlayNode;
beforeEach(async () => {
  node = await makeOverlayNode();
});
afterEach(() => node[Symbol.asyncDispose]());

const at = (path: string): string => join(node.root, path);

/** What a user does with what is the user's. */
async function linkAs(uid: number, target: string, path: string): Promise<void> {
  await symlink(target, at(path));
  await lchown(at(path), uid, uid);
}

test("a file seen through a link that took a directory's place is not removed with the overlay", async () => {
  await node.lay({ "/etc/passwd": "root:x:0:0", "/home/alice": { directory: true, uid: ALICE } });
  await node.apply(overlayOf({ "/home/alice/conf/passwd": "ours" }));
  await rename(at("/home/alice/conf"), at("/home/alice/away"));
  await linkAs(ALICE, "/etc", "/home/alice/conf");
  await node.apply(overlayOf({}));
  expect((await node.tree())["/etc/passwd"]).toBe("file 0644 0:0 root:x:0:0");
});

test("root does not write where a user's link leads, unless it is the user's too", async () => {
  await node.lay({
    "/etc/app": { directory: true },
    "/home/alice": { directory: true, uid: ALICE, gid: ALICE },
    "/home/alice/mine": { directory: true, uid: ALICE, gid: ALICE },
  });
  await linkAs(ALICE, "mine", "/home/alice/own");
  await linkAs(ALICE, "../../etc/app", "/home/alice/conf");
  await node.apply(overlayOf({ "/home/alice/own/a": "a" }));
  await expect(node.apply(overlayOf({ "/home/alice/conf/a": "a" }))).rejects.toThrow(
    "/home/alice/conf/a: /home/alice/conf is a link of user 1000 to /etc/app, which is user 0's: it is not followed",
  );
  expect([(await node.tree())["/home/alice/mine/a"], await readdir(at("/etc/app"))]).toEqual([
    "file 0644 0:0 a",
    [],
  ]);
});

for (const [what, obstruct, why] of [
  ["a loop of links", () => linkAs(ALICE, "conf", "/home/alice/conf"), "too many levels of symbolic links"],
  ["a file", () => writeFile(at("/home/alice/conf"), "mine"), "/home/alice/conf is no directory"],
  [
    "a link to what is root's",
    () => linkAs(ALICE, "/etc", "/home/alice/conf"),
    "/home/alice/conf is a link of user 1000 to /etc, which is user 0's: it is not followed",
  ],
] as const) {
  test(`${what} in the way of one file is reported, and the others are kept true`, async () => {
    await node.lay({ "/home/alice": { directory: true, uid: ALICE } });
    await node.apply(overlayOf({ "/home/alice/conf/a": "ours", "/etc/a": "a" }));
    await rm(at("/home/alice/conf"), { recursive: true });
    await obstruct();
    await writeFile(at("/etc/a"), "edited");
    const { drift, failure } = await node.look();
    expect([failure, drift]).toEqual([
      undefined,
      [
        { path: "/home/alice/conf/a", what: expect.stringContaining(why) as string, isRepaired: false },
        { path: "/etc/a", what: "content", isRepaired: true },
      ],
    ]);
    await rm(at("/home/alice/conf"));
    await node.look();
    expect((await node.tree())["/home/alice/conf/a"]).toBe("file 0644 0:0 ours");
  });
}

test("nothing that changes a file goes through a link that was put there in the meantime", async () => {
  const paths = { agentPrograms: "/nonexistent", programs: node.parts.host.paths.programs };
  const disk = openNodeDisk(openXattrTool(paths, runCommandUnchecked), "/proc/self/mountinfo");
  await node.lay({ "/etc/passwd": "root", "/etc/dir": { directory: true }, "/tmp/new": "new" });
  await linkAs(ALICE, at("/etc"), "/tmp/way");
  const before = await node.tree();
  for (const write of [
    () => disk.writeFile(at("/tmp/way/x"), Buffer.from("x")),
    () => disk.makeDirectory(at("/tmp/way/x"), 0o755),
    () => disk.symlink("x", at("/tmp/way/x")),
    () => disk.link(at("/tmp/new"), at("/tmp/way/x")),
    () => disk.copyFile(at("/tmp/new"), at("/tmp/way/x")),
    () => disk.copyFile(at("/tmp/way/passwd"), at("/tmp/copy")),
    () => disk.rename(at("/tmp/new"), at("/tmp/way/passwd")),
    () => disk.unlink(at("/tmp/way/passwd")),
    () => disk.rmdir(at("/tmp/way/dir")),
    () => disk.lchown(at("/tmp/way/passwd"), 5, 5),
    () => disk.chmod(at("/tmp/way/passwd"), 0o777),
    () => disk.chmod(at("/tmp/way"), 0o777),
  ]) {
    await expect(write()).rejects.toThrow(at("/tmp"));
  }
  expect(await node.tree()).toEqual(before);
});

test("what somebody's names take in a directory of theirs keeps no file of the overlay out", async () => {
  await node.lay({ "/srv/data": { directory: true, uid: ALICE } });
  const mountInfo = at("/mounts");
  await writeFile(mountInfo, `1 0 0:1 / / rw - tmpfs t rw\n2 1 0:2 / ${at("/srv/data")} rw - tmpfs t rw\n`);
  const seen: string[] = [];
  const { host, ...rest } = node.withDisk((disk) => ({
    ...disk,
    rename: (from, to) => {
      if (to === at("/srv/data/a")) seen.push(from);
      return disk.rename(from, to);
    },
  }));
  const parts = { ...rest, host: { ...host, paths: { ...host.paths, mountInfo } } };
  await node.apply(overlayOf({ "/srv/data/a": "one" }), parts);
  await node.apply(overlayOf({ "/srv/data/a": "two" }), parts);
  expect(new Set(seen).size).toBe(2);
});

test("the agent's own state is not a place for an overlay, nor are directories above it to be removed", async () => {
  await node.lay({ "/var/lib/other": "o" });
  for (const bad of [
    { "/var": { gone: true } },
    { "/var/lib": { directory: true, clears: true } },
    { "/var/lib/muster/overlay/applied.json": "[]" },
  ] as const) {
    await expect(node.apply(overlayOf(bad))).rejects.toThrow(
      "the agent itself needs /var/lib/muster/overlay",
    );
  }
  await node.apply(overlayOf({ "/var/lib/muster/mode": "m" }));
  expect(await readdir(at("/var/lib"))).toEqual(["muster", "other"]);
});

test("what was covered in a directory that somebody removed has nothing to come back to", async () => {
  await node.lay({ "/opt/app/conf": "image" });
  await node.apply(overlayOf({ "/opt/app/conf": "ours" }));
  await rm(at("/opt/app"), { recursive: true });
  const { failure } = await node.apply(overlayOf({}));
  expect([failure, await node.tree()]).toEqual([undefined, { "/opt": "directory 0755 0:0" }]);
});

test("attributes a directory cannot have are told, and the next version is applied all the same", async () => {
  await node.lay({ "/etc/dir": { directory: true } });
  const bad = { "/etc/x": "x", "/etc/dir": { directory: true, xattrs: { "system.nothing": "b" } } } as const;
  const { failure } = await node.apply(overlayOf(bad));
  expect(failure?.message).toContain("extended attributes cannot be set: setfattr: ");
  expect((await node.apply(overlayOf({ "/etc/x": "y" }))).failure).toBeUndefined();
  expect((await node.tree())["/etc/x"]).toBe("file 0644 0:0 y");
});

test("a user's directory keeps being one for the files of the overlay", async () => {
  await mkdir(at("/home/alice"), { recursive: true });
  await chown(at("/home/alice"), ALICE, ALICE);
  await node.apply(overlayOf({ "/home/alice/.ssh/authorized_keys": { file: "k", uid: ALICE, mode: 0o600 } }));
  expect((await node.tree())["/home/alice/.ssh/authorized_keys"]).toBe("file 0600 1000:0 k");
});
