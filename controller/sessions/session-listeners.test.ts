import type { ChannelCredentials } from "@grpc/grpc-js";
import { expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import type { NodeName } from "#proto/contract/node-name.ts";
import { type ConnectResponse, SessionClient } from "#proto/gen/muster/v1/session.ts";
import {
  enrolAsNode,
  type LoopbackController,
  makeMachine,
  startLoopbackController,
} from "../../test/fixtures/controller-on-loopback.ts";
import { waitFor } from "../../test/lab/wait-for.ts";
import { mintToken } from "../identity/enrolment-tokens.ts";
import { openDirectives } from "./open-directives.ts";
import type { SessionListener } from "./serve-session.ts";

const MAC = "52:54:00:12:34:56";
const BOOT = "11111111-0000-0000-0000-000000000001";
const SOON = { deadlineMs: 10_000, intervalMs: 5 };

async function bootNode(
  controller: LoopbackController,
): Promise<{ readonly name: NodeName; readonly tls: ChannelCredentials }> {
  const name = await controller.addNode("c001", MAC);
  const token = await mintToken({
    ...{ inventory: controller.inventory, node: name, lifetimeSeconds: 300, now: controller.clock.now },
    ...{ bootMac: parseMacAddress(MAC), sourceAddress: "127.0.0.1" },
  });
  const machine = await makeMachine(MAC, { token, bootId: BOOT });
  return { name, tls: (await enrolAsNode(controller, machine)).tls };
}

/** Says hello. `welcomed` resolves with the welcome, and never without. */
function sayHello(controller: LoopbackController, tls: ChannelCredentials) {
  const client = new SessionClient(`localhost:${controller.agents.port}`, tls, {
    "grpc.use_local_subchannel_pool": 1,
  });
  const stream = client.connect();
  const welcomed = new Promise<void>((resolve) => {
    stream.on("data", ({ message }: ConnectResponse) => {
      if (message?.$case === "welcome") resolve();
    });
  });
  // How it ends is seen on the other side.
  stream.on("error", () => undefined);
  const value = { protocolVersion: 1, agentVersion: "1", bootId: BOOT, imageName: "d", imageVersion: 1 };
  stream.write({ message: { $case: "hello", value: { ...value, machine: undefined, agentDigest: "" } } });
  return {
    stream,
    welcomed,
    hangUp: () => {
      stream.cancel();
      client.close();
    },
  };
}

/** Listens to what is told of sessions, under numbers in the order of their first mention. */
function listen(told: string[]): SessionListener {
  const numbers = new Map<object, number>();
  const numberOf = (session: object): number => {
    const number = numbers.get(session) ?? numbers.size + 1;
    numbers.set(session, number);
    return number;
  };
  return {
    opened: (session) => void told.push(`opened ${numberOf(session)}`),
    closed: (session) => void told.push(`closed ${numberOf(session)}`),
  };
}

test("a node that hangs up before it is welcomed leaves no session behind to be asked over", async () => {
  const told: string[] = [];
  const directives = openDirectives();
  const held = Promise.withResolvers<undefined>();
  await using controller = await startLoopbackController({
    openListeners: async () => [directives, listen(told)],
    beforeWelcome: () => held.promise,
  });
  const node = await bootNode(controller);
  const session = sayHello(controller, node.tls);
  await waitFor(() => controller.session.openSessions() === 1, { what: "the hello", ...SOON });
  session.hangUp();
  await waitFor(() => controller.session.openSessions() === 0, { what: "the end", ...SOON });
  held.resolve(undefined);
  // Another one, and its end: what the first one's welcome did has been done by then.
  const next = sayHello(controller, node.tls);
  await next.welcomed;
  next.hangUp();
  await waitFor(() => controller.session.openSessions() === 0, { what: "the end", ...SOON });
  expect(told).toEqual(["closed 1", "opened 2", "closed 2"]);
  await expect(
    directives.send(node.name, { $case: "reportHardware", value: {} }, { deadlineMs: 1000 }),
  ).rejects.toMatchObject({ code: "node-unreachable" });
  expect(controller.bugs).toEqual([]);
});

test("a session whose place another takes is told as closed, before the other is open", async () => {
  const told: string[] = [];
  await using controller = await startLoopbackController({ openListeners: async () => [listen(told)] });
  const node = await bootNode(controller);
  const first = sayHello(controller, node.tls);
  await first.welcomed;
  const second = sayHello(controller, node.tls);
  await second.welcomed;
  expect(told).toEqual(["opened 1", "closed 1", "opened 2"]);
  first.hangUp();
  second.hangUp();
});

test("a listener that fails when a session ends is a bug that harms nobody", async () => {
  const told: string[] = [];
  const broken = new Error("broken");
  const fails: SessionListener = {
    closed: () => {
      throw broken;
    },
  };
  await using controller = await startLoopbackController({
    openListeners: async () => [fails, listen(told)],
  });
  const node = await bootNode(controller);
  const session = sayHello(controller, node.tls);
  await session.welcomed;
  session.hangUp();
  await waitFor(() => told.includes("closed 1"), { what: "the end", ...SOON });
  expect(controller.bugs).toEqual([broken]);
});

test("a node that says too much at once is heard to the end, at the pace it is given", async () => {
  await using controller = await startLoopbackController();
  const node = await bootNode(controller);
  const session = sayHello(controller, node.tls);
  await session.welcomed;
  const startedMs = performance.now();
  for (let count = 0; count < 2100; count += 1)
    session.stream.write({ message: { $case: "heartbeat", value: { uptimeSeconds: count } } });
  session.stream.write({ message: { $case: "ready", value: { stages: [], uptimeMs: 1 } } });
  await waitFor(() => controller.fleet.statusOf(node.name).state === "ready", { what: "the end", ...SOON });
  // A burst of 2,000, then 100 a second.
  expect(performance.now() - startedMs).toBeGreaterThan(900);
  session.hangUp();
});
