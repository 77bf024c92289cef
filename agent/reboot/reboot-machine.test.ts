import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { type Command, runCommand } from "#proto/host/run-command.ts";

import { planReboot } from "./plan-reboot.ts";
import { type RebootHost, rebootMachine } from "./reboot-machine.ts";

const KERNEL = { kind: "kernel" };
test.each([
  [true, false, [{ kind: "command", program: "systemctl", args: ["reboot"] }]],
  [true, true, [{ kind: "command", program: "systemctl", args: ["reboot", "--force"] }, KERNEL]],
  [false, false, [{ kind: "command", program: "reboot", args: [] }, KERNEL]],
  [false, true, [KERNEL]],
])("with systemd %s, by force %s", (isSystemd, force, steps) => {
  expect(planReboot({ isSystemd, force })).toEqual(steps);
});

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "muster-reboot-"));
  await mkdir(join(root, "systemd"));
  await writeFile(join(root, "sysrq"), "");
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A machine whose programs are a function; the time passes at once. */
function machine(run: (command: Command) => Promise<void>): RebootHost & { readonly done: string[] } {
  const done: string[] = [];
  return {
    paths: { systemd: join(root, "systemd"), sysrqTrigger: join(root, "sysrq") },
    run: async (command) => {
      done.push([command.program, ...command.args].join(" "));
      await run(command);
      return { exitCode: 0, stdout: "", stderr: "" };
    },
    log: () => undefined,
    sleep: async (ms) => void done.push(`${ms} ms`),
    done,
  };
}

test("it answers, and restarts when the answer had time to leave; still up after two minutes is a failure", async () => {
  const host = machine(async () => undefined);
  const { lines, act } = await rebootMachine(host, { reason: "root: new\nkernel", force: false });
  expect(lines).toEqual(["restarting"]);
  expect(host.done).toEqual([]);
  await expect(act(new AbortController().signal)).rejects.toThrow(
    "the restart was begun 120 s ago and the machine is still up",
  );
  expect(host.done).toEqual(["250 ms", "systemctl reboot", "120000 ms"]);
});

test("a plain restart that systemd refuses is not forced", async () => {
  const host = machine(() => Promise.reject(new Error("inhibited")));
  const { act } = await rebootMachine(host, { reason: "root", force: false });
  await expect(act(new AbortController().signal)).rejects.toThrow("inhibited");
  expect(host.done).toEqual(["250 ms", "systemctl reboot"]);
  expect(await readFile(join(root, "sysrq"), "utf8")).toBe("");
});

test("by force, the kernel is the last resort", async () => {
  const host = machine(() => Promise.reject(new Error("no manager")));
  const { act } = await rebootMachine(host, { reason: "root", force: true });
  await expect(act(new AbortController().signal)).rejects.toThrow("still up");
  expect(host.done).toEqual(["250 ms", "systemctl reboot --force", "120000 ms"]);
  expect(await readFile(join(root, "sysrq"), "utf8")).toBe("b");
});

test("the journal says who asked and why, on one line", async () => {
  const said: string[] = [];
  await rm(join(root, "systemd"), { recursive: true });
  const host = {
    ...machine(async () => undefined),
    run: runCommand,
    log: (line: string) => void said.push(line),
  };
  await rebootMachine(host, { reason: "root: new\nkernel", force: true });
  expect(said).toEqual(["restarting by force: root: new kernel"]);
});
