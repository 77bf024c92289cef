import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { startController } from "../lab/controller-process.ts";
import { listProcessesIn } from "../lab/network-namespace.ts";
import { type Lab, openLab } from "../lab/open-lab.ts";

const DIST = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "dist");

test("a machine that starts while musterd is down waits in iPXE, through an outage of DHCP too, and goes on", async () => {
  await using lab = await openLab({ name: "ipxe-waits" });
  const controller = await startController(lab, { dist: DIST });
  const machine = await lab.addMachine({ name: "b1", mac: "52:54:00:77:05:01", firmware: "bios" });
  // dnsmasq outlives a musterd that is killed; under systemd it is a unit of its own.
  await controller.kill9();
  await machine.powerOn();
  const refused = /10\.77\.0\.1:9880 does not answer, trying again/g;
  await machine.waitForConsole(new RegExp(`(?:${refused.source}[^]*){2}`), { deadlineMs: 60_000 });

  // Now dnsmasq goes as well, as when the whole head node restarts.
  expect(await killDnsmasq(lab)).toBe(1);
  const triesBefore = (await machine.readConsole()).match(refused)?.length ?? 0;
  await machine.waitForConsole(new RegExp(`(?:${refused.source}[^]*){${triesBefore + 6}}`), {
    deadlineMs: 150_000,
  });
  expect((await machine.readConsole()).match(/SeaBIOS/g)).toHaveLength(1);

  await controller.start();
  await machine.waitForConsole("cannot boot: there is no image", { deadlineMs: 60_000 });
  // Nothing to boot is no reason to restart the machine either.
  await machine.waitForConsole(/(?:cannot boot: there is no image[^]*){2}/, { deadlineMs: 60_000 });
  expect((await machine.readConsole()).match(/SeaBIOS/g)).toHaveLength(1);
});

/** Ends every dnsmasq in the lab; returns how many there were. */
async function killDnsmasq(lab: Lab): Promise<number> {
  let killed = 0;
  for (const pid of await listProcessesIn(lab.namespacePath)) {
    if ((await readFile(`/proc/${pid}/comm`, "utf8")).trim() !== "dnsmasq") continue;
    process.kill(pid, "SIGKILL");
    killed += 1;
  }
  return killed;
}
