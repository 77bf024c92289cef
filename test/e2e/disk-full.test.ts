import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { fillDisk } from "../lab/controller-process.ts";
import { caseOf, machineFor, prepare } from "./boot-command.ts";
import { type Cluster, IMAGE, listEvents, openCluster, waitForReady } from "./cluster.ts";

/** Room for the image twice and for the agent of the release, once nothing else fills it. */
const STATE_DISK_MIB = 300;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await openCluster({ stateDiskMib: STATE_DISK_MIB });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});

/** Every file in the store of blobs, and what imports may have left beside it. */
async function listStore(): Promise<readonly string[]> {
  const files = await readdir(join(cluster.controller.stateDirectory, "blobs"), { recursive: true });
  return files.filter((name) => /[0-9a-f]{16}$/.test(name)).sort();
}

test("a full disk refuses images and nothing else: nodes join, boot and are recorded", async () => {
  const { controller, tree } = cluster;
  const before = await listStore();
  // Kernel, modules and root of the image, and the agent that running nodes are offered.
  expect(before).toHaveLength(4);
  const free = await fillDisk(controller.stateDirectory);

  const refused = await controller.muster(["image", "import", tree, "--name", "another"]);
  expect(refused).toMatchObject({ exitCode: 7, stdout: "" });
  expect(refused.stderr).toMatch(
    /no space left in \S+blobs \(0 MiB free\); nothing of the blob was kept\n.*muster image delete/,
  );
  expect(await listStore()).toEqual(before);
  expect(JSON.parse(await controller.mustMuster(["image", "list", "-o", "json"]))).toMatchObject([
    { name: IMAGE },
  ]);
  const { exitCode, stdout } = await controller.muster(["doctor"]);
  expect([exitCode, stdout]).toEqual([3, expect.stringMatching(/^error +disk: .*\n +fix: make room/m)]);

  // New to the inventory, so that token, identity, machine and host keys all have to be stored.
  const node = caseOf(21);
  const machine = await machineFor(cluster, node, await prepare(cluster, node));
  await machine.powerOn();
  const ready = await waitForReady(cluster, node.name, machine);
  await machine.powerOff();
  expect(ready.status).toMatchObject({ state: "ready", image: IMAGE });
  expect(controller.log).not.toMatch(/a bug in muster/);

  await free();
  await controller.mustMuster(["image", "import", tree, "--name", IMAGE]);
  await controller.mustMuster(["node", "set", node.name, "--comment", "after"]);
  expect((await listEvents(cluster)).filter(({ severity }) => severity === "error")).toEqual([]);
});
