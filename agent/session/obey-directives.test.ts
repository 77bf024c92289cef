import { expect, test } from "vitest";

import { MusterError } from "#proto/contract/muster-error.ts";
import type { Directive, DirectiveResult } from "#proto/gen/muster/v1/directive.ts";

import type { AgentMessage, ControllerLink } from "./controller-link.ts";
import { type DirectiveHandlers, obeyDirectives } from "./obey-directives.ts";

const DONE = { code: "", what: "", fix: "" };

/** An agent that is told directives by hand; `results` is what it answered. */
function agentWith(handlers: Partial<DirectiveHandlers>): {
  readonly tell: (id: string, action: Directive["action"], deadlineSeconds?: number) => void;
  readonly results: DirectiveResult[];
  readonly next: () => Promise<void>;
  readonly log: string[];
  readonly running: () => number;
} {
  const results: DirectiveResult[] = [];
  const log: string[] = [];
  let wake = (): void => undefined;
  let deliver: (directive: Directive) => void = () => undefined;
  const link: Pick<ControllerLink, "send" | "onMessage"> = {
    send: (message: AgentMessage) => {
      if (message.$case === "directiveResult") results.push(message.value);
      wake();
      return true;
    },
    onMessage: (_kind, listener) => {
      deliver = listener as typeof deliver;
    },
  };
  const nothing = async (): Promise<readonly string[]> => [];
  const { running } = obeyDirectives(
    link,
    {
      refreshOverlay: nothing,
      reportHardware: nothing,
      runCheck: nothing,
      reboot: async () => ({ lines: ["restarting"], act: () => new Promise(() => undefined) }),
      ...handlers,
    },
    (line) => log.push(line),
  );
  return {
    tell: (id, action, deadlineSeconds = 10) => {
      deliver({ id, deadlineSeconds, action });
    },
    results,
    log,
    running,
    next: () =>
      new Promise((resolve) => {
        wake = resolve;
      }),
  };
}

const refresh: Directive["action"] = { $case: "refreshOverlay", value: {} };
const reboot = (force: boolean): Directive["action"] => ({
  $case: "reboot",
  value: { reason: "root: test", force },
});

test("an id that was answered is answered the same again, and carried out once", async () => {
  let count = 0;
  const agent = agentWith({ refreshOverlay: async () => [`applied ${++count} changes`] });
  agent.tell("a", refresh);
  await agent.next();
  agent.tell("a", refresh);
  const first = { id: "a", ...DONE, lines: ["applied 1 changes"] };
  expect(agent.results).toEqual([first, first]);
  expect(count).toBe(1);
});

test("an id that is asked again while it is under way is answered once, when it is done", async () => {
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  const agent = agentWith({ refreshOverlay: () => promise });
  agent.tell("a", refresh);
  agent.tell("a", refresh);
  expect(agent.running()).toBe(1);
  resolve(["done"]);
  await agent.next();
  expect(agent.results).toEqual([{ id: "a", ...DONE, lines: ["done"] }]);
  expect(agent.running()).toBe(0);
});

test("several things are done at once", async () => {
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  const agent = agentWith({ refreshOverlay: () => promise, reportHardware: async () => ["same"] });
  agent.tell("slow", refresh);
  agent.tell("quick", { $case: "reportHardware", value: {} });
  await agent.next();
  resolve([]);
  await agent.next();
  expect(agent.results.map(({ id }) => id)).toEqual(["quick", "slow"]);
});

test("a directive of a newer controller is refused with a code", async () => {
  const agent = agentWith({});
  agent.tell("a", undefined);
  await agent.next();
  expect(agent.results[0]?.code).toBe("protocol-unsupported");
});

test("what is not done in time is answered as late, and told to end", async () => {
  let wasTold = false;
  const agent = agentWith({
    refreshOverlay: (_action, signal) => {
      signal.addEventListener("abort", () => {
        wasTold = true;
      });
      return new Promise(() => undefined);
    },
  });
  agent.tell("a", refresh, 0.01);
  await agent.next();
  expect(agent.results).toEqual([
    { id: "a", code: "deadline-exceeded", what: "not done within 0.01 s", fix: "", lines: [] },
  ]);
  expect(wasTold).toBe(true);
});

