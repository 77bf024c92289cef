import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";
import { type NodeName, parseNodeName } from "#proto/contract/node-name.ts";
import {
  type ConnectRequest,
  type ConnectResponse,
  SessionClient,
  type Welcome,
} from "#proto/gen/muster/v1/session.ts";
import { runCommandUnchecked } from "#proto/host/run-command.ts";

import { type EncodedReport, encodeReport, gatherHardware } from "../../agent/hardware/gather-hardware.ts";
import { ODD_MACHINES } from "../../agent/hardware/testing/odd-machines.ts";
import { writeSysfsTree } from "../../agent/hardware/testing/write-sysfs-tree.ts";
import { keepHardware } from "../../controller/hardware/keep-hardware.ts";
import { parseHardwareReport } from "../../controller/hardware/parse-hardware-report.ts";
import { mintToken } from "../../controller/identity/enrolment-tokens.ts";
import {
  enrolAsNode,
  type LoopbackController,
  makeMachine,
  startLoopbackController,
} from "../fixtures/controller-on-loopback.ts";
import { waitFor } from "../lab/wait-for.ts";

const MAC = "52:54:00:12:34:56";
const SIGNAL = AbortSignal.timeout(60_000);

/** What the agent reports of a machine that is a tree of files; without a name, of this machine. */
async function reportOf(machine?: string): Promise<EncodedReport> {
  if (machine === undefined)
    return encodeReport(await gatherHardware({ root: "/", run: runCommandUnchecked }, SIGNAL));
  const description = ODD_MACHINES[machine];
  if (description === undefined) throw new Error(`no such machine: ${machine}`);
  const root = await mkdtemp(join(tmpdir(), "muster-tree-"));
  try {
    writeSysfsTree(root, description);
    return encodeReport(await gatherHardware({ root }, SIGNAL));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Those of the odd machines whose reports have something in them that those of others have not. */
const MACHINES: readonly (string | undefined)[] = [
  undefined,
  "uneven after CPUs went offline",
  "memory without CPUs, close to some",
  "books and packages",
  "no package",
  "a single CPU",
];

test.each(MACHINES)("what the agent reports of %s is kept as it is", async (machine) => {
  const { bytes, digest } = await reportOf(machine);
  expect(parseHardwareReport({ digest, report: bytes })).toEqual({
    digest,
    report: JSON.parse(bytes.toString("utf8")) as unknown,
  });
});

/** One boot of the node: enrols, says hello, and reports. Gives the welcome. */
async function bootAndReport(
  controller: LoopbackController,
  node: NodeName,
  boot: number,
  report: EncodedReport,
): Promise<Welcome> {
  const bootId = `11111111-0000-0000-0000-00000000000${boot}`;
  const token = await mintToken({
    ...{ inventory: controller.inventory, node, lifetimeSeconds: 300 },
    ...{ bootMac: parseMacAddress(MAC), sourceAddress: "127.0.0.1", now: controller.clock.now },
  });
  const { tls } = await enrolAsNode(controller, await makeMachine(MAC, { token, bootId }));
  const client = new SessionClient(`localhost:${controller.agents.port}`, tls, {
    "grpc.use_local_subchannel_pool": 1,
  });
  const stream = client.connect();
  try {
    const hello = { protocolVersion: 1, agentVersion: "1", bootId, imageName: "d", imageVersion: 1 };
    const say = (message: ConnectRequest["message"]): void => void stream.write({ message });
    const welcome = new Promise<Welcome>((resolve, reject) => {
      stream.on("error", reject);
      stream.on("data", ({ message }: ConnectResponse) => {
        if (message?.$case === "welcome") resolve(message.value);
      });
    });
    say({ $case: "hello", value: { ...hello, machine: undefined, agentDigest: "" } });
    const said = await welcome;
    say({ $case: "hardwareReport", value: { digest: report.digest, report: report.bytes } });
    await waitFor(
      async () => (await controller.inventory.findHardwareDigest(node, bootId)) === report.digest,
      {
        what: "the report to be kept",
        deadlineMs: 10_000,
        intervalMs: 10,
      },
    );
    return said;
  } finally {
    stream.end();
    client.close();
    await waitFor(() => controller.session.openSessions() === 0, {
      what: "the session to end",
      deadlineMs: 10_000,
    });
  }
}

test("a node reports through its session; what changed since its last boot is an event", async () => {
  await using controller = await startLoopbackController({
    openListeners: async (site) => [keepHardware(site)],
  });
  const node = await controller.addNode("c001", MAC);
  const [before, after] = [await reportOf("threads"), await reportOf("a single CPU")];
  expect((await bootAndReport(controller, node, 1, before)).hardwareDigest).toBe("");
  expect((await bootAndReport(controller, node, 1, before)).hardwareDigest).toBe(before.digest);
  expect(await controller.eventKinds()).not.toContain("hardware-changed");
  expect((await bootAndReport(controller, node, 2, after)).hardwareDigest).toBe("");
  await waitFor(async () => (await controller.eventKinds()).includes("hardware-changed"), {
    what: "the event",
    deadlineMs: 10_000,
  });
  const events = await controller.telemetry.listEvents({ node, limit: 100 });
  expect(events.filter(({ kind }) => kind === "hardware-changed").map(({ what }) => what)).toEqual([
    expect.stringMatching(/^c001: CPUs \d+ -> \d+, /),
  ]);
  expect(controller.bugs).toEqual([]);
});

test("a report of a megabyte gets through", async () => {
  await using controller = await startLoopbackController({
    openListeners: async (site) => [keepHardware(site)],
  });
  const node = await controller.addNode("c001", MAC);
  const small = JSON.parse((await reportOf()).bytes.toString("utf8")) as Parameters<typeof encodeReport>[0];
  const device = { class: "088000", vendor: "8086", device: "09a2" };
  const pci = Array.from({ length: 14_500 }, (_, n) => ({ address: String(n).padStart(7, "0"), ...device }));
  const large = encodeReport({ ...small, pci });
  expect(large.bytes.length).toBeGreaterThan(1_000_000);
  await bootAndReport(controller, parseNodeName(node), 1, large);
});
