import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";

import { expect, test } from "vitest";

import { parseMacAddress } from "#proto/contract/mac-address.ts";

import { makeTestHost, type TestHost } from "../testing/test-host.ts";
import { bringUpNetwork } from "./bring-up-network.ts";

const never = new AbortController().signal;
const first = parseMacAddress("52:54:00:00:00:01");
const second = parseMacAddress("52:54:00:00:00:02");

async function plug(host: TestHost, name: string, mac: string, carrier: string): Promise<void> {
  const directory = `sys/class/net/${name}`;
  await host.write(`${directory}/type`, "1\n");
  await host.write(`${directory}/address`, `${mac}\n`);
  await host.write(`${directory}/carrier`, `${carrier}\n`);
  await host.write(`${directory}/device/vendor`, "0x1af4\n");
  await mkdir(join(host.root, "drivers/virtio_net"), { recursive: true });
  await symlink(join(host.root, "drivers/virtio_net"), join(host.root, directory, "device/driver"));
}

const LEASE = "interface=eth1\nip=10.77.0.100\nrouter=10.77.0.1\n";

test("the interface the firmware booted from is used, whatever else has a link", async () => {
  await using host = await makeTestHost();
  await plug(host, "eth0", first, "1");
  await plug(host, "eth1", second, "1");
  await host.write("run/muster/lease.env", LEASE);
  expect(await bringUpNetwork(host, second, never)).toEqual({
    interface: "eth1",
    mac: second,
    address: "10.77.0.100",
  });
  expect(host.commands).toEqual([
    "busybox ip link set dev eth1 up",
    "busybox udhcpc -i eth1 -n -q -t 4 -T 3 -s /etc/udhcpc.script",
  ]);
});

test("without BOOTIF the first interface with a link is used", async () => {
  await using host = await makeTestHost();
  await plug(host, "eth0", first, "0");
  await plug(host, "eth1", second, "1");
  await host.write("run/muster/lease.env", LEASE);
  expect((await bringUpNetwork(host, undefined, never)).interface).toBe("eth1");
});

test("bridges and the loopback are never booted from", async () => {
  await using host = await makeTestHost();
  await host.write("sys/class/net/br0/type", "1\n");
  await host.write("sys/class/net/br0/address", `${first}\n`);
  await host.write("sys/class/net/br0/carrier", "1\n");
  await host.write("sys/bus/pci/devices/0000:00:03.0/class", "0x020000\n");
  await host.write("sys/bus/pci/devices/0000:00:03.0/vendor", "0x8086\n");
  await host.write("sys/bus/pci/devices/0000:00:03.0/device", "0x100e\n");
  await expect(bringUpNetwork(host, first, never)).rejects.toMatchObject({
    code: "no-boot-interface",
    message: `no network interface to boot from (the firmware booted from ${first}): there is none; no driver for PCI device 0000:00:03.0 [8086:100e]`,
  });
});

test("a cable that carries nothing is no-link after the time spanning tree needs", async () => {
  await using host = await makeTestHost();
  await plug(host, "eth0", first, "0");
  await expect(bringUpNetwork(host, first, never)).rejects.toMatchObject({ code: "no-link" });
  expect(host.commands).toEqual(["busybox ip link set dev eth0 up"]);
});

test("no DHCP answer is asked for again, then told once", async () => {
  await using host = await makeTestHost(async ({ args }) => (args[0] === "udhcpc" ? { exitCode: 1 } : {}));
  await plug(host, "eth0", first, "1");
  await expect(bringUpNetwork(host, first, never)).rejects.toMatchObject({ code: "no-lease" });
  expect(host.commands.filter((command) => command.includes("udhcpc"))).toHaveLength(4);
});
