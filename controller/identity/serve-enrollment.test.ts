import { afterEach, describe, expect, test, vi } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { parseNodeName } from "#proto/contract/node-name.ts";
import {
  enrol,
  enrolAsNode,
  type LoopbackController,
  makeMachine,
  startLoopbackController,
  type TestMachine,
} from "../../test/fixtures/controller-on-loopback.ts";
import { mintToken } from "./enrolment-tokens.ts";
import { parseNodeCertificate } from "./parse-node-certificate.ts";

const MAC = "52:54:00:12:34:56";
const OTHER_MAC = "52:54:00:12:34:99";
const C001 = parseNodeName("c001");
const ROOT = { user: "root" };

let controller: LoopbackController;
async function start(options: Parameters<typeof startLoopbackController>[0] = {}): Promise<void> {
  controller = await startLoopbackController(options);
}
afterEach(async () => {
  const { bugs } = controller;
  await controller[Symbol.asyncDispose]();
  expect(bugs).toEqual([]);
});

function tokenFor(changes: { readonly mac?: string; readonly sourceAddress?: string } = {}): Promise<string> {
  return mintToken({
    inventory: controller.inventory,
    node: C001,
    bootMac: parseMacAddress(changes.mac ?? MAC),
    sourceAddress: changes.sourceAddress ?? "::ffff:127.0.0.1",
    lifetimeSeconds: 300,
    now: controller.clock.now,
  });
}

async function claimCodeOf(stream: ReturnType<typeof enrol>): Promise<string> {
  const event = await stream.next();
  if (event?.$case !== "pending") throw new Error(`not pending: ${JSON.stringify(event)}`);
  return event.value.claimCode;
}

function refusalOf(machine: TestMachine): Promise<unknown> {
  return enrol(controller, machine).next();
}

describe("a machine with a token", () => {
  test("is accepted as the node the token is for, and the same key may ask again", async () => {
    await start();
    await controller.addNode("c001", MAC);
    const machine = await makeMachine(MAC, { token: await tokenFor() });
    const stream = enrol(controller, machine);
    const event = await stream.next();
    if (event?.$case !== "accepted") throw new Error("not accepted");
    expect({
      node: event.value.nodeName,
      certified: parseNodeCertificate(event.value.certificate),
      authority: event.value.authority.equals(controller.authority.certificateDer),
      addresses: event.value.agentAddresses,
      end: await stream.next(),
      state: controller.fleet.statusOf(C001).state,
      machine: (await controller.inventory.findNode("c001"))?.machine,
    }).toEqual({
      node: "c001",
      certified: { node: "c001", bootId: machine.request.bootId },
      authority: true,
      addresses: [`127.0.0.1:${controller.agents.port}`],
      end: undefined,
      state: "booting",
      machine: { smbiosUuid: "4c4c4544-0043-4810-8052-b4c04f4e3132", serial: "SN1" },
    });
    expect((await enrolAsNode(controller, machine)).node).toBe("c001");
  });

  test.each([
    ["used by another key", {}, "used"],
    ["presented by another machine", { mac: OTHER_MAC }, "another machine"],
    ["presented from another address", { sourceAddress: "10.77.0.9" }, "another address"],
  ])("that was %s is refused with a remedy and an event", async (_title, binding, why) => {
    await start();
    await controller.addNode("c001", MAC);
    const token = await tokenFor(binding);
    if (why === "used") await enrolAsNode(controller, await makeMachine(MAC, { token }));
    await expect(refusalOf(await makeMachine(MAC, { token }))).rejects.toMatchObject({
      code: "token-refused",
      message: expect.stringContaining(why) as unknown,
      fix: "nothing to do: the machine restarts by itself, and its next boot script has a new token",
    });
    expect(await controller.eventKinds()).toContain("token-refused");
  });

  test("is refused when the token expired or was never issued", async () => {
    await start();
    await controller.addNode("c001", MAC);
    const token = await tokenFor();
    controller.clock.now = new Date(controller.clock.now.getTime() + 301_000);
    await expect(refusalOf(await makeMachine(MAC, { token }))).rejects.toMatchObject({
      code: "token-refused",
      message: expect.stringContaining("expired") as unknown,
    });
    await expect(refusalOf(await makeMachine(MAC, { token: "guess" }))).rejects.toMatchObject({
      code: "token-refused",
    });
  });

  test("cannot lose it to a thief on another machine", async () => {
    await start();
    await controller.addNode("c001", MAC);
    const token = await tokenFor();
    await expect(refusalOf(await makeMachine(OTHER_MAC, { token }))).rejects.toMatchObject({
      code: "token-refused",
    });
    expect((await enrolAsNode(controller, await makeMachine(MAC, { token }))).node).toBe("c001");
  });

  test("that is another mainboard under the node's MAC address is told to people, once it is in", async () => {
    await start();
    await controller.addNode("c001", MAC);
    await controller.inventory.recordMachine(C001, { smbiosUuid: "00000000-0000-4000-8000-000000000001" });
    await enrolAsNode(controller, await makeMachine(MAC, { token: await tokenFor() }));
    await enrolAsNode(controller, await makeMachine(MAC, { token: await tokenFor() }));
    const changes = (await controller.eventKinds()).filter((kind) => kind === "machine-changed");
    expect(changes).toEqual(["machine-changed"]);
  });

  test("cannot burn it with a malformed certificate request", async () => {
    await start();
    await controller.addNode("c001", MAC);
    const token = await tokenFor();
    const machine = await makeMachine(MAC, { token, certificateRequest: Buffer.from("junk") });
    await expect(refusalOf(machine)).rejects.toMatchObject({ code: "request-invalid" });
    expect((await enrolAsNode(controller, await makeMachine(MAC, { token }))).node).toBe("c001");
  });
});

