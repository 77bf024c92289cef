import { expect, test } from "vitest";

import type { LogLineView } from "../../controller/api/rest/log-routes.ts";
import { waitFor } from "../lab/wait-for.ts";
import { describeTrouble, getNode, openCluster, readMusterLines, waitForReady } from "./cluster.ts";

test("a node that booted reports its hardware, and what its boot said outlives it", async () => {
  await using cluster = await openCluster();
  const { controller, lab } = cluster;
  const mac = "52:54:00:77:32:01";
  await controller.mustMuster(["node", "add", "c001", "--mac", mac]);
  const machine = await lab.addMachine({ name: "m1", mac, firmware: "bios", sockets: 2 });
  await machine.powerOn();
  await waitForReady(cluster, "c001", machine);

  const report = await waitFor(
    async () => {
      const { exitCode, stdout } = await controller.muster(["hardware", "show", "c001", "-o", "json"]);
      return exitCode === 0 && stdout.trim() !== "" && stdout;
    },
    {
      what: "the hardware report of c001",
      deadlineMs: 120_000,
      intervalMs: 1000,
      instead: () => describeTrouble(cluster, machine),
    },
  );
  const { status } = await getNode(cluster, "c001");
  for (const words of [
    '"serial": "LAB-M1"',
    '"socketsPerBoard": 2',
    '"driver": "virtio_net"',
    `"mac": "${mac}"`,
  ]) {
    expect(report).toContain(words);
  }

  const logs = async (): Promise<readonly LogLineView[]> =>
    JSON.parse(await controller.mustMuster(["node", "logs", "c001", "-o", "json"])) as readonly LogLineView[];
  const lines = await waitFor(
    async () => {
      const said = await logs();
      return said.some(({ text }) => text === "hardware reported") && said;
    },
    {
      what: "the agent to say that it reported",
      deadlineMs: 60_000,
      intervalMs: 1000,
      instead: async () => JSON.stringify(await logs()),
    },
  );
  expect(new Set(lines.map(({ boot }) => boot))).toEqual(new Set([status.bootId]));
  const onConsole = (await readMusterLines(machine)).map((line) => line.trim());
  const fromBoot = lines.filter(({ source }) => source === "boot").map(({ text }) => text);
  expect(fromBoot.length).toBeGreaterThan(5);
  expect(fromBoot).toContain("enrolled as c001");
  expect(fromBoot.filter((text) => !onConsole.includes(text))).toEqual([]);

  await machine.powerOff();
  expect(await logs()).toEqual(lines);
});
