import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";

import { openNetbootTestLab, testConfig } from "./netboot-test-lab.ts";
import { superviseWhenInstalled } from "./supervise-when-installed.ts";

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };

test("a host without dnsmasq is one event, and nodes boot once it is installed", async () => {
  await using lab = await openNetbootTestLab();
  const program = join(lab.directory, "later", "dnsmasq");
  const base = testConfig(lab.directory, program);
  const config = { ...base, network: { ...base.network, interface: "ctl0" } };
  // The address is in the lab's namespace, and this test is not: dnsmasq is told its interface.
  const address = "127.0.0.1";
  const events: string[] = [];
  await using dnsmasq = await superviseWhenInstalled(
    {
      config: { ...config, controller: { ...config.controller, address } },
      listHosts: async () => [],
      onDhcp: () => undefined,
      onEvent: ({ kind, what }) => events.push(`${kind}: ${what}`),
      log: SILENT,
    },
    new AbortController().signal,
    20,
  );
  expect(events).toEqual([
    expect.stringMatching(/^dnsmasq-missing: no node can boot, for nothing answers DHCP and TFTP: /),
  ]);
  dnsmasq.hostsChanged();
  await mkdir(join(lab.directory, "later"));
  await copyFile(lab.dnsmasqProgram, program);
  await expect
    .poll(async () => (await lab.probe({ mac: "52:54:00:00:00:01", waitMs: 300 }))[0]?.address, {
      timeout: 8000,
    })
    .toMatch(/^10\.77\.0\.1\d\d$/);
  expect(events).toHaveLength(1);
});
