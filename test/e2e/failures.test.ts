import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { BootView } from "../../controller/api/rest/schemas.ts";
import { startController } from "../lab/controller-process.ts";
import { makeDebianTree } from "../lab/debian-image.ts";
import { openLab } from "../lab/open-lab.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { caseOf, forge, machineFor, prepare } from "./boot-command.ts";
import {
  type Cluster,
  DIST,
  IMAGE,
  listBoots,
  listEvents,
  readMusterLines,
  waitForReady,
} from "./cluster.ts";

/**
 * What a node does that cannot boot: one line on its console with the reason and the remedy, the same at the
 * controller where it can know, and a restart. Most machines here start their kernel directly, with the command line
 * that the controller gave out for them, or with one word of it forged.
 */

const PROJECT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const GIVE_UP_AFTER_SECONDS = 50;
const RESTART_AFTER_SECONDS = 3;
/** Two machines at once under software emulation on two busy cores. */
const SOON_MS = 120_000;
const LATE_MS = 180_000;

let cluster: Cluster;

beforeAll(async () => {
  const lab = await openLab({ name: "failures" });
  const tree = await makeDebianTree(PROJECT);
  const controller = await startController(lab, {
    dist: DIST,
    boot: { giveUpAfter: `${GIVE_UP_AFTER_SECONDS}s`, rebootAfter: `${RESTART_AFTER_SECONDS}s` },
  });
  cluster = { lab, controller, tree, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() };
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

/** The lines with which a boot failed, on the console of a machine. */
async function failureLines(machine: VirtualMachine): Promise<readonly string[]> {
  return (await readMusterLines(machine)).filter((line) => line.startsWith("FAILED"));
}

/** Waits until the machine restarted by itself (which ends it here), having said so. */
async function waitForRestart(machine: VirtualMachine, deadlineMs: number): Promise<readonly string[]> {
  await machine.waitForConsole(/restarting this machine|restarting in/, { deadlineMs });
  await machine.waitForPowerOff(30_000);
  return failureLines(machine);
}

/** Why the newest boot of a node failed, as the controller was told. */
async function failureOf(name: string): Promise<BootView["failure"]> {
  const [newest] = await listBoots(cluster, name);
  return newest?.failure;
}

describe("before there is an image", () => {
  test("a machine says what to do, waits, and boots on once the image is imported", async () => {
    const { controller, lab, tree } = cluster;
    const node = caseOf(1);
    await controller.mustMuster(["node", "add", node.name, "--mac", node.mac, "--address", node.address]);
    const machine = await lab.addMachine({ name: node.name, mac: node.mac, firmware: "bios" });
    await machine.powerOn();
    await machine.waitForConsole("muster: cannot boot: there is no image yet", { deadlineMs: SOON_MS });
    await machine.waitForConsole("muster: on the controller: muster image import DIR --name NAME", {
      deadlineMs: 10_000,
    });
    await machine.waitForConsole("muster: trying again in 30 s", { deadlineMs: 10_000 });
    expect((await listEvents(cluster)).filter(({ kind }) => kind === "nothing-to-boot")).toMatchObject([
      { node: node.name, what: `${node.name} (${node.mac}) cannot boot: there is no image yet` },
    ]);

    await controller.mustMuster(["image", "import", tree, "--name", IMAGE]);
    await machine.waitForConsole(`muster: ${node.name} (${node.mac}) boots ${IMAGE} version 1`, {
      deadlineMs: SOON_MS,
    });
    await machine.waitForConsole(/] muster: network: /, { deadlineMs: SOON_MS });
    await machine.powerOff();
  });
});

describe("on its way to the controller", () => {
  test("no cable and no DHCP answer are told apart, tried again, and end in a restart", async () => {
    const cable = caseOf(2);
    const silent = caseOf(3);
    const unplugged = await machineFor(cluster, cable, await prepare(cluster, cable));
    const unheard = await machineFor(cluster, silent, await prepare(cluster, silent));
    await unheard.cutLink();
    await Promise.all([unplugged.powerOn(), unheard.powerOn()]);
    await unplugged.unplugCable();
    const [noLink, noLease] = await Promise.all([
      waitForRestart(unplugged, LATE_MS),
      waitForRestart(unheard, LATE_MS),
    ]);
    // Each try takes 35 s, so there is a second one before it gives up.
    expect(new Set(noLink)).toEqual(
      new Set([
        "FAILED at network: no link on eth0 (52:54:00:77:06:02, virtio_net) after 35 s — check the cable and that the switch port is up",
      ]),
    );
    expect(noLease).toEqual([
      expect.stringMatching(
        /^FAILED at network: no DHCP answer on eth0 \(52:54:00:77:06:03\) in \d tries — .*muster doctor/,
      ),
    ]);
    expect(await readMusterLines(unheard)).toContain("no DHCP answer on eth0 yet; asking again");
  });

  test("a forged authority and a kernel that is not the image's are refused, each at once", async () => {
    const impostor = caseOf(4);
    const other = caseOf(5);
    const wrongAuthority = await machineFor(
      cluster,
      impostor,
      forge(await prepare(cluster, impostor), `muster.ca=${"0".repeat(64)}`),
    );
    const wrongKernel = await machineFor(
      cluster,
      other,
      forge(await prepare(cluster, other), `muster.kernel=sha256:${"0".repeat(64)}`),
    );
    await Promise.all([wrongAuthority.powerOn(), wrongKernel.powerOn()]);
    const [authority, kernel] = await Promise.all([
      waitForRestart(wrongAuthority, SOON_MS),
      waitForRestart(wrongKernel, SOON_MS),
    ]);
    expect(authority).toEqual([
      expect.stringMatching(
        /^FAILED at connect: 10\.77\.0\.1:9881 is not the controller this node was booted by: .* — another controller answers/,
      ),
    ]);
    expect(kernel).toEqual([
      "FAILED at plan: image debian12 version 1 wants another kernel than the one that is running — nothing to do: the restart boots it",
    ]);
    expect(await failureOf(other.name)).toMatchObject({ stage: "plan", code: "kernel-mismatch" });
    expect(await cluster.controller.mustMuster(["node", "boots", other.name])).toMatch(
      /wants another kernel than the one that is running/,
    );
  });

  test("a controller that is down is waited for; a rescue shell needs none", async () => {
    const node = caseOf(6);
    const rescued = caseOf(7);
    const machine = await machineFor(cluster, node, await prepare(cluster, node));
    const rescueCommand = await prepare(cluster, rescued);
    const rescue = await machineFor(cluster, rescued, {
      ...rescueCommand,
      words: [...rescueCommand.words, "muster.rescue"],
    });
    const { controller } = cluster;
    // dnsmasq stays: the node gets its address and finds nobody behind the port.
    await controller.kill9();
    await Promise.all([machine.powerOn(), rescue.powerOn()]);
    await machine.waitForConsole(
      /FAILED at connect: the controller 10\.77\.0\.1:9881 refuses connections — start musterd there/,
      { deadlineMs: SOON_MS },
    );
    await machine.waitForConsole(/trying again in [\d.]+ s/, { deadlineMs: 10_000 });
    await rescue.waitForConsole(/muster: rescue shell \(muster\.rescue\); leave it with "exit"/, {
      deadlineMs: SOON_MS,
    });
    await rescue.type("echo $((6*7)) is the answer\n");
    await rescue.waitForConsole(/^42 is the answer$/m, { deadlineMs: 20_000 });
    await controller.start();
    await machine.waitForConsole(`enrolled as ${node.name}`, { deadlineMs: SOON_MS });
    await rescue.type("exit\n");
    await rescue.waitForConsole(`enrolled as ${rescued.name}`, { deadlineMs: SOON_MS });
    await Promise.all([machine.powerOff(), rescue.powerOff()]);
  });

  test("a token is good for one boot of one machine, and its second use leaves the first alone", async () => {
    const node = caseOf(8);
    const command = await prepare(cluster, node);
    const first = await machineFor(cluster, node, command);
    const thief = await machineFor(cluster, { name: "thief", mac: "52:54:00:77:06:99" }, command);
    await first.powerOn();
    await first.waitForConsole(`enrolled as ${node.name}`, { deadlineMs: SOON_MS });
    await thief.powerOn();
    expect(await waitForRestart(thief, LATE_MS)).toEqual([
      expect.stringMatching(
        /^FAILED at enrol: the enrolment token was refused: it was issued to another machine — nothing to do: the machine restarts/,
      ),
    ]);
    await waitForReady(cluster, node.name, first);
    // In order, so that nobody waits for the session of a machine whose plug was pulled.
    await cluster.controller.mustMuster(["reboot", node.name, "-y"]);
    await first.waitForPowerOff(60_000);
    await first.powerOn();
    expect(await waitForRestart(first, SOON_MS)).toEqual([
      expect.stringMatching(
        /^FAILED at enrol: the enrolment token was refused: it was used already, by another key — nothing to do/,
      ),
    ]);
    const refusals = (await listEvents(cluster)).filter(({ kind }) => kind === "token-refused");
    expect(refusals.map(({ what }) => what)).toEqual([
      expect.stringMatching(/52:54:00:77:06:99\) was turned away: .* issued to another machine$/),
      expect.stringMatching(/52:54:00:77:06:08\) was turned away: .* used already, by another key$/),
    ]);
  });
});

