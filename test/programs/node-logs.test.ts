import { expect, test } from "vitest";

import { keepHardwareReported } from "../../agent/hardware/report-hardware.ts";
import { openControllerLink } from "../../agent/session/controller-link.ts";
import { runSession } from "../../agent/session/run-session.ts";
import { shipLogs } from "../../agent/session/ship-logs.ts";
import { makeHardwareTree } from "../../agent/testing/make-hardware-tree.ts";
import { keepHardware } from "../../controller/hardware/keep-hardware.ts";
import { keepLogs } from "../../controller/sessions/keep-logs.ts";
import { LOG_LIMITS } from "../../controller/sessions/plan-log-budget.ts";
import { type BootedNode, bootNode } from "../fixtures/booted-node.ts";
import { type LoopbackController, startLoopbackController } from "../fixtures/controller-on-loopback.ts";
import { waitFor } from "../lab/wait-for.ts";

const DEADLINE_MS = 20_000;

function startController(): Promise<LoopbackController> {
  return startLoopbackController({
    openListeners: async ({ inventory, telemetry, now }) => [
      keepLogs({ history: telemetry, now }),
      keepHardware({ inventory, telemetry, now }),
    ],
  });
}

/** Runs the agent's session with what it says and reports; ends when `until` is done. */
async function runAgent(
  { boot, host }: BootedNode,
  root: string,
  until: (say: (text: string) => void) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const { link, sessions } = openControllerLink(host.log);
  const logs = shipLogs({ paths: boot.paths, now: host.now, uptimeMs: () => 60_000 }, link, stop.signal);
  const log = (line: string): void => {
    host.log(line);
    logs.say("agent", line);
  };
  keepHardwareReported({ ...host, log, hardware: { root } }, link);
  const session = runSession({ ...host, log }, sessions, stop.signal);
  try {
    await until((text) => {
      logs.say("agent", text);
    });
  } finally {
    stop.abort();
    await session;
  }
}

async function textsOf(controller: LoopbackController): Promise<readonly string[]> {
  const lines = await controller.telemetry.listLogs({ node: "c001", limit: 10_000 });
  return lines.map(({ source, text }) => `${source}: ${text}`);
}

test("what a node said while it booted and after is with the controller, with its boot, and its hardware too", async () => {
  await using controller = await startController();
  await using node = await bootNode(controller);
  await using machine = await makeHardwareTree("qemu-q35");
  await node.boot.write("run/muster/boot.log", "[   12.000] muster: enrolled as c001\n");
  await runAgent(node, machine.root, async () => {
    await waitFor(async () => (await textsOf(controller)).length >= 2, {
      what: "the lines of the boot and of the session",
      deadlineMs: DEADLINE_MS,
    });
    await waitFor(
      () => controller.inventory.findHardwareDigest(node.node, "11111111-0000-0000-0000-525400123456"),
      {
        what: "the hardware report",
        deadlineMs: DEADLINE_MS,
      },
    );
  });
  // What it says of its report it may or may not come to say before it ends.
  expect((await textsOf(controller)).slice(0, 2)).toEqual([
    "boot: enrolled as c001",
    `agent: session with 127.0.0.1:${controller.agents.port} open`,
  ]);
  const [line] = await controller.telemetry.listLogs({ node: "c001", boot: "11111111-0000", limit: 1 });
  expect(line?.bootId).toBe("11111111-0000-0000-0000-525400123456");
  expect(controller.bugs).toEqual([]);
});

test("what was said while no controller answered comes with the next session; a node in a loop is cut off", async () => {
  await using controller = await startController();
  await using node = await bootNode(controller);
  await using machine = await makeHardwareTree("qemu-q35");
  await runAgent(node, machine.root, async (say) => {
    for (let n = 1; n <= 600; n++) say(`line ${n}`);
    await waitFor(async () => (await textsOf(controller)).includes("agent: line 600"), {
      what: "the newest line",
      deadlineMs: DEADLINE_MS,
    });
  });
  const texts = await textsOf(controller);
  expect(texts[0]).toMatch(/^agent: 10\d lines before this were lost: nobody took them$/);
  expect(texts.length).toBeLessThanOrEqual(502);
  for (let session = 0; session < 3; session++) {
    await runAgent(node, machine.root, async (say) => {
      for (let n = 1; n <= 600; n++) say(`loop ${session} ${n}`);
      const heard = await controller.telemetry.listLogs({ node: "c001", limit: 1 });
      await waitFor(
        async () => {
          const [last] = await controller.telemetry.listLogs({ node: "c001", limit: 1 });
          return last !== undefined && (last.id !== heard[0]?.id || last.id >= LOG_LIMITS.burst);
        },
        { what: "lines, or the end of the budget", deadlineMs: DEADLINE_MS },
      );
    });
  }
  expect((await textsOf(controller)).length).toBeLessThanOrEqual(LOG_LIMITS.burst + 1);
  expect(controller.bugs).toEqual([]);
});
