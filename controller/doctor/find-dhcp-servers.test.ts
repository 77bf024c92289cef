import { join } from "node:path";
import { expect, test } from "vitest";

import { openNetbootTestLab, testConfig } from "../netboot/netboot-test-lab.ts";
import { superviseDnsmasq } from "../netboot/supervise-dnsmasq.ts";

test("a DHCP server on the boot network is found, and silence is not taken for one", async () => {
  await using lab = await openNetbootTestLab();
  const look = async (): Promise<unknown> =>
    JSON.parse(
      await lab.run(
        process.execPath,
        "--eval",
        `import(${JSON.stringify(join(import.meta.dirname, "find-dhcp-servers.ts"))})
          .then((found) => found.findDhcpServers("10.77.0.250", 700))
          .then((answer) => process.stdout.write(JSON.stringify(answer)))`,
      ),
    );
  expect(await look()).toEqual({ servers: [] });
  await using server = await superviseDnsmasq(
    {
      config: testConfig(lab.directory, lab.dnsmasqProgram),
      facts: { interface: "ctl0", hasIpv6: false, binaries: new Set(), canIgnoreClientId: true },
      listHosts: async () => [],
      onDhcp: () => undefined,
      onEvent: () => undefined,
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    },
    new AbortController().signal,
  );
  expect(server.pid()).toBeDefined();
  expect(await look()).toEqual({ servers: ["10.77.0.1"] });
});
