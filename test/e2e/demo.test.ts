import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { runCommandUnchecked } from "#proto/host/run-command.ts";

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

test("the demo shows two machines becoming ready, a stranger among them, and leaves nothing behind", async () => {
  // Of its own, so that whatever is left in it is the demo's.
  const directory = await mkdtemp(join(tmpdir(), "muster-demo-"));
  try {
    const { exitCode, stdout, stderr } = await runCommandUnchecked({
      program: "npm",
      args: ["run", "demo", "--", "--exit"],
      cwd: PROJECT,
      // npm itself keeps a cache of compiled code in the temporary directory.
      env: { ...process.env, TMPDIR: directory, NODE_DISABLE_COMPILE_CACHE: "1" },
      deadlineMs: 420_000,
    });
    expect(exitCode, `${stdout}\n${stderr}`).toBe(0);
    expect(stderr).toMatch(/a machine nobody knows waits: muster node approve \S+ --name c002/);
    expect(stderr).toMatch(/2 nodes ready, \d+ s from the start of the demo\./);
    // `muster node list`, then `muster node boots c001` with every stage of it.
    expect(stdout).toMatch(/^c001 .*ready/m);
    expect(stdout).toMatch(/^c002 .*ready/m);
    expect(stdout).toMatch(/userspace/);
    const lab = /MUSTER_SOCKET=\S*\/(muster-\d+-[0-9a-f]{6})\//.exec(stderr)?.[1] ?? "";
    expect(lab).not.toBe("");
    expect(await readdir(directory)).toEqual([]);
    expect(await readdir("/run/netns").catch(() => [])).not.toContain(lab);
    expect(await findProcesses(lab)).toEqual([]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

/** Command lines with this in them: QEMU, musterd and dnsmasq all name files of their lab. */
async function findProcesses(text: string): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  // A process may end while it is looked at.
  const commandLines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  return commandLines.filter((line) => line.includes(text));
}
