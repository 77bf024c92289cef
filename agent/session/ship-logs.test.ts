import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { LogLine, Welcome } from "#proto/gen/muster/v1/session.ts";

import { makeTestHost, type TestHost } from "../testing/test-host.ts";
import { type AgentMessage, openControllerLink } from "./controller-link.ts";
import { openLogRing } from "./log-ring.ts";
import { parseBootLog } from "./parse-boot-log.ts";
import { shipLogs } from "./ship-logs.ts";

const WELCOME: Welcome = {
  protocolVersion: 1,
  heartbeatSeconds: 30,
  hardwareDigest: "",
  overlaySchedule: undefined,
  agent: undefined,
};

let boot: TestHost;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  boot = await makeTestHost();
});

afterEach(async () => {
  vi.useRealTimers();
  await boot[Symbol.asyncDispose]();
});

/** A node whose kernel started at 1,000,000 ms by its clock, and what each message of its sessions said. */
function node() {
  const log: string[] = [];
  const { link, sessions } = openControllerLink((line) => log.push(line));
  const messages: string[][] = [];
  const write = (message: AgentMessage): void => {
    if (message.$case !== "logLines") throw new Error(`not expected: ${message.$case}`);
    messages.push(message.value.lines.map(({ source, text }) => `${source}: ${text}`));
  };
  const stop = new AbortController();
  const host = { paths: boot.paths, now: () => 1_005_000, uptimeMs: () => 5000 };
  const { say } = shipLogs(host, link, stop.signal);
  return { say, messages, log, open: () => sessions.open(write, WELCOME), stop };
}

const count = (messages: readonly (readonly string[])[]) =>
  vi.waitFor(() => {
    if (messages.length === 0) throw new Error("nothing was sent yet");
    return messages;
  });

test("what the boot said goes first and once, then what was said before the session opened, at once", async () => {
  await boot.write(
    "run/muster/boot.log",
    "[    1.500] muster: eth0 is up\nnoise\n[    2.000] muster: enrolled\n",
  );
  const { say, messages, open } = node();
  say("agent", "starting");
  using first = open();
  expect(first).toBeDefined();
  await count(messages);
  expect(messages).toEqual([["boot: eth0 is up", "boot: enrolled"], ["agent: starting"]]);
  const again = node();
  again.say("agent", "started again");
  using second = again.open();
  expect(second).toBeDefined();
  expect(await count(again.messages)).toEqual([["agent: started again"]]);
});

test("what an agent says last is sent before it ends", async () => {
  const { say, messages, open, stop } = node();
  say("agent", "before");
  using session = open();
  expect(session).toBeDefined();
  await count(messages);
  say("agent", "restarting: asked by root");
  stop.abort();
  expect(messages.at(-1)).toEqual(["agent: restarting: asked by root"]);
  expect(vi.getTimerCount()).toBe(0);
});

test("later lines wait and go together; nothing runs while nothing is said", async () => {
  const { say, messages, open } = node();
  say("agent", "before");
  using session = open();
  expect(session).toBeDefined();
  await count(messages);
  expect(vi.getTimerCount()).toBe(0);
  say("agent", "one");
  say("reaction", "two\n\nthree\n");
  expect([vi.getTimerCount(), messages.length]).toEqual([1, 1]);
  vi.advanceTimersByTime(999);
  expect(messages.length).toBe(1);
  vi.advanceTimersByTime(1);
  expect(messages.slice(1)).toEqual([["agent: one", "reaction: two", "reaction: three"]]);
  expect(vi.getTimerCount()).toBe(0);
});

test("while no controller answers the newest lines are kept, and it is said how many were lost", async () => {
  const { say, messages, open } = node();
  {
    using session = open();
    expect(session).toBeDefined();
    say("agent", "waits");
  }
  for (let n = 1; n <= 510; n++) say("agent", `line ${n}`);
  expect(vi.getTimerCount()).toBe(0);
  using session = open();
  expect(session).toBeDefined();
  await count(messages);
  expect(messages.map((lines) => lines.length)).toEqual([201, 200, 100]);
  expect(messages[0]?.slice(0, 2)).toEqual([
    "agent: 11 lines before this were lost: nobody took them",
    "agent: line 11",
  ]);
  expect(messages.at(-1)?.at(-1)).toBe("agent: line 510");
});

test("a boot that said too much is told by its end", async () => {
  const lines = Array.from({ length: 1000 }, (_, n) => `[    1.000] muster: try ${n}\n`);
  await boot.write("run/muster/boot.log", lines.join(""));
  const { messages, open } = node();
  using session = open();
  expect(session).toBeDefined();
  await count(messages);
  expect([messages.flat().length, messages[0]?.[0]]).toEqual([400, "boot: try 600"]);
});

test("lines of the console have the time of the node's clock of now", () => {
  expect(
    parseBootLog("[    1.500] muster: eth0 is up\n[ 1234.000] muster: a: b\nmuster: x\n", 1_000_000),
  ).toEqual([
    { atMs: 1_001_500, source: "boot", text: "eth0 is up" },
    { atMs: 2_234_000, source: "boot", text: "a: b" },
  ]);
});

test("a line that is too long is cut", () => {
  const ring = openLogRing(3);
  const line = (text: string): LogLine => ({ atMs: 5, source: "agent", text });
  ring.add(line("x".repeat(600)));
  expect(ring.take(5, 0)).toEqual([line("x".repeat(500))]);
  expect([ring.isEmpty(), ring.take(5, 0)]).toEqual([true, []]);
});