describe("with what it was given", () => {
  test("too little memory and a missing archive are told, each with what to do", async () => {
    const small = caseOf(9);
    const bare = caseOf(10);
    const noMemory = await machineFor(cluster, small, await prepare(cluster, small), { memoryMib: 320 });
    const command = await prepare(cluster, bare);
    const noModules = await machineFor(cluster, bare, { ...command, initrds: command.initrds.slice(0, 1) });
    await Promise.all([noMemory.powerOn(), noModules.powerOn()]);
    const [memory] = await Promise.all([
      waitForRestart(noMemory, LATE_MS),
      waitForRestart(noModules, LATE_MS),
    ]);
    const numbers =
      /needs about \d+ MiB of memory to boot \(\d+ MiB packed, 128 MiB to run\), \d+ MiB are available/;
    expect(memory).toEqual([
      expect.stringMatching(/^FAILED at fetch: image debian12 version 1 needs about .* — use a/),
    ]);
    expect(memory[0]).toMatch(numbers);
    expect(await failureOf(small.name)).toMatchObject({ stage: "fetch", code: "memory-insufficient" });
    expect(await cluster.controller.mustMuster(["node", "boots", small.name])).toMatch(numbers);

    const said = await readMusterLines(noModules);
    expect(said).toEqual([
      expect.stringMatching(
        /^the agent's file system cannot be mounted: this kernel \(6\.1\.\S+\) has no working loop or squashfs; its modules archive is missing or of another kernel$/,
      ),
      `restarting in ${RESTART_AFTER_SECONDS} s`,
    ]);

    // Without the base archive there is no /init to say anything: the kernel's own panic must end in a restart.
    expect(command.words).toContain("panic=30");
    const noInit = await machineFor(
      cluster,
      { name: "noinit", mac: bare.mac },
      { ...forge(command, "panic=2"), initrds: command.initrds.slice(1) },
    );
    await noInit.powerOn();
    await noInit.waitForConsole(/Kernel panic - not syncing/, { deadlineMs: SOON_MS });
    await noInit.waitForPowerOff(30_000);
  });
});