test("a failure is answered with its code; a bug as internal, with its stack in the journal", async () => {
  const failure = new MusterError({ code: "disk-full", what: "no space left", fix: "free some" });
  const agent = agentWith({
    refreshOverlay: () => Promise.reject(failure),
    reportHardware: () => Promise.reject(new Error("a bug")),
  });
  agent.tell("a", refresh);
  await agent.next();
  agent.tell("b", { $case: "reportHardware", value: {} });
  await agent.next();
  expect(agent.results).toEqual([
    { id: "a", code: "disk-full", what: "no space left", fix: "free some", lines: [] },
    { id: "b", code: "internal", what: "a bug", fix: "", lines: [] },
  ]);
  expect(agent.log).toHaveLength(1);
  expect(agent.log[0]).toMatch(/^directive reportHardware: Error: a bug\n {4}at /);
});

test("the node restarts after it answered; until then it does nothing else", async () => {
  const acted = Promise.withResolvers<undefined>();
  const answeredBefore: string[] = [];
  const agent = agentWith({
    reboot: async () => ({
      lines: ["restarting"],
      act: async () => {
        answeredBefore.push(...agent.results.map(({ id }) => id));
        acted.resolve(undefined);
        await new Promise(() => undefined);
      },
    }),
  });
  agent.tell("r1", reboot(false));
  await acted.promise;
  expect(answeredBefore).toEqual(["r1"]);
  agent.tell("r2", reboot(false));
  await agent.next();
  agent.tell("c", refresh);
  await agent.next();
  expect(agent.results.map(({ id, code, lines }) => [id, code, ...lines])).toEqual([
    ["r1", "", "restarting"],
    ["r2", "node-restarting"],
    ["c", "node-restarting"],
  ]);
});

test("a restart by force takes the place of one that hangs", async () => {
  const signals: AbortSignal[] = [];
  const agent = agentWith({
    reboot: async ({ force }) => ({
      lines: [force ? "by force" : "in order"],
      act: (signal) => {
        signals.push(signal);
        return new Promise(() => undefined);
      },
    }),
  });
  agent.tell("r1", reboot(false));
  await agent.next();
  agent.tell("r2", reboot(true));
  await agent.next();
  expect(agent.results.map(({ lines }) => lines)).toEqual([["in order"], ["by force"]]);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
});

test("a restart that cannot be begun is told in the journal, and the node obeys again", async () => {
  const { promise, reject } = Promise.withResolvers<undefined>();
  const agent = agentWith({
    reboot: async () => ({
      lines: ["restarting"],
      act: async () => {
        await promise;
      },
    }),
  });
  agent.tell("r", reboot(false));
  await agent.next();
  reject(new MusterError({ code: "command-failed", what: "systemctl reboot exited with 1" }));
  await new Promise(setImmediate);
  expect(agent.log).toEqual(["systemctl reboot exited with 1"]);
  agent.tell("c", refresh);
  await agent.next();
  expect(agent.results.at(-1)).toEqual({ id: "c", ...DONE, lines: [] });
});

test("more than sixteen at once are too many, and the last 64 results are remembered", async () => {
  const agent = agentWith({ refreshOverlay: () => new Promise(() => undefined) });
  for (let i = 0; i < 17; i++) agent.tell(`open-${i}`, refresh);
  await agent.next();
  expect(agent.results.map(({ id, code }) => [id, code])).toEqual([["open-16", "too-many-requests"]]);

  let count = 0;
  const busy = agentWith({ refreshOverlay: async () => [`${++count}`] });
  for (let i = 0; i < 66; i++) {
    busy.tell(`id-${i}`, refresh);
    await busy.next();
  }
  busy.tell("id-65", refresh);
  expect(count).toBe(66);
  busy.tell("id-0", refresh);
  await busy.next();
  expect(count).toBe(67);
});
