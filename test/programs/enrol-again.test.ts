import { expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { readIdentity, storeIdentity } from "../../agent/identity/store-identity.ts";
import { storeNodeRecord } from "../../agent/node-record.ts";
import { openControllerLink } from "../../agent/session/controller-link.ts";
import { runSession } from "../../agent/session/run-session.ts";
import type { SessionHost } from "../../agent/session/session-host.ts";
import { makeTestHost, type TestHost } from "../../agent/testing/test-host.ts";
import { mintToken } from "../../controller/identity/enrolment-tokens.ts";
import {
  enrol,
  type LoopbackController,
  makeMachine,
  pemOf,
  startLoopbackController,
} from "../fixtures/controller-on-loopback.ts";

const MAC = "52:54:00:12:34:56";
const HOUR_MS = 3_600_000;

/** A node that enrolled two hours ago with a certificate for one, and heard of no controller since. */
async function bootedLongAgo(
  controller: LoopbackController,
  boot: TestHost,
  now: () => number,
): Promise<{ readonly host: SessionHost; readonly log: string[] }> {
  controller.clock.now = new Date(Date.now() - 2 * HOUR_MS);
  const node = await controller.addNode("c001", MAC);
  const token = await mintToken({
    inventory: controller.inventory,
    node,
    bootMac: parseMacAddress(MAC),
    sourceAddress: "127.0.0.1",
    lifetimeSeconds: 300,
    now: controller.clock.now,
  });
  const machine = await makeMachine(MAC, { token });
  const event = await enrol(controller, machine).next();
  if (event?.$case !== "accepted") throw new Error("not accepted");
  controller.clock.now = new Date();
  await storeIdentity(boot.paths.identity, {
    nodeName: event.value.nodeName,
    keyPem: machine.keyPem,
    certificatePem: pemOf(event.value.certificate),
    authorityPem: controller.authority.certificatePem,
    agentAddresses: event.value.agentAddresses,
  });
  const record = {
    name: "c001",
    image: "debian12",
    imageVersion: 1,
    bootId: machine.request.bootId,
    bootMac: MAC,
    // The first is down for good.
    enrolmentAddresses: ["127.0.0.1:1", `127.0.0.1:${controller.enrolment.port}`],
    agentAddresses: event.value.agentAddresses,
    blobAddresses: [],
  };
  await storeNodeRecord(boot.paths, record, []);
  const log: string[] = [];
  const { paths, sleep, uptimeMs } = boot;
  const say = (line: string): number => log.push(line);
  return {
    log,
    host: { paths, agentVersion: "1", agentDigest: "", log: say, uptimeMs, now, random: () => 0, sleep },
  };
}

test.each([
  ["that knows that its certificate expired", 0, []],
  ["whose clock is three hours behind", 3 * HOUR_MS, [500, 1000, 2000]],
])("a node %s opens its session again without a restart", async (_title, behindMs, waits) => {
  await using controller = await startLoopbackController();
  await using boot = await makeTestHost();
  const { host, log } = await bootedLongAgo(controller, boot, () => Date.now() - behindMs);
  const before = await readIdentity(boot.paths.identity);
  const stop = new AbortController();
  controller.fleet.onChange(({ state }) => {
    if (state === "ready") stop.abort();
  });
  await runSession(host, openControllerLink(host.log).sessions, stop.signal);
  const after = await readIdentity(boot.paths.identity);
  expect({ ...after, certificatePem: "" }).toEqual({ ...before, certificatePem: "" });
  expect(after?.certificatePem).not.toBe(before?.certificatePem);
  expect(log.at(-1)).toBe(`session with 127.0.0.1:${controller.agents.port} open`);
  expect(boot.slept).toEqual(waits);
  expect(controller.bugs).toEqual([]);
});

test("a node that was deleted meanwhile gets no certificate, is not listed as pending, and keeps trying", async () => {
  await using controller = await startLoopbackController();
  await using boot = await makeTestHost();
  const { host, log } = await bootedLongAgo(controller, boot, Date.now);
  const [node] = await controller.inventory.listNodes();
  if (node === undefined) throw new Error("there is a node");
  await controller.inventory.deleteNodes([node.name], { user: "root" });
  const stop = new AbortController();
  const sleep = async (ms: number, signal: AbortSignal): Promise<void> => {
    await boot.sleep(ms, signal);
    if (boot.slept.length === 3) stop.abort();
  };
  await runSession({ ...host, sleep }, openControllerLink(host.log).sessions, stop.signal);
  expect(boot.slept).toEqual([500, 1000, 2000]);
  expect(
    log.filter((line) => line.startsWith("no new certificate: this is not c001 in the boot")),
  ).toHaveLength(3);
  expect(await controller.inventory.listPending()).toEqual([]);
});
