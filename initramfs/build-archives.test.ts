import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { gzipSync, zstdCompressSync } from "node:zlib";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";
import { buildBase } from "./build-base.ts";
import { buildModules } from "./build-modules.ts";
import { COMPRESSIONS, type Compression } from "./compress-archive.ts";
import { listArchive } from "./list-archive.ts";
import { renderListing } from "./render-listing.ts";

const signal = new AbortController().signal;
// zstd at the level of a release takes seconds, and more where other work shares the cores.
vi.setConfig({ testTimeout: 120_000 });

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(`${tmpdir()}/muster-initramfs-test-`);
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const DEPENDENCIES = [
  "kernel/fs/overlay.ko.xz:",
  "kernel/fs/squashfs.ko.zst:",
  "kernel/drivers/block/loop.ko.gz: kernel/fs/overlay.ko.xz",
  "kernel/drivers/net/ethernet/nic.ko:",
];
const NIC = "module nic\0firmware=nic/one.bin\0firmware=nic/two.bin\0firmware=nic/gone.bin\0";

/** A tree as Debian (usr-merged) or as an old system has it, with a module in each compression. */
async function makeTree(merged: boolean, prefix = "tree"): Promise<string> {
  const tree = `${directory}/${prefix}`;
  const lib = merged ? `${tree}/usr/lib` : `${tree}/lib`;
  const modules = `${lib}/modules/6.1-test`;
  for (const path of ["kernel/fs", "kernel/drivers/block", "kernel/drivers/net/ethernet"]) {
    await mkdir(`${modules}/${path}`, { recursive: true });
  }
  if (merged) await symlink("usr/lib", `${tree}/lib`);
  await mkdir(`${lib}/firmware/nic`, { recursive: true });
  await writeFile(`${lib}/firmware/nic/one.bin`, "firmware one");
  await writeFile(`${lib}/firmware/nic/two.bin.zst`, zstdCompressSync("firmware two"));
  await writeFile(`${modules}/kernel/fs/overlay.ko`, "module overlay");
  await runCommand({ program: "xz", args: [`${modules}/kernel/fs/overlay.ko`] });
  await writeFile(`${modules}/kernel/fs/squashfs.ko.zst`, zstdCompressSync("module squashfs"));
  await writeFile(`${modules}/kernel/drivers/block/loop.ko.gz`, gzipSync("module loop"));
  await writeFile(`${modules}/kernel/drivers/net/ethernet/nic.ko`, NIC);
  await writeFile(`${modules}/modules.dep`, DEPENDENCIES.join("\n"));
  await writeFile(`${modules}/modules.alias`, "alias pci:v00008086d* nic\n");
  await writeFile(`${modules}/modules.builtin`, "kernel/fs/ext4.ko\n");
  return tree;
}

let runs = 0;
async function modulesArchive(
  tree: string,
  compression: Compression,
  drivers: readonly string[],
): Promise<string> {
  const name = `${directory}/run-${runs++}`;
  await mkdir(name);
  const out = `${name}/modules.cpio`;
  await buildModules({ tree, release: "6.1-test", drivers, compression, out, scratch: name }, signal);
  return out;
}

const DRIVERS = ["+overlay", "+squashfs", "+loop", "kernel/drivers/net/ethernet/**"];

test.each([
  [true, "zstd"],
  [true, "xz"],
  [false, "gzip"],
] as const)(
  "modules are unpacked, indexed and come with their firmware (usr-merged: %s, %s)",
  async (merged, compression) => {
    const archive = await modulesArchive(await makeTree(merged), compression, DRIVERS);
    const listed = await listArchive(archive, signal);
    expect(listed.parts.map((part) => part.compression)).toEqual([compression]);
    const base = "lib/modules/6.1-test";
    expect(
      listed.files.filter((file) => file.kind === "file").map((file) => [file.path, file.sizeBytes]),
    ).toEqual([
      ["lib/firmware/nic/one.bin", 12],
      ["lib/firmware/nic/two.bin.zst", zstdCompressSync("firmware two").length],
      [`${base}/kernel/drivers/block/loop.ko`, 11],
      [`${base}/kernel/drivers/net/ethernet/nic.ko`, NIC.length],
      [`${base}/kernel/fs/overlay.ko`, 14],
      [`${base}/kernel/fs/squashfs.ko`, 15],
      [`${base}/modules.alias`, 26],
      [`${base}/modules.builtin`, 18],
      [`${base}/modules.dep`, 132],
    ]);
  },
);

test.each(COMPRESSIONS)("the same tree gives the same bytes (%s)", async (compression) => {
  const first = await modulesArchive(await makeTree(true, "one"), compression, DRIVERS);
  const second = await modulesArchive(await makeTree(true, "two"), compression, DRIVERS);
  expect((await readFile(first)).equals(await readFile(second))).toBe(true);
});

test("a required module that is nowhere fails the build by name", async () => {
  const tree = await makeTree(true);
  await expect(modulesArchive(tree, "gzip", [...DRIVERS, "+erofs"])).rejects.toMatchObject({
    code: "initramfs-build-failed",
    message: "kernel 6.1-test has no erofs: neither a module nor built in",
  });
});