describe("a node without a token", () => {
  const LATER_MS = 30 * 24 * 3600_000;
  async function enrolledNode(): Promise<TestMachine> {
    await start();
    await controller.addNode("c001", MAC);
    const machine = await makeMachine(MAC, { token: await tokenFor() });
    await enrolAsNode(controller, machine);
    // Certificate and token are long past.
    controller.clock.now = new Date(controller.clock.now.getTime() + LATER_MS);
    return { ...machine, request: { ...machine.request, token: "" } };
  }

  test("gets a new certificate for the key of this boot, long after the last one expired", async () => {
    const machine = await enrolledNode();
    expect((await enrolAsNode(controller, machine)).node).toBe("c001");
    expect((await controller.inventory.findIdentity(C001))?.expiresAt).toEqual(
      new Date(controller.clock.now.getTime() + 3_600_000),
    );
    expect(await controller.inventory.listPending()).toEqual([]);
  });

  test("that is booted is refused when the key is not its own, and never waits for an operator", async () => {
    const { request } = await enrolledNode();
    const thief = await makeMachine(MAC, { bootId: request.bootId, nodeName: "c001" });
    await expect(refusalOf(thief)).rejects.toMatchObject({
      code: "certificate-refused",
      fix: "restart the node to enrol it again",
    });
    expect(await controller.inventory.listPending()).toEqual([]);
  });

  test.each<[string, (machine: TestMachine) => Promise<TestMachine>]>([
    ["another key", async ({ request }) => makeMachine(MAC, { bootId: request.bootId })],
    [
      "another boot",
      async ({ request, keyPem }) => ({
        keyPem,
        request: { ...request, bootId: "22222222-0000-0000-0000-000000000002" },
      }),
    ],
    [
      "a MAC that is not the node's",
      async ({ request, keyPem }) => {
        const { machine } = request;
        if (machine === undefined) throw new Error("a machine describes itself");
        return {
          keyPem,
          request: { ...request, machine: { ...machine, bootMac: OTHER_MAC, macs: [MAC, OTHER_MAC] } },
        };
      },
    ],
  ])("waits for an operator when it comes with %s", async (_title, change) => {
    const machine = await change(await enrolledNode());
    const before = await controller.inventory.findIdentity(C001);
    expect((await enrol(controller, machine).next())?.$case).toBe("pending");
    expect(await controller.inventory.findIdentity(C001)).toEqual(before);
  });

  test("has lost its place when it was deleted, or when its hardware has enrolled again since", async () => {
    const machine = await enrolledNode();
    const again = await makeMachine(MAC, {
      token: await tokenFor(),
      bootId: "22222222-0000-0000-0000-000000000002",
    });
    await enrolAsNode(controller, again);
    await expect(refusalOf(machine)).rejects.toMatchObject({ code: "certificate-refused" });
    await controller.inventory.deleteNodes([C001], ROOT);
    await controller.addNode("c001", MAC);
    const orphan = { ...again, request: { ...again.request, token: "" } };
    await expect(refusalOf(orphan)).rejects.toMatchObject({
      code: "certificate-refused",
      message: "this boot cannot become c001 again: node c001 was deleted",
      fix: "restart the machine",
    });
  });
});

