import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";

import { type ControllerProcess, startController } from "../lab/controller-process.ts";
import { listProcessesIn } from "../lab/network-namespace.ts";
import { LAB_NETWORK, type Lab, openLab } from "../lab/open-lab.ts";
import { waitFor } from "../lab/wait-for.ts";

/**
 * DHCP as a whole musterd serves it: the supervised dnsmasq, the inventory behind it, and the two modes in which
 * the site's own server stays. One lab and one musterd for all; the clients are packets from a port of the bridge.
 */

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const PROBE = join(PROJECT, "controller/netboot/netboot-test-probe.ts");

const M1 = "52:54:00:77:05:01";
const M2 = "52:54:00:77:05:02";
const M3 = "52:54:00:77:05:03";
const FROM_RANGE = /^10\.77\.0\.(1\d\d|200)$/;

interface Answer {
  readonly address: string;
  readonly bootFile: string;
}

interface Event {
  readonly kind: string;
  readonly what: string;
  readonly fix: string;
}

let lab: Lab;
let controller: ControllerProcess;
let config: string;

beforeAll(async () => {
  lab = await openLab({ name: "dhcp" });
  // Where probes ask from: a port of the bridge whose other end is in the same namespace, which the kernel
  // allows only when told that packets from an address of this host may come in.
  await inLab(
    "sh",
    "-ec",
    `ip link add port0 type veth peer name node0
ip link set port0 master ${LAB_NETWORK.bridge}
ip link set port0 up
ip link set node0 up
ip address add 10.77.0.250/32 dev node0
for dev in all ${LAB_NETWORK.bridge} node0; do
  echo 1 > /proc/sys/net/ipv4/conf/$dev/accept_local
  echo 0 > /proc/sys/net/ipv4/conf/$dev/rp_filter
done`,
  );
  controller = await startController(lab, { dist: join(PROJECT, "dist") });
  config = await readFile(controller.configPath, "utf8");
});

beforeEach(async () => {
  const { nodes } = await controller.get<{ nodes: readonly { name: string }[] }>("/api/v1/nodes");
  for (const { name } of nodes) await controller.mustMuster(["node", "delete", name, "--yes"]);
});

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
});

async function inLab(program: string, ...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await lab.run({ program, args, deadlineMs: 30_000 });
  if (exitCode !== 0) throw new Error(`${program} ${args.join(" ")} exited with ${exitCode}: ${stderr}`);
  return stdout;
}

/** Asks as DHCP clients, one after the other. */
async function probe(...probes: readonly object[]): Promise<readonly (Answer | null)[]> {
  return JSON.parse(
    await inLab(process.execPath, PROBE, JSON.stringify(probes)),
  ) as readonly (Answer | null)[];
}

/** What a machine gets that takes its lease, as udhcpc on a node does. */
async function addressOf(mac: string): Promise<string | undefined> {
  const [answer] = await probe({ mac, request: true });
  return answer?.address;
}

/** Waits until a machine is given what `wanted` says: dnsmasq hears of changes a moment after the command ends. */
async function waitForAddress(mac: string, wanted: string | RegExp): Promise<void> {
  let last: string | undefined;
  await waitFor(
    async () => {
      last = await addressOf(mac);
      return typeof wanted === "string" ? last === wanted : wanted.test(last ?? "");
    },
    { what: `${mac} to get ${wanted.toString()}`, deadlineMs: 10_000, instead: () => String(last) },
  );
}

