import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { type Command, runCommandUnchecked } from "#proto/host/run-command.ts";

import { hostPathsAt } from "../host-paths.ts";
import { convergeOverlay } from "./converge-overlay.ts";
import { openNodeDisk } from "./node-disk.ts";
import { runReactions } from "./run-reactions.ts";
import type { RuntimeHost } from "./runtime-host.ts";
import { makeOverlayNode, overlayOf, requestOf } from "./testing/overlay-node.ts";

const never = new AbortController().signal;
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "muster-reactions-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

function host(run: RuntimeHost["run"] = runCommandUnchecked): RuntimeHost {
  const none = { read: async () => new Map<string, never>(), write: async () => undefined };
  return {
    root,
    paths: hostPathsAt(root),
    disk: openNodeDisk(none, "/proc/self/mountinfo"),
    now: Date.now,
    log: () => undefined,
    run,
  };
}

const reaction = (command: string, deadlineSeconds = 20): Parameters<typeof runReactions>[1][number] => ({
  globs: ["/**"],
  command,
  deadlineSeconds,
});

test("a reaction keeps its quoting, runs in /, and its status and the end of its output are told", async () => {
  const results = await runReactions(
    host(),
    [
      reaction(`pwd; printf '%s|' "it's $((1 + 1))" \${HOME:+set}; echo on stderr >&2; exit 7`),
      reaction("seq 1 100000"),
      reaction("kill -KILL $$"),
    ],
    never,
  );
  const [first, second, third] = results;
  expect(first).toMatchObject({ failure: "exit status 7", outputTail: "/\nit's 2|set|on stderr\n" });
  expect(second).toMatchObject({ failure: "" });
  expect(second?.outputTail).toHaveLength(4096);
  expect(second?.outputTail.endsWith("\n99999\n100000\n")).toBe(true);
  expect(third).toMatchObject({ failure: "exit status 137" });
  expect(await readdir(join(root, "run/muster/reactions"))).toEqual([]);
});

test("a reaction that does not end is ended with all it started, what it printed is kept, and the next one runs", async () => {
  const results = await runReactions(
    host(),
    [reaction("echo begun; sleep 77.25 & sleep 77.25", 1), reaction("echo next")],
    never,
  );
  expect(results).toMatchObject([
    { failure: "no end within 1 s", outputTail: "begun\n" },
    { failure: "", outputTail: "next\n" },
  ]);
  const { stdout } = await runCommandUnchecked({ program: "pgrep", args: ["-f", "sleep 77.25"] });
  expect(stdout).toBe("");
});

test("with systemd a reaction is a unit of its own, outside the agent's", async () => {
  const commands: string[][] = [];
  const run = async (command: Command): ReturnType<RuntimeHost["run"]> => {
    commands.push([command.program, ...command.args]);
    const script = command.args.at(-1) ?? "";
    if (command.program !== "systemd-run") return { exitCode: 0, stdout: "", stderr: "" };
    return runCommandUnchecked({ program: "/bin/sh", args: [script] });
  };
  const systemd = join(root, "run/systemd/system");
  await runCommandUnchecked({ program: "mkdir", args: ["-p", systemd] });
  const results = await runReactions(host(run), [reaction("echo hello", 30)], never);
  expect(results).toMatchObject([{ failure: "", outputTail: "hello\n" }]);
  expect(commands).toEqual([
    [
      "systemd-run",
      "--quiet",
      "--collect",
      expect.stringMatching(/^--unit=muster-reaction-[0-9a-f]{12}\.service$/) as string,
      "--property=Type=oneshot",
      "--property=TimeoutStartSec=36",
      "--property=TimeoutStopSec=5",
      "--",
      "/bin/sh",
      expect.stringMatching(/\/run\/muster\/reactions\/[0-9a-f]{12}\/run$/) as string,
    ],
  ]);
});

test("a reaction that could not be started says why", async () => {
  const stderr = "Failed to start transient service unit: Access denied\n";
  const run = async (): ReturnType<RuntimeHost["run"]> => ({ exitCode: 1, stdout: "", stderr });
  const results = await runReactions(host(run), [reaction("true")], never);
  expect(results).toMatchObject([
    { failure: "it did not run to its end: Failed to start transient service unit: Access denied" },
  ]);
});

