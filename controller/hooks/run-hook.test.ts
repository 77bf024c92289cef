import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { HookBatch } from "./hook-event.ts";
import { runHook } from "./run-hook.ts";

const AT = new Date("2026-11-20T12:00:00.000Z");
const BATCH: HookBatch = {
  event: "node-down",
  nodes: [
    { name: "c001", at: AT, state: "unreachable", bootId: "b1", address: "10.77.0.1" },
    { name: "c002", at: AT },
  ],
  changes: [],
};
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-hook-"));
});
afterEach(() => rm(directory, { recursive: true }));

async function run(script: string, deadlineMs = 10_000, signal = new AbortController().signal) {
  const path = join(directory, "hook");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  const { ms, ...outcome } = await runHook(path, BATCH, { deadlineMs, now: () => AT }, signal);
  expect(ms).toBeGreaterThanOrEqual(0);
  return outcome;
}

describe("a hook", () => {
  test("is told the event by argument, environment and standard input, and nothing else of musterd", async () => {
    const { stdout, ...rest } = await run('echo "$1 $#"; pwd; env | sort | grep -v ^_; cat');
    expect(rest).toEqual({ outcome: "ok", exitCode: 0, what: "", stderr: "" });
    expect(stdout.split("\n").slice(-4)).toEqual([
      "MUSTER_NODES=c[001-002]",
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "PWD=/",
      JSON.stringify({
        version: 1,
        event: "node-down",
        at: AT,
        nodeset: "c[001-002]",
        nodes: [
          { name: "c001", at: AT, state: "unreachable", bootId: "b1", address: "10.77.0.1" },
          { name: "c002", at: AT },
        ],
      }),
    ]);
  });

  test("need not read its input, however long that is", async () => {
    const nodes = Array.from({ length: 20_000 }, (_, index) => ({ name: `x${index * 3}y`, at: AT }));
    const path = join(directory, "hook");
    await writeFile(path, "#!/bin/sh\nexit 0\n");
    await chmod(path, 0o755);
    const batch = { ...BATCH, nodes };
    const signal = new AbortController().signal;
    expect(await runHook(path, batch, { deadlineMs: 10_000, now: () => AT }, signal)).toMatchObject({
      outcome: "ok",
    });
  });

  test("that fails is told with its status and the end of what it said", async () => {
    expect(await run("seq 9 >&2; exit 7")).toEqual({
      outcome: "failed",
      exitCode: 7,
      what: "exited with 7",
      stdout: "",
      stderr: "5\n6\n7\n8\n9",
    });
  });

  test("that does not end is killed with everything it started", async () => {
    const outcome = await run(
      "echo begun >&2; sleep 300 & echo $! >pid; sleep 300".replace("pid", `${directory}/pid`),
      300,
    );
    expect(outcome).toMatchObject({ outcome: "timed-out", stderr: "begun" });
    expect(outcome.what).toMatch(/did not end within 0\.3 s and was killed/);
  });

  test("that leaves a process of its own session behind does not hold up the next", async () => {
    const outcome = await run("setsid sleep 5 & exit 0", 100);
    expect(outcome).toMatchObject({
      outcome: "timed-out",
      what: expect.stringContaining("holds its output") as string,
    });
  });

  test("killed by a signal, or that cannot be started, is a failure", async () => {
    expect(await run("kill -TERM $$")).toMatchObject({
      outcome: "failed",
      what: expect.stringContaining("SIGTERM") as string,
    });
    const path = join(directory, "nothing");
    await writeFile(path, "no program");
    await chmod(path, 0o755);
    const signal = new AbortController().signal;
    const options = { deadlineMs: 1000, now: () => AT };
    expect((await runHook(path, BATCH, options, signal)).outcome).toBe("failed");
    expect((await runHook(join(directory, "gone"), BATCH, options, signal)).outcome).toBe("failed");
  });

  test("goes with musterd", async () => {
    const stopping = new AbortController();
    setTimeout(() => {
      stopping.abort(new Error("musterd stops"));
    }, 50);
    await expect(run("sleep 300", 10_000, stopping.signal)).rejects.toThrow("musterd stops");
  });
});
