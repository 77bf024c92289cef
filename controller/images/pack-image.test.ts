import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";

import { afterEach, beforeEach, expect, test } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";
import { packImage } from "./pack-image.ts";
import { planAclFile, planPackArguments } from "./plan-pack.ts";

const signal = new AbortController().signal;
const isRoot = process.getuid?.() === 0;
let directory: string;
let tree: string;

beforeEach(async () => {
  directory = await realpath(await mkdtemp(`${tmpdir()}/muster pack's-`));
  tree = `${directory}/tree`;
  for (const path of ["usr/bin", "proc/1", "sys/x", "dev/x", "run/x", "tmp/.hidden", "boot", "srv/lib/dev"]) {
    await mkdir(`${tree}/${path}`, { recursive: true });
  }
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function run(program: string, ...args: readonly string[]): Promise<string> {
  return (await runCommand({ program, args })).stdout;
}

async function pack(userId = 0): Promise<{ out: string; percents: readonly number[] }> {
  const scratch = `${directory}/scratch`;
  await mkdir(scratch);
  const out = `${directory}/root.squashfs`;
  const percents: number[] = [];
  const onPercent = (percent: number): void => void percents.push(percent);
  await packImage({ tree, out, scratch, compression: "gzip", userId, onPercent }, signal);
  return { out, percents };
}

async function unpack(image: string): Promise<string> {
  const to = `${directory}/unpacked`;
  await run("unsquashfs", "-no-progress", "-d", to, image);
  return to;
}

test("what belongs to the machine stays out, its mount points and everything else come along", async () => {
  await writeFile(`${tree}/boot/initrd.img-6.1`, "x");
  await writeFile(`${tree}/boot/vmlinuz-6.1`, "x");
  await writeFile(`${tree}/srv/lib/dev/kept`, "x");
  await writeFile(`${tree}/usr/bin/a`, "x");
  await symlink("a", `${tree}/usr/bin/b`);
  const { out, percents } = await pack();
  const to = await unpack(out);
  expect((await readdir(to)).sort()).toEqual(["boot", "dev", "proc", "run", "srv", "sys", "tmp", "usr"]);
  for (const name of ["dev", "proc", "run", "sys", "tmp"]) expect(await readdir(`${to}/${name}`)).toEqual([]);
  expect(await readdir(`${to}/boot`)).toEqual(["vmlinuz-6.1"]);
  expect(await readdir(`${to}/srv/lib/dev`)).toEqual(["kept"]);
  expect(await readdir(`${to}/usr/bin`)).toEqual(["a", "b"]);
  expect(percents.at(-1)).toBe(100);
  expect([...percents].sort((a, b) => a - b)).toEqual(percents);
});

test("hard links stay one file and holes stay holes", async () => {
  await writeFile(`${tree}/usr/bin/a`, "content");
  await run("ln", `${tree}/usr/bin/a`, `${tree}/usr/bin/b`);
  const sparse = await open(`${tree}/usr/sparse`, "w");
  await sparse.write("end", 64 * 1024 * 1024);
  await sparse.close();
  const to = await unpack((await pack()).out);
  const [a, b] = [await stat(`${to}/usr/bin/a`), await stat(`${to}/usr/bin/b`)];
  expect([a.ino === b.ino, a.nlink]).toEqual([true, 2]);
  const facts = await stat(`${to}/usr/sparse`);
  expect(facts.size).toBe(64 * 1024 * 1024 + 3);
  expect(facts.blocks * 512).toBeLessThan(2 * 1024 * 1024);
});

test("POSIX ACLs, which squashfs cannot hold, come along as a list that setfacl restores", async () => {
  await writeFile(`${tree}/usr/with acl`, "x");
  await run("setfacl", "-m", "u:4711:rw", `${tree}/usr/with acl`);
  await run("setfacl", "-d", "-m", "g:4712:rx", `${tree}/srv`);
  await mkdir(`${tree}/usr/lib/muster`, { recursive: true, mode: 0o711 });
  await writeFile(`${tree}/usr/lib/muster/image.acl`, "of an earlier life");
  const { out } = await pack();
  const to = await unpack(out);
  expect(await readFile(`${to}/usr/lib/muster/image.acl`, "utf8")).toContain(
    "# file: usr/with acl\nuser::rw-\nuser:4711:rw-\n",
  );
  expect((await stat(`${to}/usr/lib/muster`)).mode & 0o777).toBe(0o711);
  await runCommand({ program: "setfacl", args: ["--restore=usr/lib/muster/image.acl"], cwd: to });
  for (const path of ["usr/with acl", "srv"]) {
    const acl = async (root: string): Promise<string> =>
      (await runCommand({ program: "getfacl", args: ["-n", path], cwd: root })).stdout;
    expect(await acl(to)).toBe(await acl(tree));
  }
});

test("a list of ACLs is made also where the tree has no usr/lib", async () => {
  await run("setfacl", "-m", "u:4711:rw", `${tree}/srv`);
  const to = await unpack((await pack()).out);
  expect(await readdir(`${to}/usr/lib/muster`)).toEqual(["image.acl"]);
});

test("an image without ACLs carries no list of them", async () => {
  const to = await unpack((await pack()).out);
  expect(await readdir(`${to}/usr`)).toEqual(["bin"]);
});

// Owners, capabilities, trusted xattrs and device nodes can only be made, and checked, by root; who is not
// root gets the one answer that concerns him: his own tree packs, and becomes root's.
test(
  isRoot ? "owners, capabilities, xattrs and device nodes survive" : "a tree of one's own becomes root's",
  async () => {
    await writeFile(`${tree}/usr/bin/ping`, "x", { mode: 0o755 });
    if (!isRoot) {
      const { out } = await pack(process.getuid?.() ?? -1);
      expect(await run("unsquashfs", "-lln", out)).toMatch(/-rwxr-xr-x 0\/0 .*usr\/bin\/ping/);
      return;
    }
    await run("setcap", "cap_net_raw=ep", `${tree}/usr/bin/ping`);
    await run("setfattr", "-n", "trusted.muster", "-v", "kept", `${tree}/usr/bin/ping`);
    await run("setfattr", "-n", "user.note", "-v", "also", `${tree}/usr/bin/ping`);
    await run("mknod", "-m", "640", `${tree}/srv/disk`, "b", "7", "3");
    await run("chown", "12:34", `${tree}/srv/disk`);
    const to = await unpack((await pack()).out);
    expect(await run("getcap", `${to}/usr/bin/ping`)).toContain("cap_net_raw=ep");
    expect(
      await run("getfattr", "--absolute-names", "-d", "-m", "^(user|trusted)", `${to}/usr/bin/ping`),
    ).toBe(`# file: ${to}/usr/bin/ping\ntrusted.muster="kept"\nuser.note="also"\n\n`);
    const device = await stat(`${to}/srv/disk`);
    expect([device.isBlockDevice(), device.rdev, device.mode & 0o777, device.uid, device.gid]).toEqual([
      true,
      0x703,
      0o640,
      12,
      34,
    ]);
  },
);

test("whoever is not root is refused a tree with somebody else's files, and told why", async () => {
  await expect(pack(424242)).rejects.toMatchObject({
    code: "image-pack-failed",
    message: `${tree} belongs to another user: only root can read every file and keep its owner`,
  });
});

test("a tree that cannot be packed leaves no half image", async () => {
  await rm(tree, { recursive: true });
  await expect(pack()).rejects.toMatchObject({ code: expect.any(String) as string });
  expect(await readdir(directory)).toEqual(["scratch"]);
});

test("an import that is broken off ends mksquashfs and leaves nothing", async () => {
  const abort = new AbortController();
  await writeFile(`${tree}/usr/large`, Buffer.alloc(32 * 1024 * 1024, "muster"));
  const out = `${directory}/root.squashfs`;
  const onPercent = (): void => {
    abort.abort(new Error("interrupted"));
  };
  const packing = packImage(
    { tree, out, scratch: directory, compression: "xz", userId: 0, onPercent },
    abort.signal,
  );
  await expect(packing).rejects.toThrow("interrupted");
  expect(await readdir(directory)).toEqual(["tree"]);
});

test("the list of ACLs sets ACLs and nothing else", () => {
  const printed = "# file: ./srv\n# owner: 0\n# group: 0\n# flags: -s-\nuser::rwx\nuser:7:r-x\n\n";
  expect(planAclFile(printed)).toBe("# file: srv\nuser::rwx\nuser:7:r-x\n");
  expect(planAclFile("")).toBe("");
});

test.each([
  ["zstd", ["-comp", "zstd", "-Xcompression-level", "9"]],
  ["xz", ["-comp", "xz"]],
  ["gzip", ["-comp", "gzip", "-Xcompression-level", "6"]],
] as const)("the arguments for %s", (compression, chosen) => {
  const request = {
    tree: "/t",
    out: "/o",
    compression,
    aclFile: undefined,
    missingDirectories: [],
    asRoot: false,
  };
  expect(planPackArguments(request)).toEqual([
    "/t",
    "/o",
    "-noappend",
    "-progress",
    "-xattrs",
    "-exit-on-error",
    ...chosen,
    "-wildcards",
    "-e",
    ...["proc/*", "proc/.*", "sys/*", "sys/.*", "dev/*", "dev/.*", "run/*", "run/.*", "tmp/*", "tmp/.*"],
    "boot/initrd*",
    "boot/initramfs*",
    "usr/lib/muster/image.acl",
  ]);
});