describe("a machine nobody knows", () => {
  test("waits with a claim code and goes on at once when it is approved", async () => {
    await start();
    const stream = enrol(controller, await makeMachine(MAC));
    const code = await claimCodeOf(stream);
    const [pending] = await controller.inventory.listPending();
    expect(pending).toMatchObject({ claimCode: code, bootMac: MAC, serial: "SN1", address: "127.0.0.1" });
    await controller.desk.approve(code.toLowerCase(), { name: C001, fields: { comment: "rack 1" } }, ROOT);
    expect(await stream.next()).toMatchObject({ $case: "accepted", value: { nodeName: "c001" } });
    expect({
      pending: await controller.inventory.listPending(),
      devices: (await controller.inventory.findNode("c001"))?.devices,
    }).toEqual({ pending: [], devices: [{ name: "eth0", type: "ethernet", mac: MAC }] });
  });

  test("keeps its claim code when it comes back, and is let in if it was approved meanwhile", async () => {
    await start();
    const machine = await makeMachine(MAC);
    const first = enrol(controller, machine);
    const code = await claimCodeOf(first);
    const second = enrol(controller, machine);
    expect(await claimCodeOf(second)).toBe(code);
    await controller.desk.approve(code, { name: C001, fields: {} }, ROOT);
    expect((await second.next())?.$case).toBe("accepted");
    // Its answer was lost on the way: the same key asks again, without a token.
    expect((await enrolAsNode(controller, machine)).node).toBe("c001");
    // Another key on the same hardware is not the approved machine.
    expect((await enrol(controller, await makeMachine(MAC, { bootId: "boot-2" })).next())?.$case).toBe(
      "pending",
    );
  });

  test("is let in when it was approved while its stream was broken, but no other key is", async () => {
    await start();
    const machine = await makeMachine(MAC);
    const stream = enrol(controller, machine);
    const code = await claimCodeOf(stream);
    stream.cancel();
    await vi.waitUntil(() => !controller.desk.isWaiting(code));
    await controller.desk.approve(code, { name: C001, fields: {} }, ROOT);
    expect((await enrol(controller, await makeMachine(MAC, { bootId: "boot-2" })).next())?.$case).toBe(
      "pending",
    );
    expect((await enrolAsNode(controller, machine)).node).toBe("c001");
  });

  test("is told when an operator rejects it", async () => {
    await start();
    const stream = enrol(controller, await makeMachine(MAC));
    await controller.desk.reject(await claimCodeOf(stream), ROOT);
    await expect(stream.next()).rejects.toMatchObject({ code: "enrolment-refused" });
    expect(await controller.inventory.listPending()).toEqual([]);
  });

  test("that claims to be one already waiting takes its place, and is not let in beside it", async () => {
    await start();
    const first = enrol(controller, await makeMachine(MAC));
    const code = await claimCodeOf(first);
    const second = enrol(controller, await makeMachine(MAC));
    expect(await claimCodeOf(second)).toBe(code);
    await expect(first.next()).rejects.toMatchObject({ code: "enrolment-refused" });
    expect(await controller.eventKinds()).toContain("machine-duplicate");
    await controller.desk.approve(code, { name: C001, fields: {} }, ROOT);
    expect((await second.next())?.$case).toBe("accepted");
  });

  test("with the MAC of a node but no token waits too, even where a rule fits", async () => {
    await start({ rules: [{ names: "n[1-9]", macPrefixes: ["52:54:00"] }] });
    await controller.addNode("c001", MAC);
    const stream = enrol(controller, await makeMachine(MAC));
    const code = await claimCodeOf(stream);
    await expect(
      controller.desk.approve(code, { name: parseNodeName("c002"), fields: {} }, ROOT),
    ).rejects.toMatchObject({ code: "mac-in-use" });
    await expect(
      controller.desk.approve(code, { name: C001, fields: { image: "nope" } }, ROOT),
    ).rejects.toMatchObject({ code: "image-unknown" });
    await controller.desk.approve(code, { name: C001, fields: {} }, ROOT);
    expect((await stream.next())?.$case).toBe("accepted");
  });

  test("that fits a rule is accepted under the next free name, several at once too", async () => {
    await start({ rules: [{ names: "c[001-003]", addresses: "127.0.0.0/8" }] });
    await controller.addNode("c002", "52:54:00:00:00:02");
    const macs = ["52:54:00:00:00:0a", "52:54:00:00:00:0b", "52:54:00:00:00:0c"];
    const events = await Promise.all(
      macs.map(async (mac) => enrol(controller, await makeMachine(mac)).next()),
    );
    const outcomes = events.map((event) =>
      event?.$case === "accepted" ? event.value.nodeName : event?.$case,
    );
    expect(outcomes.sort()).toEqual(["c001", "c003", "pending"]);
  });

  test("is turned away when the list is full, unless it is listed already", async () => {
    await start({ maxPending: 1 });
    const listed = enrol(controller, await makeMachine(MAC));
    const code = await claimCodeOf(listed);
    await expect(refusalOf(await makeMachine(OTHER_MAC))).rejects.toMatchObject({ code: "too-many-pending" });
    expect(await claimCodeOf(enrol(controller, await makeMachine(MAC)))).toBe(code);
  });
});

