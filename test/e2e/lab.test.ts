import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

import { makeDebianTree } from "../lab/debian-image.ts";
import { LAB_NETWORK, type Lab, openLab } from "../lab/open-lab.ts";
import { waitFor } from "../lab/wait-for.ts";

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const IPXE = "/usr/lib/ipxe";

/** The lab by itself, without muster: firmware, network, console and faults of its machines. */

test("a machine boots a kernel directly, takes what is typed, and its power-off is seen", async () => {
  await using lab = await openLab();
  const tree = await makeDebianTree(PROJECT);
  const initrd = await makeTalkingInitrd(lab);
  const machine = await lab.addMachine({
    name: "d1",
    mac: "52:54:00:77:02:01",
    firmware: "direct",
    sockets: 2,
    cores: 2,
    threads: 2,
    memoryMib: 512,
    serial: "SN-1",
    kernel: join(tree, "vmlinuz"),
    initrds: [initrd, await makeMessageArchive(lab)],
    append: "console=ttyS0 panic=-1",
  });
  await machine.powerOn();
  await machine.waitForConsole("cpus 8", { deadlineMs: 60_000 });
  await machine.waitForConsole("serial SN-1", { deadlineMs: 10_000 });
  await machine.waitForConsole("message from the second archive", { deadlineMs: 10_000 });
  await machine.waitForConsole("say a word", { deadlineMs: 10_000 });
  await machine.type("muster\n");
  await machine.waitForConsole("you said muster", { deadlineMs: 10_000 });
  await machine.waitForPowerOff(30_000);
  expect(machine.isRunning).toBe(false);
});

test("waiting for a console that will never say it fails with what it said", async () => {
  await using lab = await openLab();
  const tree = await makeDebianTree(PROJECT);
  const machine = await lab.addMachine({
    name: "d2",
    mac: "52:54:00:77:02:02",
    firmware: "direct",
    kernel: join(tree, "vmlinuz"),
    exitOnReboot: true,
    append: "console=ttyS0 panic=-1",
  });
  await machine.powerOn();
  await expect(machine.waitForConsole("hello", { deadlineMs: 60_000 })).rejects.toThrow(
    /^d2 went off before it showed hello:\n[^]*Kernel panic - not syncing: VFS/,
  );
});

test("BIOS and UEFI machines reach iPXE with nothing but DHCP, and a cut link is felt", async () => {
  await using lab = await openLab();
  const dnsmasqLines = await startPlainDnsmasq(lab);
  const bios = await lab.addMachine({ name: "b1", mac: "52:54:00:77:02:03", firmware: "bios" });
  const uefi = await lab.addMachine({ name: "u1", mac: "52:54:00:77:02:04", firmware: "uefi" });

  await bios.cutLink();
  await bios.powerOn();
  await bios.waitForConsole("iPXE", { deadlineMs: 60_000 });
  await uefi.powerOn();
  await uefi.waitForConsole("script runs on 52:54:00:77:02:04 efi", { deadlineMs: 120_000 });
  expect(dnsmasqLines.join("\n")).not.toContain("52:54:00:77:02:03");

  await bios.powerOff();
  bios.setMac("52:54:00:77:02:05");
  await bios.restoreLink();
  await bios.powerOn();
  await bios.waitForConsole("script runs on 52:54:00:77:02:05 pcbios", { deadlineMs: 60_000 });
});

test("a machine with UEFI HTTP boot asks for it as such", async () => {
  await using lab = await openLab();
  const lines = await startPlainDnsmasq(lab);
  const machine = await lab.addMachine({ name: "h1", mac: "52:54:00:77:02:06", firmware: "uefi-http" });
  await machine.powerOn();
  await waitFor(() => lines.some((line) => line.includes("HTTPClient:Arch:00016")), {
    what: "dnsmasq to see an HTTP boot client",
    deadlineMs: 90_000,
    instead: () => lines.slice(-20).join("\n"),
  });
});

/** An initramfs of busybox alone that says what it sees, asks for a word, and switches off. */
async function makeTalkingInitrd(lab: Lab): Promise<string> {
  const root = join(lab.directory, "initrd");
  for (const name of ["bin", "proc", "sys", "dev"]) await mkdir(join(root, name), { recursive: true });
  const { stdout: busybox } = await runCommand({ program: "sh", args: ["-c", "command -v busybox"] });
  await copyFile(busybox.trim(), join(root, "bin/busybox"));
  const init = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox echo cpus $(/bin/busybox grep -c ^processor /proc/cpuinfo)
/bin/busybox echo serial $(/bin/busybox cat /sys/class/dmi/id/product_serial)
/bin/busybox echo message $(/bin/busybox cat /message)
/bin/busybox echo say a word
read -r word
/bin/busybox echo you said "$word"
/bin/busybox poweroff -f
`;
  await writeFile(join(root, "init"), init, { mode: 0o755 });
  return packArchive(root);
}

/** A second archive, as muster has one for the modules of each kernel. */
async function makeMessageArchive(lab: Lab): Promise<string> {
  const root = join(lab.directory, "message");
  await mkdir(root);
  await writeFile(join(root, "message"), "from the second archive\n");
  return packArchive(root);
}

async function packArchive(root: string): Promise<string> {
  const archive = `${root}.cpio`;
  await runCommand({
    program: "sh",
    args: ["-c", `cd "$0" && find . | cpio --quiet -o -H newc > "$1"`, root, archive],
  });
  return archive;
}

/** dnsmasq by hand, with an iPXE script over TFTP. Returns its growing log. */
async function startPlainDnsmasq(lab: Lab): Promise<readonly string[]> {
  const root = join(lab.directory, "tftp");
  await mkdir(root);
  await copyFile(join(IPXE, "snponly.efi"), join(root, "snponly.efi"));
  const script = "#!ipxe\necho script runs on ${net0/mac} ${platform}\nsleep 600\n";
  await writeFile(join(root, "boot.ipxe"), script);
  const lines: string[] = [];
  await lab.start({
    program: "dnsmasq",
    args: [
      ...[
        "--no-daemon",
        "--conf-file=/dev/null",
        "--user=root",
        "--port=0",
        "--log-dhcp",
        "--log-facility=-",
      ],
      ...[`--interface=${LAB_NETWORK.bridge}`, "--bind-interfaces", "--except-interface=lo", "--no-ping"],
      `--dhcp-range=${LAB_NETWORK.rangeStart},${LAB_NETWORK.rangeEnd},255.255.255.0,1h`,
      ...["--dhcp-authoritative", "--dhcp-no-override", `--dhcp-leasefile=${join(lab.directory, "leases")}`],
      ...["--enable-tftp", `--tftp-root=${root}`, "--enable-ra", "--dhcp-range=::,constructor:br0,ra-only"],
      ...["--dhcp-userclass=set:ipxe,iPXE", "--dhcp-option=tag:ipxe,encap:175,176,1b"],
      `--dhcp-boot=tag:ipxe,tftp://${LAB_NETWORK.address}/boot.ipxe`,
      "--dhcp-boot=tag:!ipxe,snponly.efi",
    ],
    onLine: (line) => {
      lines.push(line);
    },
  });
  return lines;
}
