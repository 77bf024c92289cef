import { copyFile, lstat, mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, expect, test } from "vitest";

import { runCommand, startDaemon } from "#proto/host/run-command.ts";

import { makeOverlayNode, type OverlayNode, overlayOf, type Wanted } from "./testing/overlay-node.ts";

let node: OverlayNode;
let mounted: string[];
beforeEach(async () => {
  node = await makeOverlayNode();
  mounted = [];
});
afterEach(async () => {
  for (const point of mounted.toReversed()) await runCommand({ program: "umount", args: ["--lazy", point] });
  await node[Symbol.asyncDispose]();
});

const at = (path: string): string => join(node.root, path);

async function mount(path: string, ...args: readonly string[]): Promise<void> {
  await mkdir(at(path), { recursive: true });
  await runCommand({ program: "mount", args: [...args, at(path)] });
  if (!args.includes("-o") || !args.some((each) => each.startsWith("remount"))) mounted.push(at(path));
}

test("1,000 files are applied, looked at and changed", async () => {
  const wanted = (version: string): Wanted =>
    Object.fromEntries(
      Array.from({ length: 1000 }, (_, at) => [`/etc/many/d${at % 10}/f${at}`, `${version} ${at}`]),
    );
  const first = await node.apply(overlayOf(wanted("one")));
  expect(first.changed).toHaveLength(1000);
  const cpu = process.cpuUsage();
  expect((await node.look()).drift).toEqual([]);
  const { user, system } = process.cpuUsage(cpu);
  // 30 ms on the machine this was written on.
  expect((user + system) / 1000).toBeLessThan(1000);
  await writeFile(at("/etc/many/d7/f7"), "edited");
  expect((await node.look()).drift.map(({ path }) => path)).toEqual(["/etc/many/d7/f7"]);
  await node.apply(overlayOf({ ...wanted("two"), "/etc/many/d1/f1": { gone: true } }));
  expect((await node.tree())["/etc/many/d9/f999"]).toBe("file 0644 0:0 two 999");
  await node.apply(overlayOf({}));
  expect(await node.tree()).toEqual({});
}, 60_000);

test("a file of 200 MB is placed, found when changed, and given up without a copy", async () => {
  const large = Buffer.alloc(200_000_000, "0123456789");
  const overlay = overlayOf({ "/opt/large": { file: large, mode: 0o755 } });
  await node.apply(overlay);
  expect((await lstat(at("/opt/large"))).size).toBe(large.length);
  expect(await readdir(node.parts.files.contents)).toEqual([]);
  const file = await open(at("/opt/large"), "r+");
  await file.write("X", 150_000_000);
  await file.close();
  expect((await node.look()).drift).toEqual([{ path: "/opt/large", what: "content", isRepaired: false }]);
  expect((await node.apply(overlay)).drift).toEqual([
    { path: "/opt/large", what: "content", isRepaired: true },
  ]);
  await node.apply(overlayOf({}));
  expect(await node.tree()).toEqual({});
}, 120_000);

test("a disk that is too full is told before anything changes", async () => {
  await mount("/", "-t", "tmpfs", "-o", "size=8m", "tmpfs");
  await mkdir(at("/var/lib"), { recursive: true });
  const good = overlayOf({ "/etc/a": "a" });
  await node.apply(good);
  const before = await node.tree();
  const big = overlayOf({ "/etc/a": "a2", "/etc/big": { file: Buffer.alloc(20_000_000) } });
  await expect(node.apply(big)).rejects.toMatchObject({ code: "disk-full" });
  expect(await node.tree()).toEqual(before);
  // Now what is free is enough by the numbers, and is taken by somebody else while the update is made ready.
  const parts = node.withDisk((disk) => ({
    ...disk,
    availableBytes: async () => 1e9,
  }));
  await expect(node.apply(big, parts)).rejects.toMatchObject({ code: "disk-full" });
  const halves = (await readdir(node.parts.files.contents)).filter((name) => name.endsWith(".new"));
  expect(halves).toEqual([]);
  expect(await node.tree()).toEqual(before);
  expect((await node.look()).drift).toEqual([]);
  expect((await node.apply(good)).digest).toBe(good.digest);
  expect(await readdir(node.parts.files.staging)).toEqual([]);
});

test("a disk that is full to the last byte still gives back what the overlay covered", async () => {
  await mount("/", "-t", "tmpfs", "-o", "size=4m", "tmpfs");
  await node.lay({ "/var/lib/x": "", "/etc/a": "of the image" });
  await node.apply(overlayOf({ "/etc/a": "a", "/etc/b": "b".repeat(50_000) }));
  await runCommand({
    program: "sh",
    args: ["-c", 'cat /dev/zero >"$0" 2>/dev/null || true', at("/var/fill")],
  });
  await expect(node.apply(overlayOf({ "/etc/a": "a".repeat(50_000) }))).rejects.toMatchObject({
    code: "disk-full",
  });
  expect(await readFile(at("/etc/a"), "utf8")).toBe("a");
  await runCommand({ program: "truncate", args: ["-s", "-65536", at("/var/fill")] });
  await node.apply(overlayOf({}));
  expect(await readFile(at("/etc/a"), "utf8")).toBe("of the image");
});

