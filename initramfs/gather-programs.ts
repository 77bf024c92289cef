import { readFile, realpath } from "node:fs/promises";
import { dirname } from "node:path";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCommand, runCommandUnchecked } from "#proto/host/run-command.ts";
import type { CpioEntry } from "./write-cpio.ts";

/** busybox applets that /init, the udhcpc script and the agent call. A build without one of them fails here, not on a node. */
const APPLETS: readonly string[] = `
  cat chmod chroot cp cttyhack cut date dd df dmesg find free grep head hostname insmod ip kill ln
  losetup ls lsmod mkdir mknod modprobe mount mv nslookup ping poweroff printf ps readlink reboot rm
  rmdir sed setsid sh sleep sort stat switch_root sync tail tar touch tr udhcpc umount uname vi wc
  wget
`
  .trim()
  .split(/\s+/);

const PROGRAM_DIRECTORIES = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/** Finds a program on this machine; throws `program-missing` with the packages that have it. */
export async function findProgram(name: string, packages: string): Promise<string> {
  for (const directory of PROGRAM_DIRECTORIES) {
    const found = await realpath(`${directory}/${name}`).catch(() => undefined);
    if (found !== undefined) return found;
  }
  throw new MusterError({
    code: "program-missing",
    what: `${name} is not installed, and the initramfs needs it`,
    fix: `install ${packages}`,
  });
}

/** busybox and its links, in /bin, and modprobe also where the kernel calls it. */
export async function gatherBusybox(signal: AbortSignal): Promise<readonly CpioEntry[]> {
  const busybox = await findProgram("busybox", "busybox-static (Debian) or busybox (Fedora, EPEL)");
  const { stdout } = await runCommand({ program: busybox, args: ["--list"] }, signal);
  const offered = new Set(stdout.split("\n"));
  const missing = APPLETS.filter((applet) => !offered.has(applet));
  if (missing.length > 0) {
    throw new MusterError({
      code: "initramfs-build-failed",
      what: `${busybox} is built without ${missing.join(", ")}`,
      fix: "install a full busybox: busybox-static (Debian) or busybox (Fedora, EPEL)",
    });
  }
  return [
    { kind: "file", path: "bin/busybox", mode: 0o755, content: await readFile(busybox) },
    ...APPLETS.map((applet) => ({ kind: "symlink", path: `bin/${applet}`, target: "busybox" }) as const),
    // The kernel's default of /proc/sys/kernel/modprobe: it loads crypto and file system modules by itself.
    { kind: "symlink", path: "sbin/modprobe", target: "../bin/busybox" },
  ];
}

/**
 * The shared libraries that programs of this machine load, and the loader, as ldd(1) finds them.
 * All but the loader go where libc is: a directory the loader always searches.
 */
export async function gatherLibraries(
  programs: readonly string[],
  signal: AbortSignal,
): Promise<readonly CpioEntry[]> {
  const found = new Map<string, string>();
  let loader: string | undefined;
  for (const program of programs) {
    const { exitCode, stdout, stderr } = await runCommandUnchecked(
      { program: "ldd", args: [program] },
      signal,
    );
    if (exitCode !== 0 && !/not a dynamic executable/.test(stdout + stderr)) {
      throw new MusterError({
        code: "initramfs-build-failed",
        what: `ldd cannot read ${program}: ${stderr.trim()}`,
        fix: "give an executable of this machine's architecture",
      });
    }
    const needs = parseLdd(stdout);
    if (needs.missing.length > 0) {
      throw new MusterError({
        code: "initramfs-build-failed",
        what: `${program} needs ${needs.missing.join(", ")}, which this machine does not have`,
        fix: "install the packages with these libraries",
      });
    }
    loader ??= needs.loader;
    for (const [name, path] of needs.libraries) found.set(name, path);
  }
  const libc = found.get("libc.so.6");
  const entries: CpioEntry[] = [];
  for (const [name, path] of [...found].sort()) {
    entries.push({
      kind: "file",
      path: `${dirname(libc ?? path)}/${name}`.slice(1),
      mode: 0o755,
      content: await readFile(path),
    });
  }
  if (loader !== undefined && !entries.some((entry) => `/${entry.path}` === loader)) {
    entries.push({ kind: "file", path: loader.slice(1), mode: 0o755, content: await readFile(loader) });
  }
  return entries;
}

/** Reads ldd(1): "NAME => PATH (0x..)", "NAME => not found", and the loader as a bare path. */
export function parseLdd(output: string): {
  readonly libraries: ReadonlyMap<string, string>;
  readonly loader: string | undefined;
  readonly missing: readonly string[];
} {
  const libraries = new Map<string, string>();
  const missing: string[] = [];
  let loader: string | undefined;
  for (const line of output.split("\n")) {
    const [, name, target] = /^\s*(\S+) => (not found|\/\S+)/.exec(line) ?? [];
    if (name !== undefined && target === "not found") missing.push(name);
    // Some systems spell the loader "/lib64/ld-linux-x86-64.so.2 => /usr/lib64/ld-linux-x86-64.so.2".
    else if (name?.startsWith("/") === true) loader = name;
    else if (name !== undefined && target !== undefined) libraries.set(name, target);
    else loader = /^\s*(\/\S+) \(0x/.exec(line)?.[1] ?? loader;
  }
  return { libraries, loader, missing };
}