test("a reaction runs once per update, when a path it names changed, and again when the agent ended before it", async () => {
  await using node = await makeOverlayNode();
  const count = join(node.root, "run-count");
  const reactions = [
    { globs: ["/etc/ssh/**", "/etc/a"], command: `echo x >>${count}`, deadlineSeconds: 5 },
    { globs: ["/nothing"], command: `echo never >>${count}`, deadlineSeconds: 5 },
  ];
  const runs = async (): Promise<number> =>
    (await readFile(count, "utf8").catch(() => "")).split("\n").length - 1;
  const first = overlayOf({ "/etc/a": "a", "/etc/ssh/b": "b", "/etc/ssh/c": "c" }, { reactions });
  await node.apply(first);
  expect(await runs()).toBe(1);
  await node.apply(first);
  expect(await runs()).toBe(1);
  await node.apply(
    overlayOf({ "/etc/a": "a", "/etc/other": "o", "/etc/ssh/b": "b", "/etc/ssh/c": "c" }, { reactions }),
  );
  expect(await runs()).toBe(1);
  const ended = node.withDisk((disk) => ({
    ...disk,
    unlink: (path) => (path.endsWith("update.json") ? Promise.reject(new Error("ended")) : disk.unlink(path)),
  }));
  await expect(node.apply(overlayOf({ "/etc/ssh/b": "b" }, { reactions }), ended)).rejects.toThrow("ended");
  expect(await runs()).toBe(2);
  const outcome = await node.look();
  expect(await runs()).toBe(3);
  expect(outcome.reactions).toMatchObject([{ failure: "" }]);
  await node.look();
  expect(await runs()).toBe(3);
});

test("of an update in two halves reactions run once, when both are there, also when the agent ends in between", async () => {
  for (const isEnded of [false, true]) {
    await using node = await makeOverlayNode();
    const seen = join(node.root, "run-seen");
    const command = `cat ${join(node.root, "etc/app/conf")} >>${seen}`;
    const reactions = [{ globs: ["/etc/b"], command, deadlineSeconds: 5 }];
    await node.apply(overlayOf({ "/etc/app": "a file", "/etc/b": "1" }));
    const next = overlayOf({ "/etc/app/conf": "whole;", "/etc/b": "2" }, { reactions });
    let adopted = 0;
    const parts = node.withDisk((disk) => ({
      ...disk,
      rename: async (from, to) => {
        if (isEnded && adopted > 0 && to.endsWith("/etc/app")) throw new Error("ended");
        await disk.rename(from, to);
        if (to.endsWith("/applied.json")) adopted += 1;
      },
    }));
    const applied = node.apply(next, parts);
    await (isEnded ? expect(applied).rejects.toThrow("ended") : applied);
    if (isEnded) await node.look();
    expect(await readFile(seen, "utf8")).toBe("whole;");
    await node.apply(next);
    expect(await readFile(seen, "utf8")).toBe("whole;");
  }
});

test("a reaction that ends the agent each time is given up after three times", async () => {
  await using node = await makeOverlayNode();
  const reactions = [{ globs: ["/etc/a"], command: "true", deadlineSeconds: 5 }];
  const stop = AbortSignal.abort(new Error("the agent ended"));
  const overlay = overlayOf({ "/etc/a": "a" }, { reactions });
  const parts = node.withDisk((disk) => ({
    ...disk,
    unlink: (path) => (path.endsWith("update.json") ? Promise.reject(new Error("ended")) : disk.unlink(path)),
  }));
  await expect(node.apply(overlay, parts)).rejects.toThrow("ended");
  const again = (): Promise<unknown> => convergeOverlay(node.parts, requestOf(overlay, node.parts), stop);
  await expect(again()).rejects.toThrow("the agent ended");
  await expect(again()).rejects.toThrow("the agent ended");
  const { reactions: results } = await node.look();
  expect(results).toMatchObject([
    { command: "true", failure: "the agent ended 3 times while its reactions ran; they are not tried again" },
  ]);
  expect((await node.look()).reactions).toEqual([]);
});
