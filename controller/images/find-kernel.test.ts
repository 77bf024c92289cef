import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { findKernel } from "./find-kernel.ts";

let tree: string;

beforeEach(async () => {
  tree = await realpath(await mkdtemp(`${tmpdir()}/muster-tree-`));
});

afterEach(async () => {
  await rm(tree, { recursive: true, force: true });
});

async function file(path: string, content: string | Buffer = ""): Promise<void> {
  await mkdir(dirname(`${tree}/${path}`), { recursive: true });
  await writeFile(`${tree}/${path}`, content);
}

function bzImage(): Buffer {
  const image = Buffer.alloc(8192);
  image.write("HdrS", 0x202);
  return image;
}

const CONFIG = [
  "CONFIG_BLK_DEV_INITRD=y",
  "CONFIG_DEVTMPFS=y",
  "CONFIG_TMPFS=y",
  "CONFIG_RD_ZSTD=y",
  "CONFIG_SQUASHFS_ZSTD=y",
  "CONFIG_OVERLAY_FS=m",
  "CONFIG_SQUASHFS=m",
  "CONFIG_BLK_DEV_LOOP=m",
].join("\n");
const DEP = "kernel/overlay.ko:\nkernel/squashfs.ko:\nkernel/loop.ko:\n";

async function debian(release: string): Promise<void> {
  await file(`boot/vmlinuz-${release}`, bzImage());
  await file(`boot/config-${release}`, CONFIG);
  await file(`usr/lib/modules/${release}/modules.dep`, DEP);
}

async function merge(): Promise<void> {
  await mkdir(`${tree}/usr/lib/systemd`, { recursive: true });
  await symlink("usr/lib", `${tree}/lib`);
  await file("usr/lib/systemd/systemd");
}

test("Debian's layout: kernel and configuration in /boot, usr-merged modules", async () => {
  await merge();
  await debian("6.1.0-9-amd64");
  await debian("6.1.0-10-amd64");
  expect(await findKernel(tree)).toEqual({
    release: "6.1.0-10-amd64",
    architecture: "x86_64",
    features: { initramfsCompression: "zstd", squashfsCompression: "zstd" },
    path: `${tree}/boot/vmlinuz-6.1.0-10-amd64`,
  });
});

test("Enterprise Linux's layout: everything in lib/modules, a rescue kernel in /boot", async () => {
  await merge();
  const release = "5.14.0-427.el9.x86_64";
  await file(`usr/lib/modules/${release}/vmlinuz`, bzImage());
  await file(`usr/lib/modules/${release}/config`, CONFIG);
  await file(`usr/lib/modules/${release}/modules.dep`, DEP);
  await file("boot/vmlinuz-0-rescue-0123", bzImage());
  expect(await findKernel(tree)).toMatchObject({
    release,
    path: `${tree}/usr/lib/modules/${release}/vmlinuz`,
  });
});

test("a link that is absolute in the image leads to the image's file, not to this machine's", async () => {
  await merge();
  await debian("6.1-a");
  await rm(`${tree}/boot/vmlinuz-6.1-a`);
  await file("usr/share/kernels/k", bzImage());
  await symlink("/usr/share/kernels/k", `${tree}/boot/vmlinuz-6.1-a`);
  expect((await findKernel(tree)).path).toBe(`${tree}/usr/share/kernels/k`);
});

test("links that lead nowhere or in a circle are no kernel", async () => {
  await merge();
  await debian("6.1-a");
  await rm(`${tree}/boot/vmlinuz-6.1-a`);
  await symlink("vmlinuz-6.1-a", `${tree}/boot/vmlinuz-6.1-a`);
  await symlink("/etc/hostname", `${tree}/boot/vmlinuz-6.1-b`);
  await expect(findKernel(tree)).rejects.toMatchObject({ code: "image-kernel-missing" });
});

test("a tree without a kernel is refused with the paths looked at and how to install one", async () => {
  await merge();
  await expect(findKernel(tree)).rejects.toMatchObject({
    code: "image-kernel-missing",
    message: `${tree} has no kernel that nodes can boot: nothing matches lib/modules/*/vmlinuz, boot/vmlinuz-*, boot/Image-*`,
    fix: expect.stringMatching(/apt-get install linux-image-amd64.*dnf --installroot/) as string,
  });
});

test("a kernel without modules is named as such", async () => {
  await merge();
  await file("boot/vmlinuz-6.1-a", bzImage());
  await expect(findKernel(tree)).rejects.toMatchObject({
    code: "image-kernel-missing",
    message: `${tree} has no kernel that nodes can boot: only boot/vmlinuz-6.1-a (no lib/modules/6.1-a/modules.dep)`,
  });
});

test("a kernel without overlayfs is refused by the option's name", async () => {
  await merge();
  await debian("6.1-a");
  await file("boot/config-6.1-a", CONFIG.replace("CONFIG_OVERLAY_FS=m\n", ""));
  await file("usr/lib/modules/6.1-a/modules.dep", DEP.replace("kernel/overlay.ko:\n", ""));
  await expect(findKernel(tree)).rejects.toMatchObject({
    code: "image-kernel-unfit",
    message: "kernel 6.1-a (boot/vmlinuz-6.1-a) is built without CONFIG_OVERLAY_FS",
  });
});

test("a kernel whose loop module is not installed is told apart from one built without it", async () => {
  await merge();
  await debian("6.1-a");
  await file("usr/lib/modules/6.1-a/modules.dep", DEP.replace("kernel/loop.ko:\n", ""));
  await expect(findKernel(tree)).rejects.toMatchObject({
    code: "image-kernel-unfit",
    message:
      "kernel 6.1-a (boot/vmlinuz-6.1-a) has CONFIG_BLK_DEV_LOOP as a module whose file is not installed",
  });
});

test("a file that is no kernel is refused", async () => {
  await merge();
  await debian("6.1-a");
  await file("boot/vmlinuz-6.1-a", "not a kernel");
  await expect(findKernel(tree)).rejects.toMatchObject({ code: "image-kernel-unfit" });
});

test("trees that are none are refused, each with what is wrong", async () => {
  const refusal = (path: string): Promise<unknown> =>
    findKernel(path).then(
      () => "no error",
      (error: unknown) => error,
    );
  expect(await refusal(tree)).toMatchObject({ code: "image-tree-invalid", message: `${tree} is empty` });
  expect(await refusal(`${tree}/none`)).toMatchObject({
    code: "image-tree-invalid",
    message: `${tree}/none does not exist or cannot be read`,
  });
  await file("etc/hostname", "x");
  expect(await refusal(`${tree}/etc/hostname`)).toMatchObject({
    code: "image-tree-invalid",
    message: `${tree}/etc/hostname is not a directory`,
  });
  expect(await refusal(tree)).toMatchObject({
    code: "image-tree-invalid",
    message: `${tree} has no /sbin/init and no /usr/lib/systemd/systemd`,
  });
});
