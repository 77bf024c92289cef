import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";

import { expect, test } from "vitest";

import type { HardwareReport } from "#proto/contract/hardware-report.ts";
import type { Welcome } from "#proto/gen/muster/v1/session.ts";

import { openControllerLink } from "../session/controller-link.ts";
import { type HardwareTree, makeHardwareTree } from "../testing/make-hardware-tree.ts";
import { keepHardwareReported } from "./report-hardware.ts";

const signal = new AbortController().signal;

interface Sent {
  readonly digest: string;
  readonly report: Buffer;
}

/** A node that is the recorded machine, and a controller that has `known` of it. */
function node(tree: HardwareTree, sleep: (ms: number) => Promise<void> = async () => undefined) {
  const log: string[] = [];
  const sent: Sent[] = [];
  const slept: number[] = [];
  const { promise: heard, resolve: hear } = Promise.withResolvers<undefined>();
  const { link, sessions } = openControllerLink((line) => log.push(line));
  const duty = keepHardwareReported(
    {
      log: (line) => {
        log.push(line);
        hear(undefined);
      },
      random: () => 0.5,
      sleep: async (ms, ended) => {
        slept.push(ms);
        await sleep(ms);
        ended.throwIfAborted();
      },
      paths: { hardware: join(tree.root, "hardware.json") },
      hardware: { root: tree.root },
    },
    link,
  );
  const open = (known: string): Disposable =>
    sessions.open(
      (message) => {
        if (message.$case === "hardwareReport") sent.push(message.value);
      },
      { protocolVersion: 1, heartbeatSeconds: 30, hardwareDigest: known } as Welcome,
    );
  return { duty, open, sent, log, slept, heard };
}

test("a controller that has no report gets one some seconds after its welcome, and the next one that knows it none", async () => {
  await using tree = await makeHardwareTree("qemu-q35");
  const { open, sent, log, slept, heard } = node(tree);
  {
    using session = open("");
    expect(session).toBeDefined();
    await heard;
  }
  const [first] = sent;
  if (first === undefined) throw new Error("nothing was sent");
  expect(first.digest).toBe(`sha256:${createHash("sha256").update(first.report).digest("hex")}`);
  expect((JSON.parse(first.report.toString()) as HardwareReport).system.serial).toBe("LAB-C001");
  using again = open(first.digest);
  expect(again).toBeDefined();
  expect([sent.length, slept, log]).toEqual([1, [16_500], ["hardware reported"]]);
});

test("an agent that was started again looks, and is silent when the controller has it right", async () => {
  await using tree = await makeHardwareTree("qemu-q35");
  const first = node(tree);
  {
    using session = first.open("");
    expect(session).toBeDefined();
    await first.heard;
  }
  const second = node(tree);
  using session = second.open(first.sent[0]?.digest ?? "");
  expect(session).toBeDefined();
  // What it answers after it has looked shows that it sent nothing before.
  expect(await second.duty.report(signal)).toEqual(["as last reported"]);
  expect(second.sent).toEqual(first.sent);
  expect(second.log).toEqual([]);
});

test("a session that ends before its time costs the node no look", async () => {
  await using tree = await makeHardwareTree("qemu-q35");
  const { promise: over, resolve: end } = Promise.withResolvers<undefined>();
  const { open, sent, log } = node(tree, () => over);
  {
    using session = open("");
    expect(session).toBeDefined();
  }
  end(undefined);
  await over;
  expect([sent, log]).toEqual([[], []]);
});

test("what changed since the last report is told by a check, which reports nothing, and by a report", async () => {
  await using tree = await makeHardwareTree("qemu-q35");
  // Nothing is reported but what is asked for.
  const { duty, open, sent } = node(tree, () => new Promise(() => undefined));
  expect(await duty.compare(signal)).toEqual([]);
  await expect(duty.report(signal)).rejects.toMatchObject({ code: "controller-unreachable" });
  using session = open("");
  expect(session).toBeDefined();
  expect(await duty.report(signal)).toEqual(["first report of this boot"]);
  await rm(join(tree.root, "sys/block/nvme0n1"));
  expect(await duty.compare(signal)).toEqual(["disk nvme0n1 gone (67.11 MB, QEMU NVMe Ctrl)"]);
  expect(sent.length).toBe(1);
  expect(await duty.report(signal)).toEqual(["disk nvme0n1 gone (67.11 MB, QEMU NVMe Ctrl)"]);
  expect(await duty.compare(signal)).toEqual([]);
  expect(sent[1]?.report).toEqual(await readFile(join(tree.root, "hardware.json")));
});

test("a look that fails is said, and the agent goes on", async () => {
  await using tree = await makeHardwareTree();
  const { open, sent, log, heard } = node(tree);
  using session = open("");
  expect(session).toBeDefined();
  await heard;
  expect([sent.length, log.length, log[0]?.startsWith("hardware not reported: ")]).toEqual([0, 1, true]);
});
