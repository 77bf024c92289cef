import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";
import type { OverlayItem } from "./plan-system-overlay.ts";
import { type OverlayReader, openOverlayReader } from "./read-overlay-tree.ts";

let overlays: string;
let rootfs: string;
let reader: OverlayReader;

beforeEach(() => {
  overlays = mkdtempSync(join(tmpdir(), "muster-overlays-"));
  rootfs = join(overlays, "base", "rootfs");
  mkdirSync(rootfs, { recursive: true });
  reader = openOverlayReader(overlays);
});

afterEach(() => {
  rmSync(overlays, { recursive: true, force: true });
});

function put(path: string, text = "", mode = 0o644): void {
  const full = join(rootfs, path);
  mkdirSync(join(full, ".."), { recursive: true, mode: 0o755 });
  writeFileSync(full, text);
  chmodSync(full, mode);
}

function facts(items: readonly OverlayItem[]): unknown[] {
  return items.map(({ path, mode, kind, xattrs }) => ({
    path,
    mode: mode.toString(8),
    kind: kind.type === "symlink" ? kind.target : kind.type,
    ...(Object.keys(xattrs).length === 0 ? {} : { xattrs }),
  }));
}

describe("openOverlayReader", () => {
  it("reads files, directories, links and whiteouts with mode, in order, and follows no link", async () => {
    put("/etc/motd", "hi");
    put("/etc/sudoers", "", 0o440);
    put("/usr/bin/tool", "x", 0o4755);
    put("/etc/.wh.old", "");
    put("/etc/conf.d/.wh..wh..opq", "");
    put("/etc/naïve = \\name", "");
    chmodSync(join(rootfs, "etc/conf.d"), 0o750);
    symlinkSync("/", join(rootfs, "etc/all"));
    symlinkSync("../nowhere", join(rootfs, "lib"));
    expect(facts(await reader.read("base"))).toEqual([
      { path: "/etc", mode: "755", kind: "directory" },
      { path: "/etc/old", mode: "0", kind: "deletion" },
      { path: "/etc/all", mode: "777", kind: "/" },
      { path: "/etc/conf.d", mode: "750", kind: "directory" },
      { path: "/etc/conf.d", mode: "0", kind: "deletion" },
      { path: "/etc/motd", mode: "644", kind: "file" },
      { path: "/etc/naïve = \\name", mode: "644", kind: "file" },
      { path: "/etc/sudoers", mode: "440", kind: "file" },
      { path: "/lib", mode: "777", kind: "../nowhere" },
      { path: "/usr", mode: "755", kind: "directory" },
      { path: "/usr/bin", mode: "755", kind: "directory" },
      { path: "/usr/bin/tool", mode: "4755", kind: "file" },
    ]);
  });

  it("reads owner and size, and where the content is", async () => {
    put("/x", "12345");
    const owner = process.getuid?.() === 0 ? 1234 : (process.getuid?.() ?? 0);
    const group = process.getuid?.() === 0 ? 4321 : (process.getgid?.() ?? 0);
    chownSync(join(rootfs, "x"), owner, group);
    expect(await reader.read("base")).toEqual([
      {
        path: "/x",
        mode: 0o644,
        uid: owner,
        gid: group,
        xattrs: {},
        kind: { type: "file", content: { sourcePath: join(rootfs, "x"), sizeBytes: 5 } },
      },
    ]);
  });

  it("reads extended attributes, again when they have changed", async () => {
    put("/a b\\c", "");
    const set = (value: string) =>
      runCommand({ program: "setfattr", args: ["-n", "user.k", "-v", value, join(rootfs, "a b\\c")] });
    await set("one");
    const [first] = await reader.read("base");
    await set("two");
    const [second] = await reader.read("base");
    expect([first?.xattrs, second?.xattrs]).toEqual([
      { "user.k": Buffer.from("one") },
      { "user.k": Buffer.from("two") },
    ]);
  });

  it("refuses what a node could not apply, all of it at once", async () => {
    const server = createServer().listen(join(rootfs, "sock"));
    await new Promise((resolve) => server.once("listening", resolve));
    await runCommand({ program: "mkfifo", args: [join(rootfs, "pipe")] });
    put("/two\nlines");
    writeFileSync(Buffer.concat([Buffer.from(`${rootfs}/latin`), Buffer.of(0xe9)]), "");
    put("/.wh...");
    put("/.wh.");
    put("/.wh..wh..opq");
    put("/.wh..wh.plnk");
    mkdirSync(join(rootfs, ".wh.dir"));
    put("/odd");
    await runCommand({ program: "setfattr", args: ["-n", "user.a b", join(rootfs, "odd")] });
    const error: unknown = await reader.read("base").catch((reason: unknown) => reason);
    const exists = existsSync(join(rootfs, "sock"));
    server.close();
    expect(exists).toBe(true);
    const whiteout = 'not a whiteout: it has to be a plain file ".wh.NAME"';
    expect(error).toMatchObject({
      code: "overlay-invalid",
      message: [
        'overlay base: "/latin�": the name is not UTF-8',
        '"/two\\nlines": the name has a control character',
        `/.wh.: ${whiteout}`,
        `/.wh...: ${whiteout}`,
        `/.wh..wh..opq: ${whiteout}`,
        `/.wh..wh.plnk: ${whiteout}`,
        `/.wh.dir: ${whiteout}`,
        '/odd: extended attribute "user.a b" is not supported',
        "/pipe: a named pipe cannot be in an overlay",
        "/sock: a socket cannot be in an overlay",
      ].join("; "),
      fix: `correct it in ${rootfs}`,
    });
  });

  it.each(["nope", "../base", "base/rootfs", "", ".", "..", "base\0", "/etc"])(
    "refuses the name %j and says which there are",
    async (name) => {
      mkdirSync(join(overlays, "slurm", "rootfs"), { recursive: true });
      mkdirSync(join(overlays, "unfinished"));
      await expect(reader.read(name)).rejects.toMatchObject({
        code: "overlay-invalid",
        message: `there is no overlay ${JSON.stringify(name)}`,
        fix: `there are: base, slurm (in ${overlays})`,
      });
    },
  );

  it("says how to make the first overlay when there is none", async () => {
    const missing = join(overlays, "missing");
    await expect(openOverlayReader(missing).read("base")).rejects.toMatchObject({
      code: "overlay-invalid",
      fix: `there is none yet: an overlay is a directory ${missing}/NAME/rootfs`,
    });
  });

  it("does not read through a rootfs that is a link", async () => {
    mkdirSync(join(overlays, "evil"));
    symlinkSync("/etc", join(overlays, "evil", "rootfs"));
    await expect(reader.read("evil")).rejects.toMatchObject({ message: 'there is no overlay "evil"' });
  });
});