describe("the enrolment port", () => {
  test("answers malformed fields with all their names, and goes on serving", async () => {
    await start();
    const machine = await makeMachine(MAC, {
      bootId: "../../etc",
      token: "a b",
      certificateRequest: Buffer.alloc(0),
    });
    await expect(refusalOf(machine)).rejects.toMatchObject({
      code: "request-invalid",
      message:
        "enrolment request refused: boot_id, token, certificate_request missing, malformed or too long",
    });
    const huge = await makeMachine(MAC, { token: "x".repeat(100_000) });
    await expect(refusalOf(huge)).rejects.toMatchObject({ code: "controller-refused" });
    await expect(refusalOf(await makeMachine(MAC, { protocolVersion: 99 }))).rejects.toMatchObject({
      code: "protocol-unsupported",
    });
    const stream = enrol(controller, await makeMachine(MAC));
    expect(await claimCodeOf(stream)).toMatch(/^[2-9A-Z]{4}-[2-9A-Z]{4}$/);
  });

  test("makes text from firmware harmless before anyone prints it", async () => {
    await start();
    await claimCodeOf(enrol(controller, await makeMachine(MAC, { serial: "A\u001b]0;owned\u0007\nB" })));
    expect((await controller.inventory.listPending())[0]?.serial).toBe("A ]0;owned B");
  });

  test("turns an address away that asks too often, before its request is read", async () => {
    await start({ perMachine: { perSecond: 0.001, burst: 1 } });
    const machine = await makeMachine(MAC, { bootId: "" });
    await expect(refusalOf(machine)).rejects.toMatchObject({ code: "request-invalid" });
    await expect(refusalOf(machine)).rejects.toMatchObject({ code: "too-many-requests" });
  });
});

describe("a machine that was replaced", () => {
  test("is refused with who did it, whatever it has, and is not listed; the new one is the node", async () => {
    await start();
    await controller.addNode("c001", MAC);
    const old = await makeMachine(MAC, { token: await tokenFor() });
    await enrolAsNode(controller, old);
    const revision = (await controller.inventory.findNode("c001"))?.revision ?? 0;
    const by = { mac: parseMacAddress(OTHER_MAC), revision };
    const anna = { user: "anna", reason: "board dead" };
    await controller.inventory.replaceMachine(C001, by, anna);
    const refusal = {
      code: "enrolment-refused",
      message: expect.stringMatching(
        /^this machine was replaced as c001 by anna on .* \(board dead\)$/,
      ) as unknown,
      fix: `ask the operator; to let it in again: muster node refused readmit ${MAC}`,
    };
    await expect(refusalOf(old)).rejects.toMatchObject(refusal);
    await expect(refusalOf(await makeMachine(MAC))).rejects.toMatchObject(refusal);
    expect(await controller.inventory.listPending()).toEqual([]);
    expect(await controller.eventKinds()).toContain("enrolment-refused");
    const fresh = await makeMachine(OTHER_MAC, {
      bootId: "boot-new",
      token: await tokenFor({ mac: OTHER_MAC }),
    });
    expect((await enrolAsNode(controller, fresh)).node).toBe("c001");
    await controller.inventory.readmitMachine(parseMacAddress(MAC), anna);
    expect((await enrol(controller, await makeMachine(MAC, { bootId: "boot-2" })).next())?.$case).toBe(
      "pending",
    );
  });
});