test("a read-only target is told, and nothing changes anywhere", async () => {
  await node.lay({ "/srv/data/image": "i", "/etc/a": "image" });
  await mount("/srv/data", "--bind", at("/srv/data"));
  await mount("/srv/data", "-o", "remount,bind,ro");
  const before = await node.tree();
  for (const bad of [{ "/srv/data/new": "n" }, { "/srv/data/image": { gone: true } as const }]) {
    await expect(node.apply(overlayOf({ "/etc/a": "a", ...bad }))).rejects.toThrow(
      "/srv/data is mounted read-only",
    );
  }
  expect(await node.tree()).toEqual(before);
});

test("other file systems get their files whole too, and what was covered there comes back", async () => {
  await mount("/srv/data", "-t", "tmpfs", "tmpfs");
  await node.lay({
    "/srv/data/image": { file: "i", mode: 0o604, uid: 4 },
    "/srv/data/dir/sub/file": "f",
    "/srv/data/link": { linkTo: "image" },
  });
  const before = await node.tree();
  await node.apply(
    overlayOf({
      "/srv/data/image": "ours",
      "/srv/data/dir": { gone: true },
      "/srv/data/link": "a file",
      "/srv/data/new/deep/file": "n",
    }),
  );
  expect(await node.tree()).toEqual({
    "/srv": "directory 0755 0:0",
    "/srv/data": "directory 1777 0:0",
    "/srv/data/image": "file 0644 0:0 ours",
    "/srv/data/link": "file 0644 0:0 a file",
    "/srv/data/new": "directory 0755 0:0",
    "/srv/data/new/deep": "directory 0755 0:0",
    "/srv/data/new/deep/file": "file 0644 0:0 n",
  });
  await node.apply(overlayOf({}));
  expect(await node.tree()).toEqual(before);
});

test("a mount point is not replaced, nor what is mounted below a deletion removed", async () => {
  await mount("/srv/data", "-t", "tmpfs", "tmpfs");
  await writeFile(at("/srv/data/precious"), "p");
  for (const bad of [
    { "/srv/data": { gone: true } as const },
    { "/srv": { gone: true } as const },
    { "/srv": { file: "f", clears: true } },
  ]) {
    await expect(node.apply(overlayOf({ "/etc/a": "a", ...bad }))).rejects.toThrow(
      "something is mounted on /srv/data",
    );
  }
  expect(await readFile(at("/srv/data/precious"), "utf8")).toBe("p");
});

test("a program that runs is replaced, and runs on", async () => {
  await mkdir(at("/usr/bin"), { recursive: true });
  await copyFile("/bin/sleep", at("/usr/bin/tool"));
  await runCommand({ program: "chmod", args: ["755", at("/usr/bin/tool")] });
  const running = await startDaemon({ program: at("/usr/bin/tool"), args: ["60"], onLine: () => undefined });
  try {
    await node.apply(overlayOf({ "/usr/bin/tool": { file: "new", mode: 0o755 } }));
    expect(await readFile(at("/usr/bin/tool"), "utf8")).toBe("new");
    expect(await readFile(`/proc/${running.pid}/comm`, "utf8")).toBe("tool\n");
    await node.apply(overlayOf({}));
    expect(await readFile(at("/usr/bin/tool"))).toEqual(await readFile("/bin/sleep"));
  } finally {
    running.kill("SIGKILL");
  }
});

test("an agent that is killed at any moment leaves each path whole, and the next one ends what it began", async () => {
  const one: Wanted = Object.fromEntries(
    Array.from({ length: 30 }, (_, at) => [`/etc/f${at}`, { file: `one ${at} `.repeat(500), mode: 0o600 }]),
  );
  const other: Wanted = Object.fromEntries(
    Array.from({ length: 30 }, (_, at) => [
      `/etc/f${at}`,
      at % 3 === 0 ? { linkTo: "x" } : { file: `other ${at} `.repeat(900) },
    ]),
  );
  await node.lay(Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`/etc/f${at * 3}`, "image"])));
  const image = await node.tree();
  await node.apply(overlayOf(other));
  const treeOther = await node.tree();
  await node.apply(overlayOf(one));
  const treeOne = await node.tree();
  const program = fileURLToPath(new URL("testing/kill-me.ts", import.meta.url));
  const overlays = at("/run/overlays.json");
  await mkdir(at("/run"));
  await writeFile(overlays, JSON.stringify([one, other]));
  for (let round = 0; round < 25; round++) {
    const ready = Promise.withResolvers<undefined>();
    const agent = await startDaemon({
      program: process.execPath,
      args: [program, node.root, overlays],
      onLine: () => {
        ready.resolve(undefined);
      },
    });
    await ready.promise;
    // Not a wait for something: the moment of death is what is tried.
    setTimeout(() => {
      agent.kill("SIGKILL");
    }, Math.random() * 200);
    expect(await agent.exited).toEqual({ code: null, signal: "SIGKILL" });
    const tree = await node.tree();
    const torn = Object.keys(treeOne).filter(
      (path) => tree[path] !== treeOne[path] && tree[path] !== treeOther[path],
    );
    expect(torn, `round ${round}`).toEqual([]);
    await node.look();
    const recovered = await node.tree();
    expect([treeOne, treeOther]).toContainEqual(recovered);
  }
  await node.apply(overlayOf({}));
  expect(await node.tree()).toEqual(image);
}, 120_000);
