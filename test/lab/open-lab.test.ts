import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { runCommand, startDaemon } from "#proto/host/run-command.ts";

import { createNamespace, inNamespace, listNamespaces, listProcessesIn } from "./network-namespace.ts";
import { type Lab, mountSmallDisk, openLab } from "./open-lab.ts";
import { readOwnIdentity, readStartTime } from "./process-identity.ts";
import { OWNER_FILE, sweepDeadLabs } from "./sweep-dead-labs.ts";

/** What there is of one lab, or of anything with its name. */
async function tracesOf(name: string): Promise<readonly string[]> {
  const directories = (await readdir(tmpdir())).filter((entry) => entry === name);
  const namespaces = (await listNamespaces(name)).map((path) => `namespace ${path}`);
  return [...directories, ...namespaces];
}

const ignoreLine = (): void => undefined;

test("a lab has its own network, in which names resolve and the controller's address answers", async () => {
  await using lab = await openLab({ name: "test" });
  const { stdout } = await lab.run({ program: "ip", args: ["-brief", "address"] });
  expect(stdout).toMatch(/^lo +UNKNOWN +127\.0\.0\.1\/8 192\.0\.2\.1\/32/m);
  expect(stdout).toMatch(/^br0 +\S+ +10\.77\.0\.1\/24 fd77::1\/64/m);
  expect(stdout).not.toContain("eth0");
  const lookup = { program: "getent", args: ["ahostsv4", "localhost"] };
  expect(await lab.run(lookup)).toMatchObject({ exitCode: 0 });
});

test("a lab that ends leaves no process, tap, namespace, mount or directory", async () => {
  let name = "";
  const pids: number[] = [];
  {
    await using lab = await openLab();
    name = lab.name;
    await lab.addMachine({ name: "m1", mac: "52:54:00:77:01:01", firmware: "bios" });
    const taps = await lab.run({ program: "ip", args: ["-brief", "link", "show", "tap0"] });
    expect(taps.exitCode).toBe(0);
    await mountSmallDisk(lab, join(lab.directory, "small"), 1);
    await writeFile(join(lab.directory, "small", "file"), "x");
    pids.push((await lab.start({ program: "sleep", args: ["600"], onLine: ignoreLine })).pid);
    // One that detaches itself: nobody holds it but the namespace.
    await lab.run({ program: "sh", args: ["-c", "setsid sleep 601 >/dev/null 2>&1 </dev/null &"] });
    await expect.poll(() => listProcessesIn(lab.namespacePath)).toHaveLength(2);
    pids.push(...(await listProcessesIn(lab.namespacePath)));
    expect((await tracesOf(name)).length).toBeGreaterThan(0);
  }
  expect(await tracesOf(name)).toEqual([]);
  expect(await Promise.all(pids.map(readStartTime))).toEqual(pids.map(() => undefined));
  const { stdout } = await runCommand({ program: "cat", args: ["/proc/self/mounts"] });
  expect(stdout).not.toContain(name);
});

test("a lab is taken down after a failure inside it, and the failure is what is reported", async () => {
  let name = "";
  const failing = async (): Promise<void> => {
    await using lab = await openLab();
    name = lab.name;
    throw new Error("the test went wrong");
  };
  await expect(failing()).rejects.toThrow("the test went wrong");
  expect(await tracesOf(name)).toEqual([]);
});

test("what a killed lab left is swept away with its processes, a live lab and foreign things stay", async () => {
  await using live: Lab = await openLab();
  const passed = await startDaemon({ program: "true", args: [], onLine: ignoreLine });
  await passed.exited;
  const deadName = `muster-${passed.pid}-0dead0`;
  const dead = join(tmpdir(), deadName);
  await mkdir(dead);
  const owner = { ...(await readOwnIdentity()), pid: passed.pid, startTime: "1" };
  await writeFile(join(dead, OWNER_FILE), JSON.stringify(owner));
  const namespace = await createNamespace(deadName, dead);
  const mounted = join(dead, "mounted");
  await mkdir(mounted);
  await runCommand({ program: "mount", args: ["-t", "tmpfs", "lab", mounted] });
  await writeFile(join(mounted, "file"), "x");
  const sleeper = await startDaemon({ ...inNamespace(namespace, "sleep", ["600"]), onLine: ignoreLine });

  await using foreign = {
    path: join(tmpdir(), `muster-notes-${process.pid}`),
    [Symbol.asyncDispose]: async () => {
      await runCommand({ program: "rmdir", args: [foreign.path] });
    },
  };
  await mkdir(foreign.path);

  expect(await sweepDeadLabs(tmpdir())).toContain(deadName);
  expect(await tracesOf(deadName)).toEqual([]);
  const { stdout: mounts } = await runCommand({ program: "cat", args: ["/proc/self/mounts"] });
  expect(mounts).not.toContain(deadName);
  expect(await sleeper.exited).toEqual({ code: null, signal: "SIGKILL" });
  expect((await tracesOf(live.name)).length).toBeGreaterThan(0);
  expect((await stat(foreign.path)).isDirectory()).toBe(true);
});

test("a process of the lab dies with the process that opened the lab", async () => {
  const script = `
    import { openLab } from ${JSON.stringify(new URL("./open-lab.ts", import.meta.url).href)};
    const lab = await openLab();
    const sleeper = await lab.start({ program: "sleep", args: ["600"], onLine: () => undefined });
    console.log("pid " + sleeper.pid);
    process.kill(process.pid, "SIGKILL");
  `;
  const lines: string[] = [];
  const opener = await startDaemon({
    program: process.execPath,
    args: ["--input-type=module", "--eval", script],
    onLine: (line) => {
      lines.push(line);
    },
  });
  expect(await opener.exited).toEqual({ code: null, signal: "SIGKILL" });
  await expect.poll(() => lines.join("\n")).toMatch(/^pid \d+$/);
  const pid = Number(lines.join("").slice("pid ".length));
  await expect.poll(() => readStartTime(pid)).toBe(undefined);
  expect((await sweepDeadLabs(tmpdir())).length).toBeGreaterThan(0);
});