async function dnsmasqPids(): Promise<readonly number[]> {
  const pids = await listProcessesIn(lab.namespacePath);
  const words = await Promise.all(
    pids.map(async (pid) => (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0")),
  );
  return pids.filter((_, index) => /(^|\/)dnsmasq$/.test(words[index]?.[0] ?? ""));
}

async function eventsOf(kind: string): Promise<readonly Event[]> {
  const { events } = await controller.get<{ events: readonly Event[] }>("/api/v1/events?limit=500");
  return events.filter((event) => event.kind === kind);
}

/** musterd again, with another line under dhcp: in its muster.yaml. */
async function restartWithMode(mode: string): Promise<void> {
  await writeFile(controller.configPath, config.replace("dhcp:\n", `dhcp:\n  mode: ${mode}\n`));
  await controller.restart();
}

test("a node that is added, given another address, or deleted is known to the dnsmasq that runs", async () => {
  const before = await dnsmasqPids();
  expect(before).toHaveLength(1);
  // Known to DHCP already, as a machine that was discovered and is given an address of its own afterwards.
  expect(await addressOf(M1)).toMatch(FROM_RANGE);
  await controller.mustMuster(["node", "add", "c001", "--mac", M1, "--address", "10.77.0.11"]);
  await waitForAddress(M1, "10.77.0.11");
  expect(await addressOf(M2)).toMatch(FROM_RANGE);

  await controller.mustMuster(["node", "add", "c002", "--mac", M3, "--address", "10.77.0.12"]);
  await waitForAddress(M3, "10.77.0.12");
  await controller.mustMuster(["node", "set", "c002", "--address", "10.77.0.13"]);
  await waitForAddress(M3, "10.77.0.13");
  await controller.mustMuster(["node", "delete", "c001", "--yes"]);
  await waitForAddress(M1, FROM_RANGE);
  expect(await addressOf(M3)).toBe("10.77.0.13");
  expect(await dnsmasqPids()).toEqual(before);
  expect(await eventsOf("dnsmasq-exited")).toEqual([]);
});

test("a dnsmasq that is killed is started again, and the fact is an event", async () => {
  await controller.mustMuster(["node", "add", "c001", "--mac", M1, "--address", "10.77.0.11"]);
  await waitForAddress(M1, "10.77.0.11");
  const [pid] = await dnsmasqPids();
  const events = (await eventsOf("dnsmasq-exited")).length;
  process.kill(pid ?? 0, "SIGKILL");
  const now = await waitFor(
    async () => {
      const pids = await dnsmasqPids();
      return pids.length === 1 && pids[0] !== pid ? pids : undefined;
    },
    { what: "another dnsmasq", deadlineMs: 10_000 },
  );
  await waitForAddress(M1, "10.77.0.11");
  expect(await dnsmasqPids()).toEqual(now);
  expect(await eventsOf("dnsmasq-exited")).toHaveLength(events + 1);
  const told = await controller.mustMuster(["events"]);
  expect(told).toMatch(/dnsmasq ended \(signal SIGKILL\) and is started again/);
  expect(told).toMatch(/muster doctor/);
});

test("a MAC or an address that another node has is refused, and its owner named", async () => {
  const refused = async (args: readonly string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await controller.muster(args);
    expect([exitCode, stdout]).toEqual([5, ""]);
    return stderr;
  };
  await controller.mustMuster(["node", "add", "c001", "--mac", M1, "--address", "10.77.0.11"]);

  expect(await refused(["node", "add", "c002", "--mac", M1.toUpperCase()])).toMatch(
    /52:54:00:77:05:01.*c001/s,
  );
  expect(await refused(["node", "add", "c002", "--address", "10.77.0.11"])).toMatch(/10\.77\.0\.11.*c001/s);
  expect(await refused(["node", "add", "c001", "--mac", M2])).toMatch(/c001/);

  // Across devices: what is the second card of one node must not be the first of another.
  await controller.mustMuster([
    "node",
    "set",
    "c001",
    "--device",
    "ib0",
    "--mac",
    M2,
    "--address",
    "10.78.0.11",
  ]);
  expect(await refused(["node", "add", "c002", "--mac", M2])).toMatch(/52:54:00:77:05:02.*c001/s);
  expect(await refused(["node", "add", "c002", "--device", "ib0", "--address", "10.78.0.11"])).toMatch(
    /10\.78\.0\.11.*c001/s,
  );

  // In one command: neither among the new nodes, nor is any added when one cannot be.
  expect(await refused(["node", "add", "c[002-003]", "--mac", `${M3},${M3}`])).toMatch(
    /52:54:00:77:05:03.*c00[23]/s,
  );
  expect(await refused(["node", "add", "c[002-003]", "--mac", `${M3},${M1}`])).toMatch(
    /52:54:00:77:05:01.*c001/s,
  );
  expect(await refused(["node", "add", "c[002-003]", "--address", "10.77.0.10"])).toMatch(
    /10\.77\.0\.11.*c001/s,
  );
  const { nodes } = await controller.get<{ nodes: readonly { name: string }[] }>("/api/v1/nodes");
  expect(nodes.map(({ name }) => name)).toEqual(["c001"]);
});

test("after kill -9 musterd comes back to one dnsmasq that knows the nodes", async () => {
  await controller.mustMuster(["node", "add", "c001", "--mac", M1, "--address", "10.77.0.11"]);
  await waitForAddress(M1, "10.77.0.11");
  for (let time = 0; time < 2; time++) {
    const before = await dnsmasqPids();
    await controller.kill9();
    await controller.start();
    const after = await dnsmasqPids();
    expect(after).toHaveLength(1);
    expect(after).not.toEqual(before);
  }
  expect(await addressOf(M1)).toBe("10.77.0.11");
  expect(controller.log).not.toMatch(/address already in use|EADDRINUSE/i);
});

test("with dhcp.mode proxy boot files are named and addresses are left to the site's server", async () => {
  await restartWithMode("proxy");
  await controller.mustMuster(["node", "add", "c001", "--mac", M1, "--address", "10.77.0.11"]);
  const firmware = { mac: M1, architecture: 7, vendorClass: "PXEClient:Arch:00007" };
  const answers = await probe(
    firmware,
    { ...firmware, bootServer: true },
    { ...firmware, userClass: "iPXE" },
    { mac: M1, waitMs: 700 },
  );
  expect(answers.map((answer) => answer && [answer.address, answer.bootFile])).toEqual([
    ["0.0.0.0", ""],
    ["0.0.0.0", "snponly.efi"],
    ["0.0.0.0", `tftp://${LAB_NETWORK.address}/start.ipxe`],
    null,
  ]);
});

test("with dhcp.mode external nobody answers DHCP, iPXE comes over TFTP, and the snippet is for the site's server", async () => {
  await restartWithMode("external");
  await controller.mustMuster(["node", "add", "c001", "--mac", M1, "--address", "10.77.0.11"]);
  expect(await probe({ mac: M1, waitMs: 1000 })).toEqual([null]);
  const file = join(lab.directory, "snponly.efi");
  await inLab("busybox", "tftp", "-g", "-r", "snponly.efi", "-l", file, LAB_NETWORK.address);
  expect(await readFile(file)).toEqual(await readFile("/usr/lib/ipxe/snponly.efi"));

  const pasted = join(lab.directory, "pasted.conf");
  const snippet = await controller.mustMuster(["dhcp", "show", "--format", "dnsmasq"]);
  await writeFile(pasted, snippet);
  await inLab("dnsmasq", "--test", `--conf-file=${pasted}`);
  expect(snippet).toContain(`tftp://${LAB_NETWORK.address}/start.ipxe`);
  for (const format of ["isc", "kea"]) {
    expect(await controller.mustMuster(["dhcp", "show", "--format", format])).toContain("10.77.0.11");
  }
});
