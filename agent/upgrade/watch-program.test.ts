import { copyFile, mkdtemp, rename, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { runCommand } from "#proto/host/run-command.ts";

import { watchProgram } from "./watch-program.ts";

let directory: string;
let program: string;
let exe: string;
let stop: AbortController;
let ended: Promise<unknown>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "muster-program-"));
  program = join(directory, "muster-agent");
  await copyFile("/bin/sh", program);
  stop = new AbortController();
  // A shell that says who it is, as the agent that runs.
  const pid = Promise.withResolvers<string>();
  ended = runCommand(
    { program, args: ["-c", "echo $$ >&2; sleep 60; :"], onErrorLine: pid.resolve },
    stop.signal,
  ).catch(() => undefined);
  exe = `/proc/${await pid.promise}/exe`;
});
afterEach(async () => {
  stop.abort();
  await ended;
  await rm(directory, { recursive: true, force: true });
});

test("a new file renamed over the executable is noticed, once", async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let count = 0;
  const onReplaced = (): void => {
    count += 1;
    resolve(undefined);
  };
  using watcher = watchProgram(program, exe, { onReplaced, log: () => undefined, settleMs: 5 });
  await copyFile("/bin/sleep", `${program}.dpkg-new`);
  await rename(`${program}.dpkg-new`, program);
  await promise;
  await writeFile(`${program}.other`, "");
  expect([count, watcher[Symbol.dispose].length]).toEqual([1, 0]);
});

test("what cannot be watched is said, and is no reason not to run", () => {
  const log: string[] = [];
  const nowhere = join(directory, "missing", "muster-agent");
  using watcher = watchProgram(nowhere, exe, { onReplaced: () => undefined, log: (line) => log.push(line) });
  expect([log, watcher[Symbol.dispose].length]).toEqual([
    [expect.stringMatching(/^a new .*muster-agent will not be noticed: ENOENT/)],
    0,
  ]);
});

test("a removal is no replacement, and what comes after it is", async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let isThere = false;
  const onReplaced = (): void => {
    expect(isThere).toBe(true);
    resolve(undefined);
  };
  using watcher = watchProgram(program, exe, { onReplaced, log: () => undefined, settleMs: 5 });
  await unlink(program);
  await new Promise((settled) => {
    setTimeout(settled, 30);
  });
  isThere = true;
  await copyFile("/bin/sleep", program);
  await promise;
  expect(watcher).toBeDefined();
});
