import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { BOOT_STAGES } from "#proto/contract/boot-stage.ts";

import type { BootView } from "../../controller/api/rest/schemas.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import {
  BOOT_DEADLINE_MS,
  type Cluster,
  countOnConsole,
  describeTrouble,
  getNode,
  IMAGE,
  listBoots,
  listNodes,
  listPending,
  openCluster,
  waitForPending,
  waitForReady,
} from "./cluster.ts";
import { readProbe, writeProbeOverlay } from "./probe.ts";

const KNOWN_MAC = "52:54:00:77:20:01";
const UNKNOWN_MAC = "52:54:00:77:20:02";
const HTTP_MAC = "52:54:00:77:20:03";
const ADDRESS = "10.77.0.21";
const STAGE_NAMES = BOOT_STAGES.map(({ name }) => name);

/** One cluster for all of this file: each test goes on where the one before left off. */
describe("from power-on to ready with nothing but DHCP", () => {
  let cluster: Cluster;
  let bios: VirtualMachine;
  let uefi: VirtualMachine;
  const facts: Record<"c001" | "c002", Readonly<Record<string, string>>> = { c001: {}, c002: {} };
  const bootIds = new Set<string>();

  beforeAll(async () => {
    cluster = await openCluster();
    await writeProbeOverlay(cluster);
    const { lab, controller } = cluster;
    await controller.mustMuster([
      ...["node", "add", "c001", "--mac", KNOWN_MAC, "--address", ADDRESS],
      ...["--image", IMAGE, "--overlay", "probe"],
    ]);
    // Without a network device: the machine that comes with it is anybody's.
    await controller.mustMuster(["node", "add", "c002", "--image", IMAGE, "--overlay", "probe"]);
    // Memory enough for c001 to unpack the image into a tmpfs later.
    bios = await lab.addMachine({ name: "m1", mac: KNOWN_MAC, firmware: "bios", memoryMib: 2048 });
    uefi = await lab.addMachine({ name: "m2", mac: UNKNOWN_MAC, firmware: "uefi" });
  });

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  test("a BIOS machine known by its MAC and a UEFI machine nobody knows, once approved, become ready", async () => {
    const started = Date.now();
    await bios.powerOn();
    await uefi.powerOn();
    const { claimCode } = await waitForPending(cluster, uefi);
    const shown = await uefi.waitForConsole(/its claim code is {3}(\S+)/, { deadlineMs: BOOT_DEADLINE_MS });
    expect(shown[1]).toBe(claimCode);
    expect(await listPending(cluster)).toMatchObject([
      {
        claimCode,
        bootMac: UNKNOWN_MAC,
        macs: [UNKNOWN_MAC],
        serial: "LAB-M2",
        vendor: "muster",
        product: "lab",
        architecture: "x86_64",
        firmware: "efi",
        cpus: 1,
        sockets: 1,
        smbiosUuid: "77000000-0000-4000-8000-525400772002",
      },
    ]);
    await cluster.controller.mustMuster(["node", "approve", claimCode, "--name", "c002"]);

    const c001 = await waitForReady(cluster, "c001", bios);
    const c002 = await waitForReady(cluster, "c002", uefi);
    expect((await listNodes(cluster)).map(({ name, status }) => [name, status.state])).toEqual([
      ["c001", "ready"],
      ["c002", "ready"],
    ]);
    expect(await listPending(cluster)).toEqual([]);
    expect(c001.status).toMatchObject({ address: ADDRESS, image: IMAGE, imageVersion: 1 });
    expect(c002.status).toMatchObject({ image: IMAGE, imageVersion: 1 });

    for (const [name, machine] of [
      ["c001", bios],
      ["c002", uefi],
    ] as const) {
      const boots = await listBoots(cluster, name);
      // One boot from first to last: approval took no power cycle.
      expect(boots, await describeTrouble(cluster, machine)).toHaveLength(1);
      const [boot] = boots as [BootView];
      expect(boot.outcome).toBe("ready");
      expectWaterfall(boot, Date.now() - started, name === "c002");
      bootIds.add(boot.bootId);
      expect(await countOnConsole(machine, /muster: network: /g)).toBe(1);
    }
    expect(await countOnConsole(bios, /SeaBIOS \(version/g)).toBe(1);
    expect(await countOnConsole(uefi, /muster: enrolled as c002/g)).toBe(1);
  });

  test("the booted root has the image, the overlay and nothing of another node in it", async () => {
    facts.c001 = await readProbe(bios);
    facts.c002 = await readProbe(uefi);
    expect(varyingOf(facts.c001)).toEqual(VARYING);
    expect(steadyOf(facts.c001)).toEqual({
      ...expectedFacts("c001"),
      address: `${ADDRESS}/24`,
      hosts: ADDRESS,
    });
    expect(varyingOf(facts.c002)).toEqual(VARYING);
    const leased = facts.c002["address"]?.replace(/\/24$/, "") ?? "";
    expect(leased).toMatch(/^10\.77\.0\.(1\d\d|200)$/);
    expect((await getNode(cluster, "c002")).status.address).toBe(leased);
    expect(steadyOf(facts.c002)).toEqual({
      ...expectedFacts("c002"),
      address: `${leased}/24`,
      hosts: "127.0.1.1",
    });
    expect(facts.c001["machine-id"]).not.toBe(facts.c002["machine-id"]);
    expect(facts.c001["ssh-key"]).not.toBe(facts.c002["ssh-key"]);
  });

  test("the same node with its root unpacked into a tmpfs, and a machine that boots over UEFI HTTP, become ready", async () => {
    await Promise.all([bios.powerOff(), uefi.powerOff()]);
    const { lab, controller } = cluster;
    await controller.mustMuster(["node", "set", "c001", "--root-mode", "tmpfs"]);
    await controller.mustMuster(["node", "add", "c003", "--mac", HTTP_MAC, "--image", IMAGE]);
    const http = await lab.addMachine({ name: "m3", mac: HTTP_MAC, firmware: "uefi-http" });
    const before = (await getNode(cluster, "c001")).status.bootId;
    await bios.powerOn();
    await http.powerOn();
    const c001 = await waitForReady(cluster, "c001", bios, before);
    bootIds.add(c001.status.bootId ?? "");
    const again = await readProbe(bios);
    expect(varyingOf(again)).toEqual(VARYING);
    expect(steadyOf(again)).toEqual({
      ...expectedFacts("c001"),
      root: "tmpfs",
      address: `${ADDRESS}/24`,
      hosts: ADDRESS,
    });
    // Who the node is stays the same from boot to boot.
    expect(again["machine-id"]).toBe(facts.c001["machine-id"]);
    expect(again["ssh-key"]).toBe(facts.c001["ssh-key"]);
    // The whole image unpacked takes more memory than the squashfs that is read on demand.
    expect(Number(again["memory-available-kib"])).toBeLessThan(Number(facts.c001["memory-available-kib"]));

    const c003 = await waitForReady(cluster, "c003", http);
    bootIds.add(c003.status.bootId ?? "");
    expect(cluster.controller.log).not.toContain("blob-corrupt");
    expect(bootIds.size).toBe(4);
    expect(await countOnConsole(http, /muster: network: /g)).toBe(1);
  });
});

/** All stages of a boot in order, with times that can be. */
function expectWaterfall(boot: BootView, elapsedMs: number, waited: boolean): void {
  const names = boot.stages.map(({ stage }) => stage);
  expect(names).toEqual(STAGE_NAMES.filter((stage) => waited || stage !== "approval"));
  for (const [index, { stage, startedMs, endedMs = -1 }] of boot.stages.entries()) {
    expect(endedMs, `end of ${stage}`).toBeGreaterThanOrEqual(startedMs);
    expect(endedMs, `end of ${stage}`).toBeLessThanOrEqual(elapsedMs);
    expect(startedMs, `start of ${stage}`).toBeGreaterThanOrEqual(boot.stages[index - 1]?.startedMs ?? 0);
  }
}

/** Facts whose value a test cannot know; their shape it can. */
const VARYING = {
  "machine-id": "32 hex digits",
  "ssh-key": "64 hex digits  -",
  "memory-available-kib": "digits",
};

function varyingOf(facts: Readonly<Record<string, string>>): unknown {
  const shape = (value = ""): string => {
    if (/^\d+$/.test(value)) return "digits";
    return value.replace(/^[0-9a-f]+/, (digits) => `${digits.length} hex digits`);
  };
  return Object.fromEntries(Object.keys(VARYING).map((name) => [name, shape(facts[name])]));
}

function steadyOf(facts: Readonly<Record<string, string>>): unknown {
  return Object.fromEntries(Object.entries(facts).filter(([name]) => !(name in VARYING)));
}

function expectedFacts(name: string): Readonly<Record<string, string>> {
  return {
    hostname: name,
    lib: "usr/lib",
    "through-lib": "through the link",
    private: "640 1234 4321 5",
    "set-user-id": "4711 1234 4321",
    link: "../../etc/hostname",
    capability: "/opt/probe/capable cap_net_raw=ep",
    deleted: "ls: cannot access '/etc/issue.net': No such file or directory",
    "image-set-user-id": "4755 root root",
    "image-set-group-id": "2755 root shadow",
    "ssh-key-mode": "600 root root",
    "ssh-foreign-keys": "",
    root: "overlay",
    cpus: "1",
    system: "running",
    "failed-units": "",
    agent: "active",
    network: "routable configured",
    "run-muster": "identity 700 node.json 644 stages.json 600",
    identity: "authority.pem 600 certificate.pem 600 enrolment.json 600 key.pem 600",
    "identity-readable": "",
    leftovers: "0",
    end: "yes",
  };
}
