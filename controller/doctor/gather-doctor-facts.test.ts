import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

import { testConfig } from "../netboot/netboot-test-lab.ts";
import { gatherDoctorFacts } from "./gather-doctor-facts.ts";

test("a taken port is told with the process that has it, and musterd's own is known as such", async () => {
  const directory = await mkdtemp(join(tmpdir(), "muster-doctor-"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address() as AddressInfo;
  const base = testConfig(directory);
  const config = { ...base, ports: { ...base.ports, http: port } };
  const holder = { protocol: "tcp", port, process: { pid: process.pid, name: expect.any(String) as string } };
  const others = await gatherDoctorFacts(config, { dhcpWaitMs: 1 });
  expect(others.portHolders.filter((one) => one.port === port)).toEqual([{ ...holder, isOurs: false }]);
  const ours = await gatherDoctorFacts(config, {
    dhcpWaitMs: 1,
    musterdPid: process.pid,
    countNodes: async () => 3,
  });
  expect(ours.portHolders.filter((one) => one.port === port)).toEqual([{ ...holder, isOurs: true }]);
  expect([ours.nodes, ours.dnsmasqVersion !== undefined, (ours.freeBytes ?? 0) > 0]).toEqual([3, true, true]);
  expect(ours.otherDhcpServers).toEqual({ notChecked: "no interface is on the boot network" });
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});
