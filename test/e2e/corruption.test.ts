import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { ImageView } from "../../controller/api/rest/schemas.ts";
import { corruptBlob } from "../lab/controller-process.ts";
import { LAB_NETWORK } from "../lab/open-lab.ts";
import type { VirtualMachine } from "../lab/virtual-machine.ts";
import { waitFor } from "../lab/wait-for.ts";
import {
  BOOT_DEADLINE_MS,
  type Cluster,
  describeTrouble,
  getNode,
  IMAGE,
  listBoots,
  listEvents,
  openCluster,
  readMusterLines,
  waitForReady,
} from "./cluster.ts";

const MAC = "52:54:00:77:22:01";
const HTTP = `http://${LAB_NETWORK.address}:9880`;

/** One cluster for all of this file: each test goes on where the one before left off. */
describe("a flipped bit in a stored blob", () => {
  let cluster: Cluster;
  let machine: VirtualMachine;

  beforeAll(async () => {
    cluster = await openCluster();
    await cluster.controller.mustMuster(["node", "add", "c001", "--mac", MAC, "--image", IMAGE]);
    machine = await cluster.lab.addMachine({ name: "m1", mac: MAC, firmware: "bios" });
  });

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  test("of a kernel or of modules keeps musterd from serving it, and the event names blob, node and remedy", async () => {
    const { kernel, modules } = await readStable(cluster);
    await corruptBlob(cluster.controller, kernel.digest);
    await corruptBlob(cluster.controller, modules.digest);
    // What musterd verified it trusts while it runs and the file has not changed; the disk betrays it over a restart.
    await cluster.controller.restart();
    await httpGet(cluster, `/boot/ipxe?mac=${MAC}`);
    for (const [blob, file] of [
      [kernel, "vmlinuz"],
      [modules, "modules.cpio"],
    ] as const) {
      const hex = blob.digest.replace("sha256:", "");
      const answer = await httpGet(cluster, `/boot/blob/${hex}/${file}`);
      expect(answer.status).toBe(500);
      expect(answer.text).toContain(`blob ${hex.slice(0, 12)}`);
      expect((await listEvents(cluster)).filter(({ node }) => node === "c001")).toContainEqual(
        expect.objectContaining({
          severity: "error",
          kind: "blob-corrupt",
          what: expect.stringMatching(
            new RegExp(`^c001 was not given ${file}: blob ${hex.slice(0, 12)} does not have its digest`),
          ) as string,
          fix: expect.stringContaining("muster image import") as string,
        }),
      );
    }
    await importAgain(cluster);
    const stable = await readStable(cluster);
    for (const { digest } of [stable.kernel, stable.modules]) {
      const answer = await httpGet(cluster, `/boot/blob/${digest.replace("sha256:", "")}/vmlinuz`);
      expect(answer.status).toBe(200);
    }
  });

  test("of a root file system keeps the node from booting it, on its console, in its boots and as an event", async () => {
    const [layer] = (await readStable(cluster)).layers;
    if (layer === undefined) throw new Error("the image has no layer");
    await corruptBlob(cluster.controller, layer.digest);
    await machine.powerOn();
    await machine.waitForConsole(/muster: FAILED at fetch: .*$/m, { deadlineMs: BOOT_DEADLINE_MS });
    const lines = await readMusterLines(machine);
    expect(lines).toContainEqual(
      expect.stringMatching(
        new RegExp(
          `^FAILED at fetch: blob ${layer.digest} arrived twice with other content .* — .*import the image again`,
        ),
      ),
    );
    expect(lines.filter((line) => line.startsWith("handing over"))).toEqual([]);
    const event = await waitFor(
      async () => (await listEvents(cluster)).find(({ what }) => what.includes("refused to boot from it")),
      {
        what: "the event about the blob",
        deadlineMs: 30_000,
        instead: () => describeTrouble(cluster, machine),
      },
    );
    expect(event).toMatchObject({
      severity: "error",
      kind: "blob-corrupt",
      node: "c001",
      fix: `import the image again: muster image import ${cluster.tree} --name ${IMAGE}; then check the controller's disk`,
    });
    expect(event.what).toContain(`blob ${layer.digest.slice(7, 19)}`);
    // The history is written in batches.
    const boot = await waitFor(
      async () => (await listBoots(cluster, "c001")).find(({ outcome }) => outcome === "failed"),
      {
        what: "the failed boot in the history of c001",
        deadlineMs: 10_000,
        instead: () => describeTrouble(cluster, machine),
      },
    );
    expect(boot.failure).toMatchObject({ stage: "fetch", code: "blob-corrupt" });
    expect(boot.failure?.what).toContain(layer.digest);
    expect(boot.failure?.kernelLogTail).toMatch(/virtio|eth0|Linux/);
    expect((await getNode(cluster, "c001")).status.state).toBe("failed");
  });

  test("is mended by importing the image again: the node restarts by itself and becomes ready", async () => {
    const [failed] = await listBoots(cluster, "c001");
    const version = await importAgain(cluster);
    const node = await waitForReady(cluster, "c001", machine, failed?.bootId);
    expect(node.status.imageVersion).toBe(version);
    const boots = await listBoots(cluster, "c001");
    // The third is the script that the first test asked for and nobody booted.
    expect(boots.map(({ outcome }) => outcome)).toEqual(["ready", "failed", "abandoned"]);
    expect((await readMusterLines(machine)).filter((line) => line.startsWith("FAILED"))).toHaveLength(1);
  });
});

async function readStable({ controller }: Cluster): Promise<ImageView["versions"][number]> {
  const image = JSON.parse(await controller.mustMuster(["image", "show", IMAGE, "-o", "json"])) as ImageView;
  const version = image.versions.find((one) => one.version === image.channels["stable"]);
  if (version === undefined) throw new Error("the image has no stable version");
  return version;
}

/** As the events say; returns the number of the new version. */
async function importAgain(cluster: Cluster): Promise<number> {
  await cluster.controller.mustMuster(["image", "import", cluster.tree, "--name", IMAGE]);
  return (await readStable(cluster)).version;
}

/** GET from inside the lab, as iPXE does it. */
async function httpGet(
  { lab }: Cluster,
  path: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const program = `const answer = await fetch(process.argv[1]);
    const text = answer.ok ? "" : await answer.text();
    console.log(JSON.stringify({ status: answer.status, text }));`;
  const { stdout } = await lab.run({
    program: process.execPath,
    args: ["--input-type=module", "--eval", program, `${HTTP}${path}`],
  });
  return JSON.parse(stdout) as { status: number; text: string };
}
