import { expect, test } from "vitest";

import { findProgram, gatherBusybox, gatherLibraries, parseLdd } from "./gather-programs.ts";

const signal = new AbortController().signal;

test("ldd's output is read: libraries, the loader, what is missing", () => {
  const output = [
    "\tlinux-vdso.so.1 (0x00007ffd8d9f2000)",
    "\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f1534579000)",
    "\tlibodd.so.3 => not found",
    "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1534283000)",
    "\t/lib64/ld-linux-x86-64.so.2 (0x00007f153485a000)",
  ].join("\n");
  expect(parseLdd(output)).toEqual({
    libraries: new Map([
      ["libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1"],
      ["libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"],
    ]),
    loader: "/lib64/ld-linux-x86-64.so.2",
    missing: ["libodd.so.3"],
  });
});

test("a statically linked program needs no library", () => {
  expect(parseLdd("\tstatically linked\n")).toEqual({ libraries: new Map(), loader: undefined, missing: [] });
});

test("the running node's libraries are gathered with the loader it names", async () => {
  const entries = await gatherLibraries([process.execPath], signal);
  const names = entries.map((entry) => entry.path.slice(entry.path.lastIndexOf("/") + 1));
  expect(names).toContain("libc.so.6");
  expect(names).toContain("libstdc++.so.6");
  expect(names.some((name) => name.startsWith("ld-linux"))).toBe(true);
  const directories = new Set(
    entries.filter((e) => !e.path.includes("ld-linux")).map((e) => e.path.slice(0, e.path.lastIndexOf("/"))),
  );
  expect(directories.size).toBe(1);
});

test("a file that is no program is refused with its name", async () => {
  await expect(gatherLibraries(["/nonexistent/agent"], signal)).rejects.toMatchObject({
    code: "initramfs-build-failed",
  });
});

test("busybox has every applet /init and the agent call, and modprobe is where the kernel calls it", async () => {
  const entries = await gatherBusybox(signal);
  expect(entries).toContainEqual({ kind: "symlink", path: "bin/switch_root", target: "busybox" });
  expect(entries).toContainEqual({ kind: "symlink", path: "sbin/modprobe", target: "../bin/busybox" });
});

test("a program that is not installed is named with the package to install", async () => {
  await expect(findProgram("no-such-program", "the-package")).rejects.toMatchObject({
    code: "program-missing",
    fix: "install the-package",
  });
});
