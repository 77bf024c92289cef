import { expect, test } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";
import { runCheck } from "../../agent/checks/run-check.ts";
import { openControllerLink } from "../../agent/session/controller-link.ts";
import { type DirectiveHandlers, obeyDirectives } from "../../agent/session/obey-directives.ts";
import { runSession } from "../../agent/session/run-session.ts";
import { askNodes } from "../../controller/sessions/ask-nodes.ts";
import { openDirectives } from "../../controller/sessions/open-directives.ts";
import { bootNode, type BootedNode } from "../fixtures/booted-node.ts";
import { type LoopbackController, startLoopbackController } from "../fixtures/controller-on-loopback.ts";

const OPTIONS = { deadlineMs: 10_000 };
const refresh = { $case: "refreshOverlay", value: {} } as const;

/** The agent of a node with these handlers, until it is disposed of. */
async function runAgent(
  controller: LoopbackController,
  { host, node }: BootedNode,
  handlers: Partial<DirectiveHandlers>,
): Promise<AsyncDisposable & { readonly stop: () => void }> {
  const { link, sessions } = openControllerLink(host.log);
  const nothing = async (): Promise<readonly string[]> => [];
  obeyDirectives(
    link,
    {
      ...{ refreshOverlay: nothing, reportHardware: nothing, runCheck: nothing },
      reboot: async () => ({ lines: ["restarting"], act: async () => undefined }),
      ...handlers,
    },
    host.log,
  );
  const stop = new AbortController();
  const ready = Promise.withResolvers<undefined>();
  const unsubscribe = controller.fleet.onChange((status) => {
    if (status.node === node && status.state === "ready") ready.resolve(undefined);
  });
  const ended = runSession(host, sessions, stop.signal);
  await Promise.race([ready.promise, ended]);
  unsubscribe();
  return {
    stop: () => {
      stop.abort();
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
    },
  };
}

test("nodes are asked over their sessions, and each answers for itself", async () => {
  const directives = openDirectives();
  await using controller = await startLoopbackController({ openListeners: async () => [directives] });
  await using c001 = await bootNode(controller, { name: "c001", mac: "52:54:00:00:00:01" });
  await using c002 = await bootNode(controller, { name: "c002", mac: "52:54:00:00:00:02" });
  const c003 = await controller.addNode("c003", "52:54:00:00:00:03");
  const full = new MusterError({ code: "disk-full", what: "no space left on /", fix: "free some" });
  await using one = await runAgent(controller, c001, { refreshOverlay: async () => ["applied 3 changes"] });
  await using two = await runAgent(controller, c002, { refreshOverlay: () => Promise.reject(full) });
  const answers = await askNodes(directives, [c001.node, c002.node, c003], () => refresh, OPTIONS);
  expect(
    answers.map((answer) => ("lines" in answer ? answer.lines : [answer.error.code, answer.error.message])),
  ).toEqual([["applied 3 changes"], ["disk-full", "no space left on /"], ["node-unreachable", "no session"]]);
  expect([one, two].map((agent) => typeof agent.stop)).toEqual(["function", "function"]);
  expect(controller.bugs).toEqual([]);
});

test("a check measures the clock of the node against that of the controller", async () => {
  const directives = openDirectives();
  await using controller = await startLoopbackController({ openListeners: async () => [directives] });
  await using node = await bootNode(controller);
  const host = {
    ...{ now: () => Date.now() - 60_000, root: "/" },
    verifyOverlay: async () => ["/etc/motd: content"],
    compareHardware: async () => [],
  };
  await using agent = await runAgent(controller, node, {
    runCheck: (action, signal) => runCheck(host, action, signal),
  });
  const ask = (name: string): Promise<readonly string[]> =>
    directives.send(node.node, { $case: "runCheck", value: { name, controllerTimeMs: Date.now() } }, OPTIONS);
  expect(await ask("clock")).toEqual([
    expect.stringMatching(/^failed clock: (59\.9|60\.\d) s behind the controller's$/),
  ]);
  expect(await ask("overlay")).toEqual(["failed overlay: /etc/motd: content"]);
  await expect(ask("weather")).rejects.toMatchObject({ code: "argument-invalid" });
  agent.stop();
});

test("a node whose agent ends while it is asked is unreachable; what it did meanwhile is done once", async () => {
  const directives = openDirectives();
  await using controller = await startLoopbackController({ openListeners: async () => [directives] });
  await using node = await bootNode(controller);
  const begun = Promise.withResolvers<undefined>();
  let count = 0;
  await using agent = await runAgent(controller, node, {
    refreshOverlay: (_action, signal) => {
      count += 1;
      begun.resolve(undefined);
      return new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason as Error);
        });
      });
    },
  });
  const answer = directives.send(node.node, refresh, { deadlineMs: 60_000 });
  await begun.promise;
  agent.stop();
  await expect(answer).rejects.toMatchObject({
    code: "node-unreachable",
    message: "its session ended before it answered",
  });
  expect(count).toBe(1);
});

test("a node that was told to restart is booting when its session ends, and nobody is alarmed", async () => {
  const directives = openDirectives();
  await using controller = await startLoopbackController({ openListeners: async () => [directives] });
  await using node = await bootNode(controller);
  const reasons: string[] = [];
  await using agent = await runAgent(controller, node, {
    reboot: async ({ reason, force }) => {
      reasons.push(`${reason} ${String(force)}`);
      return {
        lines: ["restarting"],
        act: async () => {
          agent.stop();
        },
      };
    },
  });
  const lines = await directives.send(
    node.node,
    { $case: "reboot", value: { reason: "asked by root: new kernel", force: false } },
    OPTIONS,
  );
  controller.fleet.restartAnswered(node.node, new Date());
  expect([lines, reasons]).toEqual([["restarting"], ["asked by root: new kernel false"]]);
  const { state, stage } = await new Promise<{ state: string; stage?: string }>((resolve) => {
    const look = (): void => {
      const status = controller.fleet.statusOf(node.node);
      if (status.state !== "ready") resolve(status);
    };
    controller.fleet.onChange(look);
    look();
  });
  expect([state, stage]).toEqual(["booting", "restarting"]);
  expect(await controller.eventKinds()).not.toContain("node-unreachable");
});