test("a module tree that depmod never saw is said to be so", async () => {
  const tree = await makeTree(true);
  await rm(`${tree}/usr/lib/modules/6.1-test/modules.dep`);
  await expect(modulesArchive(tree, "gzip", DRIVERS)).rejects.toMatchObject({
    code: "initramfs-build-failed",
    fix: expect.stringContaining("depmod") as string,
  });
});

test("a module directory that is a link out of the tree is not followed", async () => {
  const tree = `${directory}/evil`;
  const elsewhere = await makeTree(true, "elsewhere");
  await mkdir(`${tree}/usr/lib`, { recursive: true });
  await symlink(`${elsewhere}/usr/lib/modules`, `${tree}/usr/lib/modules`);
  await expect(modulesArchive(tree, "gzip", DRIVERS)).rejects.toMatchObject({
    message: `${tree} has no modules of kernel 6.1-test: no lib/modules/6.1-test`,
  });
});

async function baseArchive(compression: Compression): Promise<string> {
  const scratch = `${directory}/base-${runs++}`;
  await mkdir(scratch);
  await writeFile(`${directory}/muster-agent.service`, "[Unit]\n");
  const out = `${scratch}/base.cpio`;
  const agent = "/bin/true";
  const unit = `${directory}/muster-agent.service`;
  await buildBase({ agent, unit, assets: import.meta.dirname, compression, out, scratch }, signal);
  return out;
}

test.each(["zstd", "gzip"] as const)(
  "the base holds what a node boots with, and the same bytes each time (%s)",
  async (compression) => {
    const archive = await baseArchive(compression);
    const again = await baseArchive(compression);
    expect((await readFile(archive)).equals(await readFile(again))).toBe(true);
    const listed = await listArchive(archive, signal);
    expect(listed.parts.map((part) => part.compression)).toEqual(["none", compression]);
    const modes = new Map(listed.files.map((file) => [file.path, [file.kind, file.mode]] as const));
    expect(modes.get("init")).toEqual(["file", 0o755]);
    expect(modes.get("etc/udhcpc.script")).toEqual(["file", 0o755]);
    expect(modes.get("dev/console")).toEqual(["device", 0o600]);
    expect(modes.get("bin/unsquashfs")).toEqual(["file", 0o755]);
    expect(modes.get("newroot")).toEqual(["directory", 0o755]);
    const agent = listed.files.filter(
      (file) => file.inside === "agent.squashfs" && file.kind !== "directory",
    );
    expect(agent.map((file) => [file.path, file.mode, file.target])).toEqual([
      ["usr/lib/muster/getfattr", 0o755, undefined],
      ["usr/lib/muster/muster-agent", 0o755, undefined],
      ["usr/lib/muster/setfattr", 0o755, undefined],
      [
        "usr/lib/systemd/system/multi-user.target.wants/muster-agent.service",
        0o777,
        "../muster-agent.service",
      ],
      ["usr/lib/systemd/system/muster-agent.service", 0o644, undefined],
    ]);
  },
);

test.each(["zstd", "gzip"] as const)(
  "archives that follow each other in one file are all listed (%s)",
  async (compression) => {
    const base = await baseArchive(compression);
    const modules = await modulesArchive(await makeTree(true), "xz", DRIVERS);
    const both = `${directory}/both.cpio`;
    const gap = Buffer.alloc(4);
    await writeFile(both, Buffer.concat([await readFile(base), gap, await readFile(modules)]));
    const listed = await listArchive(both, signal);
    expect(listed.parts.map((part) => part.compression)).toEqual(["none", compression, "xz"]);
    const text = renderListing(listed);
    expect(text).toContain("-0755");
    expect(text).toContain(" bin/switch_root -> busybox\n");
    expect(text).toContain("lib/modules/6.1-test/kernel/fs/overlay.ko\n");
  },
);

test("a cut off archive is refused, not half listed", async () => {
  const archive = await modulesArchive(await makeTree(true), "zstd", DRIVERS);
  const bytes = await readFile(archive);
  await writeFile(archive, bytes.subarray(0, bytes.length - 20));
  await expect(listArchive(archive, signal)).rejects.toMatchObject({ code: "argument-invalid" });
});

test("an agent that is not there is said by name", async () => {
  const options = {
    unit: "/dev/null",
    assets: "/",
    compression: "gzip",
    out: "/",
    scratch: directory,
  } as const;
  await expect(buildBase({ agent: "/nonexistent/muster-agent", ...options }, signal)).rejects.toMatchObject({
    code: "initramfs-build-failed",
    message: "there is no agent executable at /nonexistent/muster-agent",
  });
});

test("/init and the udhcpc script are accepted by the shell that runs them", async () => {
  for (const script of ["init", "udhcpc.script"]) {
    await runCommand({ program: "busybox", args: ["sh", "-n", `${import.meta.dirname}/${script}`] });
  }
});

test("/init goes on, with its lines in the kernel log, where /dev/console cannot be opened", async () => {
  const init = await readFile(`${import.meta.dirname}/init`, "utf8");
  const [choice = ""] = /^if \(: <\/dev\/console\)[^]*?^fi$/m.exec(init) ?? [];
  const log = `${directory}/kmsg`;
  const script = `${choice.replaceAll("/dev/console", "/nonexistent/console").replaceAll("/dev/kmsg", log)}\necho on`;
  await runCommand({ program: "busybox", args: ["sh", "-c", script] });
  expect(await readFile(log, "utf8")).toBe("on\n");
});
