import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "muster-trial-"));
  await mkdir(join(root, "run/muster/agent/usr/lib/muster"), { recursive: true });
  await mkdir(join(root, "usr/lib/muster"), { recursive: true });
  await writeFile(join(root, "run/muster/agent/usr/lib/muster/muster-agent"), "of the boot");
  await writeFile(join(root, "usr/lib/muster/muster-agent"), "new");
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** What systemd does before it starts the agent, in a directory instead of "/". */
async function startOnce(): Promise<string> {
  const unit = await readFile("packaging/systemd/muster-agent.service", "utf8");
  const [, script] = /^ExecStartPre=-\/bin\/sh -c '(.*)'$/m.exec(unit) ?? [];
  if (script === undefined) throw new Error("the unit runs nothing before the agent");
  const here = script.replaceAll("$$", "$").replaceAll(/(?<![\w.])\/(?=run\/|usr\/)/g, `${root}/`);
  const { stdout } = await runCommand({ program: "/bin/sh", args: ["-c", here] });
  return stdout;
}

const installed = (): Promise<string> => readFile(join(root, "usr/lib/muster/muster-agent"), "utf8");

test("an agent that is not on trial is started as it is", async () => {
  expect(await startOnce()).toBe("");
  await mkdir(join(root, "run/muster/update"));
  expect(await startOnce()).toBe("");
  expect(await installed()).toBe("new");
});

test("an agent on trial is started five times, and replaced by that of the boot before the sixth", async () => {
  await mkdir(join(root, "run/muster/update"));
  await writeFile(join(root, "run/muster/update/trying"), "");
  for (let start = 1; start <= 5; start++) expect(await startOnce()).toBe("");
  expect(await installed()).toBe("new");
  expect(await startOnce()).toBe("the new agent did not work; the one of the boot is back\n");
  expect(await installed()).toBe("of the boot");
  expect(await startOnce()).toBe("");
  expect(await readFile(join(root, "run/muster/update/failed"), "utf8")).toBe("\n".repeat(6));
});
