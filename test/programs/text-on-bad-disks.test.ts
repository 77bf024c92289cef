import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { parseNodeName } from "#proto/contract/node-name.ts";
import { type CommandResult, runCommandUnchecked } from "#proto/host/run-command.ts";

import { openTestSite, type TestSite } from "../../controller/api/rest/api-test-site.ts";
import { createApi } from "../../controller/api/rest/create-api.ts";
import { listenOnSocket } from "../../controller/api/rest/listen.ts";

const MUSTER = fileURLToPath(new URL("../../controller/cli/main.ts", import.meta.url));

let directory: string;
let site: TestSite;
let close: () => Promise<void>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-export-"));
  site = await openTestSite();
  const api = await createApi(site.deps, { by: "socket" });
  close = () => api.close();
  await listenOnSocket(api, join(directory, "control.sock"), "root");
  const changes = Array.from({ length: 200 }, (_, at) => ({
    ...{ kind: "node" as const, name: parseNodeName(`c${at}`), revision: 0 },
    fields: { comment: "x".repeat(200) },
  }));
  await site.deps.inventory.commit(changes, { user: "test" });
}, 30_000);

afterAll(async () => {
  await close();
  await site[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** Runs a shell line in a mount namespace of its own, where `place` is a file system that `options` say. */
function runWith(options: string, line: string): Promise<CommandResult> {
  const script = `mkdir -p place && mount -t tmpfs -o ${options} tmpfs place && { ${line}; }`;
  return runCommandUnchecked({
    program: "unshare",
    args: ["--mount", "--map-root-user", "sh", "-c", script],
    cwd: directory,
    env: {
      PATH: process.env["PATH"] ?? "",
      MUSTER_SOCKET: join(directory, "control.sock"),
      muster: `${process.execPath} --no-warnings ${MUSTER}`,
    },
    deadlineMs: 60_000,
  });
}

describe("an export", () => {
  it("to a full disk says so, and leaves the file of before", async () => {
    expect(
      await runWith(
        "size=16k",
        "echo before > place/site.yaml; $muster export place/site.yaml; echo [$?]; cat place/site.yaml; ls -A place",
      ),
    ).toMatchObject({
      stdout: "[3]\nbefore\nsite.yaml\n",
      stderr:
        "muster: cannot write place/site.yaml: ENOSPC: no space left on device, write\n  fix: name a place that you may write to, with room\n",
    });
  });

  it("of a directory to a full disk has whole files only, and goes on where it ended", async () => {
    const { stdout, stderr } = await runWith(
      "size=64k",
      "$muster export --directory place; echo [$?]; find place -name '*.tmp' -o -name '*.yaml' -size 0; " +
        "mount -o remount,size=8m place; $muster export --directory place; echo [$?]; ls place/nodes | wc -l",
    );
    expect(stdout).toBe("[3]\n[0]\n200\n");
    expect(stderr).toMatch(/^muster: cannot write place: ENOSPC: no space left on device, write\n {2}fix: /);
    expect(stderr).toMatch(/place: wrote (?!200)\d+ files, [1-9]\d* as they were, removed 0\n$/);
  });

  it.each([
    ["place/site.yaml", "place/site.yaml: EROFS: read-only file system, open"],
    ["--directory place", "place: EROFS: read-only file system, mkdir"],
    ["--directory /proc/muster", "/proc/muster: ENOENT: no such file or directory, mkdir"],
  ])("to where nothing can be written says so: %s", async (target, what) => {
    const { stdout, stderr } = await runWith("ro", `$muster export ${target}; echo [$?]`);
    expect(stdout).toBe("[3]\n");
    expect(stderr).toContain(`muster: cannot write ${what}`);
  });

  it("to a standard output that is full fails, as every command does", async () => {
    const { stdout, stderr } = await runWith(
      "size=16k",
      "$muster export > /dev/full; echo [$?]; $muster node list > /dev/full; echo [$?]",
    );
    expect(stdout).toBe("[3]\n[3]\n");
    expect(stderr).toContain(
      "muster: what was to be written is not complete: ENOSPC: no space left on device, write\n",
    );
  });

  it("to a device is written to it, and the device stays", async () => {
    const { stdout, stderr } = await runWith(
      "size=16k",
      "$muster export /dev/full; echo [$?]; test -c /dev/full && echo stays",
    );
    expect(stdout).toBe("[3]\nstays\n");
    expect(stderr).toContain("muster: cannot write /dev/full: ENOSPC");
  });
});

describe("editing", () => {
  const editor =
    "printf '#!/bin/sh\\n%s\\n' \"$typed\" > editor; chmod +x editor; export EDITOR=$PWD/editor TMPDIR=$PWD/place";

  it("on a full disk says so, and leaves nothing", async () => {
    const { stdout, stderr } = await runWith(
      "size=4k",
      `typed=true; ${editor}; echo x > place/x; $muster node edit c1; echo [$?]; ls place; TMPDIR=/none $muster node edit c1; echo [$?]`,
    );
    expect(stdout).toBe("[3]\nx\n[3]\n");
    expect(stderr).toMatch(/^muster: there is no place for what is to be edited: .*\/place\/.* ENOSPC/);
    expect(stderr).toContain("fix: set TMPDIR to a directory with room\n");
  });

  it("on a disk that is full by then keeps what was typed, whole", async () => {
    // the text fills its pages to the last bytes: with a mark it takes one more, which there is not
    const typed =
      'sed -i s/comment:/coment:/ "$1"; until [ $(stat -c %s "$1") -gt 8170 ]; do echo "#" >> "$1"; done; ' +
      'echo "# the end" >> "$1"; dd if=/dev/zero of=place/x bs=1k count=99 2>/dev/null; true';
    const { stdout, stderr } = await runWith(
      "size=16k",
      `typed='${typed}'; ${editor}; $muster node edit c1; echo [$?]; tail -n 1 place/muster-edit-*/nodes.yaml`,
    );
    expect(stdout).toBe("[2]\n# the end\n");
    expect(stderr).toContain("your text is kept in ");
  });
});
